"""`python -m noria.simulators NAME`: a simulator as a program of its own."""

from __future__ import annotations

import argparse
import asyncio

from noria.simulators import (
    dingtalk,
    feishu,
    jackyun,
    jushuitan,
    kingdee,
    okki,
    qeasy,
    robots,
    sink,
    wangdian,
    wecom,
    yonsuite,
)
from noria.simulators.server import run

# Each tells its arguments (`add_arguments`), and is made of them (`from_arguments`).
SYSTEMS = {
    "okki": ("小满 OKKI CRM", okki),
    "sink": ("a target that stores what it is sent", sink),
    "dingtalk": ("钉钉: contacts, approvals, work notifications", dingtalk),
    "wecom": ("企业微信: contacts, approvals, messages", wecom),
    "feishu": ("飞书: contacts", feishu),
    "jushuitan": ("聚水潭", jushuitan),
    "wangdian": ("旺店通 企业版 and 旗舰版", wangdian),
    "kingdee": ("金蝶云星空", kingdee),
    "jackyun": ("吉客云", jackyun),
    "yonsuite": ("用友 YonSuite", yonsuite),
    "qeasy": ("轻易云", qeasy),
    "robots": ("group robots of 钉钉, 企业微信, 飞书, and a webhook", robots),
}


def main(argv: list[str] | None = None) -> None:
    """Parse the arguments and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="noria simulate", description="A simulated system on a local port.")
    kinds = parser.add_subparsers(dest="name", required=True)
    for name, (title, system) in SYSTEMS.items():
        kind = kinds.add_parser(name, help=title)
        system.add_arguments(kind)
        kind.add_argument("--port", type=int, default=0, help="0: any free one")
        kind.add_argument("--with-parent", action="store_true", help="stop when the starting process is gone")
    chosen = parser.parse_args(argv)
    simulator = SYSTEMS[chosen.name][1].from_arguments(chosen)
    asyncio.run(run(simulator, chosen.port, chosen.with_parent))


if __name__ == "__main__":
    main()
