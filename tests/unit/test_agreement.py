"""Whether what a target shows is what it was sent."""

from __future__ import annotations

from typing import Any

import pytest

from noria.connectors.agreement import agreement


@pytest.mark.parametrize(
    ("sent", "found", "verdict"),
    [
        ({"id": 1, "name": "a"}, {"id": 1, "name": "a", "created": "today"}, True),
        ({"id": 1, "name": "a"}, {"id": 1, "name": "b"}, False),
        ({"id": 1, "name": "a"}, {"found": False}, None),
        ({}, {}, None),
        # nested
        ({"id": 1, "address": {"city": "北京"}}, {"id": 1, "address": {"city": "上海"}}, False),
        ({"id": 1, "address": {"city": "北京"}}, {"id": 1, "address": {"city": "北京", "zip": ""}}, True),
        ({"address": {"city": "北京"}}, {"address": {"id": 4}}, None),
        ({"department": {"FNumber": "D1"}}, {"department": "D1"}, None),
        # lists
        ({"tags": ["a", "b"]}, {"tags": ["b", "a"]}, True),
        ({"tags": ["a", "b"]}, {"tags": ["a"]}, False),
        ({"tags": ["a", "a"]}, {"tags": ["a", "b"]}, False),
        ({"lines": [{"n": 1, "qty": "2.50"}]}, {"lines": [{"n": 1, "qty": 2.5, "id": 9}]}, True),
        ({"lines": [{"n": 1, "qty": 2}]}, {"lines": [{"n": 1, "qty": 3}]}, False),
        ({"lines": [{"n": 1}, {"n": 2}]}, {"lines": [{"n": 2}, {"n": 1}]}, True),
        ({"lines": [{"n": 1}]}, {"lines": [{"id": 5}]}, None),
        ({"tags": ["a"]}, {"tags": []}, False),
        ({"tags": ["a"]}, {"tags": None}, False),
        # nothing
        ({"id": 1, "phone": None}, {"id": 1, "phone": "139"}, False),
        ({"id": 1, "phone": None}, {"id": 1, "phone": ""}, True),
        ({"id": 1, "phone": ""}, {"id": 1, "phone": None}, True),
        ({"id": 1, "phone": "139"}, {"id": 1, "phone": ""}, False),
        ({"id": 1, "count": 0}, {"id": 1, "count": None}, False),
        # spellings
        ({"v": "1.00"}, {"v": 1}, True),
        ({"v": "1.01"}, {"v": 1}, False),
        ({"v": True}, {"v": 1}, True),
        ({"v": True}, {"v": "true"}, True),
        ({"v": False}, {"v": 1}, False),
        ({"v": " a  b "}, {"v": "a b"}, True),
        ({"v": "a"}, {"v": "A"}, False),
        ({"v": "2026-01-02"}, {"v": "2026-01-02T00:00:00"}, True),
        ({"v": "2026-01-02 03:04:05"}, {"v": "2026-01-02T03:04:05.000"}, True),
        ({"v": "2026-01-02 03:04:05"}, {"v": "2026-01-02T03:04:06"}, False),
        ({"v": "nan"}, {"v": "nan"}, True),
        ({"v": "12345678901234567890.1"}, {"v": "12345678901234567890.2"}, False),
        ({"v": "0123"}, {"v": 123}, False),
        ({"v": "0123"}, {"v": "123"}, False),
        ({"v": "0"}, {"v": 0.0}, True),
        ({"v": "1E3"}, {"v": "1000"}, False),
        ({"v": 1e21}, {"v": "1000000000000000000000"}, True),
        ([1, 2], [1, 2], True),
        ("a", "a", True),
    ],
)
def test_agreement(sent: Any, found: Any, verdict: bool | None) -> None:
    assert agreement(sent, found) is verdict
