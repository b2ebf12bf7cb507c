"""Pages from data: the same data as HTML for people and as JSON for programs, in the reader's language."""

from __future__ import annotations

import hashlib
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import jinja2
import msgspec
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from noria.console.charts import bars, pace, run_bar, spark
from noria.console.diffs import Line
from noria.console.payloads import differences, pretty
from noria.console.protocol import API_VERSION
from noria.mapping import encode
from noria.messages import Message, language, t
from noria.metadata.paths import MISSING
from noria.metadata.times import DEFAULT_ZONE
from noria.metadata.times import zone as zone_named
from noria.monitoring.telling import lasted

HERE = Path(__file__).parent
_JSON = msgspec.json.Encoder(enc_hook=str, decimal_format="number")
_SHORT = 300


def language_of(request: Request) -> str:
    """The language that a reader chose, else what their browser asks for."""
    chosen = request.cookies.get("lang")
    if chosen in ("zh", "en"):
        return chosen
    for part in request.headers.get("accept-language", "").lower().split(","):
        wanted = part.split(";")[0].strip()
        if wanted[:2] in ("zh", "en"):
            return wanted[:2]
    return language()


def wants_json(request: Request) -> bool:
    """Whether a program asks: it says so, or shows a token and says nothing else."""
    accept = request.headers.get("accept", "")
    if "text/html" in accept:
        return False
    return "application/json" in accept or "authorization" in request.headers


def as_json(data: Any, status: int = 200) -> Response:
    """Data as JSON."""
    headers = {"Noria-Api": API_VERSION}
    return Response(_JSON.encode(_plain(data)), status, headers, media_type="application/json")


def page(request: Request, name: str, data: msgspec.Struct | dict[str, Any], status: int = 200) -> Response:
    """A template with data, or the data itself where a program asks."""
    if wants_json(request):
        return as_json(data, status)
    values = {one: getattr(data, one) for one in data.__struct_fields__} if isinstance(data, msgspec.Struct) else data
    shown = {**values, "request": request, "reader": getattr(request.state, "reader", None), "status": status}
    return HTMLResponse(_environment().get_template(name).render(shown), status_code=status)


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return {"key": value.key, "text": str(value)}
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, msgspec.Struct):
        given = msgspec.structs.asdict(value)
        return {name: _plain(one) for name, one in given.items() if one is not msgspec.UNSET}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        t=t, language=language, static=_static, address=address, tojson=shown_json, differences=_differences
    )
    made.globals.update(bars=bars, spark=spark, run_bar=run_bar, pace_chart=pace)
    made.tests.update(came=lambda value: value is not MISSING)
    made.filters.update(ago=ago, clock=clock, moment=moment, number=number, span=span)
    made.filters.update(json=shown_json, answer=_shown_answer, compact=_compact)
    return made


@cache
def _static(name: str) -> str:
    """A file's address, which changes when the file does."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?{digest}"


def address(path: str, **query: Any) -> str:
    """A path with what of a query is given."""
    given = {name: value for name, value in query.items() if value not in (None, "")}
    return f"{path}?{urlencode(given)}" if given else path


def ago(seconds: float | None, now: float, zone: ZoneInfo = DEFAULT_ZONE) -> Markup:
    """A time (epoch seconds) as how long ago it is, with the time itself on hover."""
    if seconds is None:
        return Markup("–")
    at = datetime.fromtimestamp(seconds, zone)
    past, text = now - seconds, span(abs(now - seconds))
    words = t("ago.now") if abs(past) < 2 else t("ago.past", span=text) if past > 0 else t("ago.ahead", span=text)
    shown = Markup('<time datetime="{0}" title="{1}">{2}</time>')
    return shown.format(at.isoformat(timespec="seconds"), f"{at:%Y-%m-%d %H:%M:%S} {zone.key}", words)


def moment(seconds: float, zone: str = DEFAULT_ZONE.key) -> Markup:
    """A time (epoch seconds) to the minute, in a zone."""
    at = datetime.fromtimestamp(seconds, zone_named(zone))
    return Markup('<time datetime="{0}">{1}</time>').format(at.isoformat(timespec="seconds"), f"{at:%Y-%m-%d %H:%M}")


def clock(text: str | None) -> Markup:
    """A time (ISO 8601) to the second, as the ledger shows times."""
    if not text:
        return Markup("–")
    return Markup('<time datetime="{0}">{1}</time>').format(text, text[:19].replace("T", " "))


def span(seconds: float | None) -> str:
    """A duration as people say it."""
    if seconds is None:
        return "–"
    if seconds < 1:
        return t("ago.millisecond", n=round(seconds * 1000))
    return str(lasted(seconds))


def number(value: int | None) -> str:
    """A number, grouped."""
    return "–" if value is None else f"{value:,}"


def shown_json(value: Any) -> str:
    """A record's JSON with its lines, for reading; numbers stay as they came."""
    if value is None:
        return ""
    return pretty(bytes(value) if isinstance(value, msgspec.Raw | bytes) else _JSON.encode(value))


def _compact(value: Any) -> str:
    """A value on one line, cut where it is too long to be read there."""
    text = value if isinstance(value, str) else encode(value).decode("utf-8", "replace")
    return text if len(text) <= _SHORT else text[:_SHORT] + " …"


def _differences(before: msgspec.Raw, after: msgspec.Raw) -> list[Line]:
    return differences(bytes(before), bytes(after))


def _shown_answer(text: str) -> str:
    """An answer as it came, with its lines where it is JSON."""
    return shown_json(text.encode()) if text[:1] in "{[" else text
