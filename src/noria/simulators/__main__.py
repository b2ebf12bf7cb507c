"""`python -m noria.simulators NAME`: a simulator as a program of its own."""

from __future__ import annotations

import argparse
import asyncio

from noria.simulators.okki import Okki
from noria.simulators.okki_data import make_account
from noria.simulators.robots import Robots
from noria.simulators.server import Simulator, run
from noria.simulators.sink import Sink


def main(argv: list[str] | None = None) -> None:
    """Parse the arguments and serve until told to stop."""
    parser = argparse.ArgumentParser(prog="noria simulate", description="A simulated system on a local port.")
    kinds = parser.add_subparsers(dest="name", required=True)
    okki = kinds.add_parser("okki", help="小满 OKKI CRM")
    for name, default in (
        ("users", 50),
        ("departments", 8),
        ("companies", 0),
        ("orders", 0),
        ("leads", 0),
        ("invalid", 0),
    ):
        okki.add_argument(f"--{name}", type=int, default=default, metavar="N")
    okki.add_argument("--seed", type=int, default=1)
    okki.add_argument("--shape", choices=("okki", "article"), default="okki", help="the vendor's API or the article's")
    okki.add_argument("--client-id", default="demo-client")
    okki.add_argument("--client-secret", default="demo-secret")
    okki.add_argument("--token", default="demo-token", help="the fixed token of --shape article")
    okki.add_argument("--token-seconds", type=float, default=28800, help="how long a token lives")
    okki.add_argument("--no-expires-in", action="store_true", help="leave expires_in out of token replies")
    sink = kinds.add_parser("sink", help="a target that stores what it is sent")
    sink.add_argument("--latency-ms", type=float, default=0)
    sink.add_argument("--no-keys", action="store_true", help="ignore idempotency keys")
    sink.add_argument("--no-results", action="store_true", help="answer without a result a row")
    sink.add_argument("--id-field", default="", help="the field that holds a row's id")
    robots = kinds.add_parser("robots", help="group robots of 钉钉, 企业微信, 飞书, and a webhook")
    robots.add_argument("--token", default="demo0123456789", help="of every robot")
    robots.add_argument("--secret", default="SECdemo0123456789", help="what messages must be signed with")
    robots.add_argument("--bearer", default="", help="what the webhook wants to see")
    for kind in (okki, sink, robots):
        kind.add_argument("--port", type=int, default=0, help="0: any free one")
        kind.add_argument("--with-parent", action="store_true", help="stop when the starting process is gone")
    chosen = parser.parse_args(argv)
    simulator: Simulator
    if chosen.name == "okki":
        account = make_account(
            chosen.seed,
            users=chosen.users,
            departments=chosen.departments,
            companies=chosen.companies,
            orders=chosen.orders,
            leads=chosen.leads,
            invalid=chosen.invalid,
        )
        simulator = Okki(
            account,
            client_id=chosen.client_id,
            client_secret=chosen.client_secret,
            token_seconds=chosen.token_seconds,
            expires_in=not chosen.no_expires_in,
            article=chosen.shape == "article",
            token=chosen.token,
        )
    elif chosen.name == "robots":
        simulator = Robots(token=chosen.token, secret=chosen.secret, bearer=chosen.bearer)
    else:
        simulator = Sink(
            keys=not chosen.no_keys,
            results=not chosen.no_results,
            latency=chosen.latency_ms / 1000,
            id_field=chosen.id_field,
        )
    asyncio.run(run(simulator, chosen.port, chosen.with_parent))


if __name__ == "__main__":
    main()
