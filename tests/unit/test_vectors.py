"""What vendors have published, signed and encrypted by themselves: neither noria nor its simulators made it."""

from __future__ import annotations

import base64
import json

import pytest

from noria.console.hooks import Event, Pushed, Refused, event_of
from noria.metadata.plan import Webhook

# 小满's page of the test callback (open.xiaoman.cn, 消息推送): request, signature, time and configuration.
SECRET = "IdXEy84pL6gVehBPZdJytBYJ5pt85RCGnV3NPqt3D0k="
MESSAGE = "msg_68d6527b8e41f8.33205216"
SEALED = (
    "LWNoQmm5sYYzwiohzlgXpTuOvZd1GtoeLC05wCzMlG0hk2px0vLiul7kDd3rJ4XgmxclwuYAtacNynl4AFdESsntPwco8SrG8x8rPlO1AN0QO8V34"
    "SEQTQ41wi2JG4HjqL5CKw=="
)
BODY = f'{{"message_id":"{MESSAGE}","data":"{SEALED}"}}'.encode()
HEADERS = {
    "x-signature": "aae37cb66c8b54b423837526025144afe23f5ac3958626b898b48607eb5f8d69",
    "x-timestamp": "1758876283",
}
NOW = 1758876290.0


def taken(body: bytes = BODY, **headers: str) -> Event:
    return event_of(Webhook(kind="okki", secret="env:X"), SECRET, "", Pushed({}, {**HEADERS, **headers}, body), NOW)


def test_the_event_that_xiaoman_publishes_is_taken_and_answered() -> None:
    event = taken()
    assert (event.message, event.asks) == (MESSAGE, True)
    assert isinstance(event.answer, dict) and event.answer["code"] == 200
    assert event.answer["data"]["message_id"] == MESSAGE and event.answer["data"]["biz_data"]


@pytest.mark.parametrize("change", ["body", "time", "sealed"])
def test_changed_in_any_part_it_is_refused(change: str) -> None:
    with pytest.raises(Refused):
        if change == "body":
            taken(BODY.replace(b"msg_6", b"msg_7"))
        elif change == "time":
            taken(**{"x-timestamp": "1758876284"})
        else:
            raw = bytearray(base64.b64decode(SEALED))
            raw[-1] ^= 1
            body = json.dumps({"message_id": MESSAGE, "data": base64.b64encode(raw).decode()}).encode()
            taken(body)
