"""The people and departments of a simulated company, seeded: what the simulators of office systems show, each its way.

Everything that has surprised a reader of such systems is in it: a tree at least three levels deep, departments that
nobody is in directly, people in two departments, one in the root, numbers above 2**53, an emoji, a right-to-left name.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from noria.simulators.names import GIVEN, PLACES, SURNAMES, WORK

ROOT = 1
CHINA = timezone(timedelta(hours=8))
# The first approval was applied for then, in epoch seconds: 2024-01-01 09:00 in China.
FIRST_APPROVAL = int(datetime(2024, 1, 1, 9, tzinfo=CHINA).timestamp())
# Two approvals are applied for in the same second, and the next two so much later.
APPROVAL_EVERY = 6 * 3600

_RIGHT_TO_LEFT = ("محمد علي", "שרה כהן")
_TITLES = ("经理", "工程师", "会计", "采购员", "客服专员", "")
_BIG = 2**53 + 1


@dataclass(frozen=True)
class Unit:
    """A department: its number, its name, the number of the one above it (0: it is the root)."""

    number: int
    name: str
    parent: int


@dataclass(frozen=True)
class Person:
    """An employee: a number from 0, a name, the departments they are in, the main one first."""

    number: int
    name: str
    departments: tuple[int, ...]
    title: str
    joined: int
    leads: bool


@dataclass(frozen=True)
class Approval:
    """Something applied for: a number from 0, when (epoch seconds), by whom, for how much, and how far it has come
    (0: under way, 1: granted, 2: refused)."""

    number: int
    at: int
    person: Person
    amount: str
    outcome: int


def make_units(seed: int, count: int) -> list[Unit]:
    """The root and `count` departments below it; each second number is above 2**53. The first three are a branch."""
    chance = random.Random(f"{seed}/units")
    numbers = [ROOT] + [_BIG + 2 * n if n % 2 else 100 + n for n in range(1, count + 1)]
    depths = {ROOT: 0}
    units = [Unit(ROOT, "诺瑞亚贸易有限公司", 0)]
    for n in range(1, count + 1):
        parent = numbers[n - 1] if n <= 3 else chance.choice([one for one in numbers[:n] if depths[one] < 4])
        depths[numbers[n]] = depths[parent] + 1
        units.append(Unit(numbers[n], f"{PLACES[n % 5]}{WORK[n * 3 % 10]}{n}部", parent))
    return units


def make_people(seed: int, count: int, units: list[Unit]) -> list[Person]:
    """`count` employees: the first in the root, the others anywhere but in the first department and every fifth."""
    chance = random.Random(f"{seed}/people")
    below = [unit.number for unit in units[1:]]
    peopled = [number for n, number in enumerate(below) if n and n % 5] or below or [ROOT]
    people = []
    for n in range(count):
        main = ROOT if n == 0 else chance.choice(peopled)
        others = [number for number in peopled if number != main]
        second = (chance.choice(others),) if n % 6 == 2 and others else ()
        joined = FIRST_APPROVAL - 86400 * chance.randrange(30, 3000)
        people.append(Person(n, _name(chance, n), (main, *second), chance.choice(_TITLES), joined, n % 9 == 0))
    return people


def make_approvals(seed: int, count: int, people: list[Person]) -> list[Approval]:
    """`count` approvals, oldest first."""
    chance = random.Random(f"{seed}/approvals")
    made = []
    for n in range(count if people else 0):
        amount = f"{chance.randrange(100, 9_999_999) / 100:.2f}"
        at = FIRST_APPROVAL + n // 2 * APPROVAL_EVERY
        made.append(Approval(n, at, chance.choice(people), amount, chance.randrange(3)))
    return made


def _name(chance: random.Random, number: int) -> str:
    if number % 40 == 5:
        return _RIGHT_TO_LEFT[number // 40 % 2]
    name = chance.choice(SURNAMES) + chance.choice(GIVEN)
    return f"{name}😀" if number % 40 == 3 else name


def below(number: object, rows: list[dict[str, Any]], key: str, parent: str) -> list[dict[str, Any]]:
    """Every department below one, nearest first; `key`, `parent`: the fields of their numbers."""
    found: list[dict[str, Any]] = []
    seen, level = {number}, {number}
    while level:
        children = [row for row in rows if row[parent] in level and row[key] not in seen]
        found += children
        level = {row[key] for row in children}
        seen |= level
    return found
