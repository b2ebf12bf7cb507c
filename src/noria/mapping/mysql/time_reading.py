"""Text as times: STR_TO_DATE, after the server's own way of reading."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import Any

from noria.mapping.mysql.time_formats import DATE_SPECIFIER
from noria.mapping.mysql.times import full_year
from noria.mapping.mysql.values import strict, text
from noria.mapping.mysql.weeks import DAY_NAMES, MONTH_NAMES


class _Unreadable(Exception):
    """A text that doesn't fit its format."""


class _Reading:
    """A text that is read by a format of STR_TO_DATE."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.at = 0
        self.found: dict[str, int] = {}
        self.half = False
        self.afternoon = False

    def read(self, pattern: str) -> None:
        """Read by a format; a text that ends early leaves the rest at zero. Raises `_Unreadable`."""
        chars = iter(pattern)
        for char in chars:
            self._skip()
            if self.at >= len(self.subject):
                return
            if char == "%":
                self._part(next(chars, ""))
            elif not char.isspace():
                if self.subject[self.at] != char:
                    raise _Unreadable
                self.at += 1

    def _skip(self) -> None:
        while self.at < len(self.subject) and self.subject[self.at].isspace():
            self.at += 1

    def _digits(self, most: int) -> str:
        begin = self.at
        while self.at < len(self.subject) and self.at < begin + most and "0" <= self.subject[self.at] <= "9":
            self.at += 1
        if self.at == begin:
            raise _Unreadable
        return self.subject[begin : self.at]

    def _word(self, names: list[str]) -> int:
        """The number of the name that the next word begins."""
        begin = self.at
        while self.at < len(self.subject) and self.subject[self.at].isalpha():
            self.at += 1
        word = self.subject[begin : self.at].lower()
        meant = [i for i, name in enumerate(names) if word and name.lower().startswith(word)]
        if len(meant) != 1:
            raise _Unreadable
        return meant[0]

    def _part(self, specifier: str) -> None:
        match specifier:
            case "Y":
                digits = self._digits(4)
                self.found["year"] = full_year(digits) if len(digits) <= 2 else int(digits)
            case "y":
                self.found["year"] = full_year(self._digits(2))
            case "m" | "c":
                self.found["month"] = int(self._digits(2))
            case "M":
                self.found["month"] = self._word(MONTH_NAMES) + 1
            case "b":
                self.found["month"] = self._word([name[:3] for name in MONTH_NAMES]) + 1
            case "d" | "e":
                self.found["day"] = int(self._digits(2))
            case "D":
                self.found["day"] = int(self._digits(2))
                self.at = min(self.at + 2, len(self.subject))
            case "j":
                self.found["yearday"] = int(self._digits(3))
            case "h" | "I" | "l":
                self.half = True
                self.found["hour"] = int(self._digits(2))
            case "H" | "k":
                self.found["hour"] = int(self._digits(2))
            case "i":
                self.found["minute"] = int(self._digits(2))
            case "s" | "S":
                self.found["second"] = int(self._digits(2))
            case "f":
                self.found["micro"] = int(self._digits(6).ljust(6, "0"))
            case "p":
                half = self.subject[self.at : self.at + 2].upper()
                if half not in ("AM", "PM"):
                    raise _Unreadable
                self.afternoon = half == "PM"
                self.at += 2
            case "W":
                self._word(DAY_NAMES)
            case "a":
                self._word([name[:3] for name in DAY_NAMES])
            case "r":
                self.read("%I:%i:%S %p")
            case "T":
                self.read("%H:%i:%S")
            case _:
                raise _Unreadable

    def clock(self) -> tuple[int, int, int, int]:
        """Hour, minute, second and microsecond. Raises `_Unreadable`."""
        hour, minute, second = (self.found.get(name, 0) for name in ("hour", "minute", "second"))
        if self.half:
            if not 1 <= hour <= 12:
                raise _Unreadable
            hour = hour % 12 + (12 if self.afternoon else 0)
        if hour > 23 or minute > 59 or second > 59:
            raise _Unreadable
        return hour, minute, second, self.found.get("micro", 0)

    def day(self) -> date:
        """The date. Raises `_Unreadable` and `ValueError`."""
        if "yearday" in self.found:
            if not self.found["yearday"]:
                raise _Unreadable
            return date(self.found.get("year", 0), 1, 1) + timedelta(days=self.found["yearday"] - 1)
        return date(self.found.get("year", 0), self.found.get("month", 0), self.found.get("day", 0))


@strict
def str_to_date(value: Any, pattern: Any) -> Any:
    """STR_TO_DATE: a date, a date-time, or a time of day as the format has parts; NULL for what doesn't fit, and for
    dates that there aren't."""
    wanted, reading = text(pattern) or "", _Reading(text(value) or "")
    try:
        reading.read(wanted)
        clock_ = reading.clock()
        if not DATE_SPECIFIER.search(wanted):
            return f"{clock_[0]:02}:{clock_[1]:02}:{clock_[2]:02}"
        day = reading.day()
    except (_Unreadable, ValueError, OverflowError):
        return None
    timed = re.search(r"%[HkhIlisSfprT]", wanted)
    return datetime(day.year, day.month, day.day, *clock_) if timed else day
