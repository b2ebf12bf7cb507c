"""Seeded texts, amounts and times for the data of simulated vendors."""

from __future__ import annotations

import random
from decimal import Decimal

from noria.simulators.names import CITIES
from noria.simulators.wire import moment

# Ids beyond this are not kept by a JSON reader that makes floats of them.
BIG = 2**53 + 1
START = "2024-01-01 08:00:00"
_NAMES = ("王伟", "李娜", "𠮷田", "欧阳静", "买买提·艾力", "小红😀")
_GOODS = ("不锈钢杯", "棉麻衬衫", "LED 台灯", "陶瓷碗", "蓝牙耳机", "积木")
_SHOPS = ("天猫旗舰店", "京东专营店", "抖音小店", "拼多多官方店")
_REMARKS = ("", "加急", "易碎品轻放", '送"礼盒"😀', "周末不收\n货")


class Samples:
    """`start`: the first modification, a local time; `days`: over how many they are spread."""

    def __init__(self, seed: int, start: str = START, days: int = 20) -> None:
        first = moment(start)
        if first is None:
            raise ValueError(f"start must be like {START}, not {start!r}")
        self.first = first
        self.days = days
        self.rng = random.Random(seed)

    def times(self, count: int) -> list[int]:
        """Epoch seconds in order, spread over the days; some rows share a second with the one before."""
        made = sorted(self.first + self.rng.randrange(self.days * 86400) for _ in range(count))
        made[:1] = [self.first] if count else []
        return [made[n - 1] if n % 10 == 9 else at for n, at in enumerate(made)]

    def amount(self, most: int = 1000) -> Decimal:
        """An amount with up to four decimals."""
        places = self.rng.choice((0, 1, 2, 2, 4))
        return Decimal(self.rng.randrange(1, most * 10**places)).scaleb(-places)

    def quantity(self) -> int:
        return self.rng.randint(1, 20)

    def name(self) -> str:
        return self.rng.choice(_NAMES)

    def city(self) -> str:
        return self.rng.choice(CITIES)

    def goods(self) -> str:
        return self.rng.choice(_GOODS)

    def shop(self, number: int) -> str:
        return _SHOPS[number % len(_SHOPS)]

    def remark(self) -> str:
        return self.rng.choice(_REMARKS)
