"""Rows that hold a list each, sent as one list: what leaves, and which results are whose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from noria.connectors import open_connection
from noria.connectors.failures import Failure
from noria.connectors.joined import Joined
from noria.connectors.target import Row
from noria.metadata.clock import FakeClock
from noria.metadata.paths import MISSING
from noria.metadata.secrets import Redactor


def target(connector: str = "jushuitan", api: str = "jushuitan.itemsku.upload", **settings: str) -> Joined:
    table = {"connector": connector, **(settings or {"app_key": "a", "app_secret": "b", "access_token": "c"})}
    connection = open_connection("c", table, Path(), redactor=Redactor(), clock=FakeClock())
    made = connection.connector.target(connection.transport, connection.settings, api=api, method=None, batch_size=None)
    assert isinstance(made, Joined)
    return made


def rows(*payloads: Any) -> list[Row]:
    return [Row(str(n), json.dumps(one).encode()) for n, one in enumerate(payloads)]


@pytest.mark.parametrize(
    ("payloads", "sent"),
    [
        (['{"items":[{"a":1.10}]}', '{"items":[{"a":2},{"a":3}]}'], '{"items":[{"a":1.10},{"a":2},{"a":3}]}'),
        (['{"a":1}', '{"a":2}'], '{"items":[{"a":1},{"a":2}]}'),
        (['{"mode":1,"items":[{"a":1}]}', '{"items":[{"a":2}],"mode":1}'], '{"mode":1,"items":[{"a":1},{"a":2}]}'),
        (['{"items":[]}', '{"items":[{"a":2}]}'], '{"items":[{"a":2}]}'),
    ],
)
def test_elements_leave_in_one_list(payloads: list[str], sent: str) -> None:
    made = target()
    assert made.joined(made.body([one.encode() for one in payloads])).decode() == sent


def test_a_row_by_itself_is_an_object_or_an_element() -> None:
    made = target()
    assert made.joined(b'{"items":[{"a":1}],"mode":2}') == b'{"mode":2,"items":[{"a":1}]}'
    assert made.joined(b'{"a":1}') == b'{"items":[{"a":1}]}'


def test_rows_that_differ_beside_their_lists_are_not_sent_together() -> None:
    made = target()
    with pytest.raises(Failure) as failed:
        made.joined(made.body([b'{"mode":1,"items":[]}', b'{"mode":2,"items":[]}']))
    assert failed.value.kind == "permanent" and failed.value.message.values == {"field": "mode"}


def test_a_row_fails_with_any_of_its_elements_and_is_silent_without_one() -> None:
    made = target()
    two, one, none = ({"items": [{"sku_id": "A"}, {"sku_id": "B"}]}, {"sku_id": "C"}, {"items": [{"sku_id": "D"}]})
    said = [{"sku_id": key, "is_success": key != "B"} for key in ("C", "B", "A")]
    assert made.matched(said, rows(two, one, none)) == [said[1], said[0], MISSING]


def test_an_error_that_names_no_row_may_be_anybodys() -> None:
    made = target("wangdian", "goods_push.php", sid="s", appkey="k", appsecret="x")
    sent = rows({"goods_list": [{"goods_no": "A"}]}, {"goods_list": [{"goods_no": "B"}]})
    bad = {"goods_no": "B", "error": "no"}
    assert made.matched([bad], sent) == [{"ok": True}, bad]
    assert made.matched([bad, {"error": "?"}], sent) == [MISSING, bad]
    assert made.matched([], sent) == [{"ok": True}] * 2
