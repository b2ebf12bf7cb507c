"""What simulators as programs take: arguments that several have, and simulators made of arguments."""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

from noria.simulators.samples import START
from noria.simulators.wire import shown

_T = TypeVar("_T")


def add_staff_arguments(parser: argparse.ArgumentParser, **sizes: int) -> None:
    """How many people there are, how many departments and so on; and how long a token lives."""
    _add_sizes(parser, sizes)
    parser.add_argument("--token-seconds", type=float, default=7200, help="how long a token lives")


def add_data_arguments(parser: argparse.ArgumentParser, **sizes: int) -> None:
    """How many rows of each kind, and when they were modified."""
    _add_sizes(parser, sizes)
    parser.add_argument("--days", type=int, default=20, help="over how many days the rows are spread")
    parser.add_argument("--start", default="", help=f'the first modification, "{START}"; else these days before now')


def _add_sizes(parser: argparse.ArgumentParser, sizes: dict[str, int]) -> None:
    for name, default in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    parser.add_argument("--seed", type=int, default=1)


def made_of(kind: Callable[..., _T], chosen: argparse.Namespace) -> _T:
    """A simulator of those arguments that are named as what it is made of."""
    given = {name: value for name, value in vars(chosen).items() if name in inspect.signature(kind).parameters}
    if given.get("start") == "":
        given["start"] = shown(time.time() - chosen.days * 86400)
    return kind(**given)
