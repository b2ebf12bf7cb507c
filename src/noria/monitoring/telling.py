"""What people are told of alerts: the words, in a channel's language and zone, in one message for several."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from urllib.parse import quote
from zoneinfo import ZoneInfo

from noria.messages import Message
from noria.metadata.alerts import Channel
from noria.metadata.times import DEFAULT_ZONE, iso, shown_time, zone

# Text that a message over a channel holds, in bytes: the robot of 企业微信 takes 2048, the others 20 KB in all.
_LONGEST = {"wecom": 2000, "dingtalk": 15_000, "feishu": 15_000}
_LONG = 60_000
# Letters of a name and of a reason.
_NAME, _REASON = 60, 200
# A link to the page where a kind of alert is seen to: what follows the console's address.
_PAGES = {
    "dead": "/failures?plan={subject}",
    "token": "/connections",
    "reconciliation": "/reconciliation?plan={subject}",
}
_STEPS = ((86400.0, "day"), (3600.0, "hour"), (60.0, "minute"), (1.0, "second"))


class Told(NamedTuple):
    """An alert as a message tells it: whether it has ended, of what (its key, and its name), in words; from when to
    when (epoch seconds), and why it ended."""

    ended: bool
    kind: str
    severity: str
    subject: str
    name: str
    what: Message
    began_at: float
    ended_at: float | None
    why: str | None


class Text(NamedTuple):
    """A message: its title and body; `bad`: it tells of one that is on; `items`: the same for programs."""

    title: str
    body: str
    bad: bool
    items: list[dict[str, Any]]

    def cleaned(self, clean: Callable[[str], str]) -> Text:
        """The same without what `clean` takes out of a text."""
        items = [{k: clean(v) if isinstance(v, str) else v for k, v in one.items()} for one in self.items]
        return Text(clean(self.title), clean(self.body), self.bad, items)


def text(alerts: Sequence[Told], channel: Channel, url: str, lang: str) -> Text:
    """One message that tells all of these; `url`: where the console is, or nothing."""
    here, most = zone(channel.zone), _LONGEST.get(channel.kind, _LONG)
    began = sum(not one.ended for one in alerts)
    if len(alerts) == 1:
        key = "alert.title_over" if alerts[0].ended else "alert.title_one"
        title = Message(key, {"name": _cut(alerts[0].name, _NAME)}).text(lang)
    else:
        title = Message("alert.title_many", {"began": began, "ended": len(alerts) - began}).text(lang)
    # The worst first, what is over last.
    ordered = sorted(alerts, key=lambda one: (one.ended, one.severity, one.began_at))
    told: list[str] = []
    room = most - len(title.encode()) - 2
    all_of_them = f"{url}/alerts" if url else "noria alerts"
    for i, one in enumerate(ordered):
        more = Message("alert.more", {"count": len(ordered) - i, "where": all_of_them}).text(lang)
        block = "\n".join(_lines(one, here, url, lang))
        last = i == len(ordered) - 1
        if len(block.encode()) + (0 if last else len(more.encode()) + 2) > room:
            told.append(more)
            break
        told.append(block)
        room -= len(block.encode()) + 2
    items = [_item(one, here, url, lang) for one in ordered]
    return Text(title, "\n\n".join(told), began > 0, items)


def trial(name: str, lang: str) -> Text:
    """The message that tries a channel."""
    title, body = Message("alert.trial_title").text(lang), Message("alert.trial", {"name": name}).text(lang)
    return Text(title, body, False, [])


def worded(what: Message, here: ZoneInfo = DEFAULT_ZONE) -> Message:
    """A message whose times (values named `…_at`, epoch seconds) and durations (`…_for`, seconds) can be read."""
    return Message(what.key, {name: _readable(name, value, here) for name, value in what.values.items()})


def _readable(name: str, value: Any, here: ZoneInfo) -> Any:
    if not isinstance(value, int | float):
        return value
    if name.endswith("_at"):
        return f"{datetime.fromtimestamp(shown_time(value), here):%Y-%m-%d %H:%M}"
    return lasted(value) if name.endswith("_for") else value


def lasted(seconds: float) -> Message:
    """A duration in words."""
    for size, name in _STEPS:
        if seconds >= size or size == 1.0:
            return Message(f"ago.{name}", {"n": int(seconds / size)})
    raise AssertionError


def link(kind: str, subject: str, url: str) -> str:
    """The console's page where an alert is seen to; empty where nobody knows where the console is."""
    page = _PAGES.get(kind, "/plans/{subject}")
    return url.rstrip("/") + page.format(subject=quote(subject, safe="")) if url else ""


def _lines(one: Told, here: ZoneInfo, url: str, lang: str) -> list[str]:
    name = one.name if one.name == one.subject else f"{_cut(one.name, _NAME)} ({_cut(one.subject, _NAME)})"
    named = {"name": name}
    head = Message(f"alert.was_{one.why}", named) if one.ended else Message(f"alert.is_{one.severity}", named)
    lines = [
        head.text(lang),
        _cut(worded(one.what, here).text(lang), _REASON),
    ]
    if one.ended_at is not None:
        span = {"began_at": one.began_at, "ended_at": one.ended_at, "lasted_for": one.ended_at - one.began_at}
        lines.append(worded(Message("alert.lasted", span), here).text(lang))
    else:
        lines.append(Message(f"alert.do_{one.kind}").text(lang))
    where = link(one.kind, one.subject, url)
    return [*lines, where] if where else lines


def _item(one: Told, here: ZoneInfo, url: str, lang: str) -> dict[str, Any]:
    return {
        "phase": "ended" if one.ended else "began",
        "kind": one.kind,
        "severity": one.severity,
        "subject": one.subject,
        "name": one.name,
        "text": worded(one.what, here).text(lang),
        "began_at": iso(one.began_at, here),
        "ended_at": iso(one.ended_at, here),
        "link": link(one.kind, one.subject, url),
    }


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
