"""What is declared of every page and act. The routes, the check of what is asked and the OpenAPI document are all made
of it, so that nothing can be reached that is not in the document."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, inspect
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import Response

from noria.console.denied import Denied
from noria.messages import Message
from noria.metadata.validation import problems_in, shown, type_info

T = TypeVar("T")
View = Callable[[Request], Awaitable[Response]]
# No number in the ledger is larger.
LARGEST = 2**62
Text = Annotated[str, Meta(max_length=2000)]
Number = Annotated[int, Meta(ge=0, le=LARGEST)]
Limit = Annotated[int, Meta(ge=1, le=200, description="最多几条 | how many at most")]
Before = Annotated[
    Number,
    Meta(description="从这个编号往前（上一页的 next）| those before this number (the last page's next)"),
]
PlanKey = Annotated[Text, Meta(description="方案的键 | a plan's key", examples=["users"])]
# What stands in paths, by its name.
IN_PATH: dict[str, Any] = {
    "key": PlanKey,
    "plan": PlanKey,
    "name": Annotated[Text, Meta(description="名称 | a name")],
    "number": Annotated[Number, Meta(description="版本的编号 | a version's number", examples=[1])],
    "run": Annotated[Number, Meta(description="执行的编号 | a run's number", examples=[1])],
}


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a page or an act is asked with: a page's query, an act's body. Nothing, unless a child says more."""


@dataclass(frozen=True)
class Endpoint:
    """A page or an act. `name`: how the document calls it (`api.<name>` is what it does, in words); `role`: who may;
    None: everybody; `takes`: an `Asked`; `gives`: the type of what is answered as JSON, `str` for text;
    `media`: how else than as JSON, or plain text, it is answered."""

    name: str
    method: Literal["GET", "POST"]
    path: str
    role: str | None
    view: View
    takes: type[Asked]
    gives: Any
    errors: tuple[int, ...] = ()
    media: tuple[str, ...] = ()

    def in_path(self) -> list[str]:
        """The names that stand in the path."""
        return re.findall(r"\{(\w+)\}", self.path)

    def statuses(self) -> tuple[int, ...]:
        """Every status but 200 that a program may be answered with."""
        if self.role is None:
            return self.errors
        found = {400, 401, 403, 429, 503, *self.errors}
        return tuple(sorted(found | ({409, 413, 415} if self.method == "POST" else set())))


def shows(
    name: str,
    path: str,
    view: View,
    gives: Any,
    *,
    takes: type[Asked] = Asked,
    role: str | None = "viewer",
    errors: tuple[int, ...] = (),
    media: tuple[str, ...] = (),
) -> Endpoint:
    """A page: what it shows is the answer's data."""
    return Endpoint(name, "GET", path, role, view, takes, gives, (*errors, *((404,) if "{" in path else ())), media)


def does(
    name: str,
    path: str,
    view: View,
    gives: Any,
    *,
    takes: type[Asked] = Asked,
    role: str | None = "operator",
    errors: tuple[int, ...] = (),
    media: tuple[str, ...] = (),
) -> Endpoint:
    """An act."""
    return Endpoint(name, "POST", path, role, view, takes, gives, (*errors, *((404,) if "{" in path else ())), media)


def sent_json(request: Request) -> bool:
    """Whether a request's body is JSON."""
    return _kind(request) == "application/json"


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def body_of(request: Request) -> Mapping[str, Any]:
    """What was sent with an act, a form or JSON; raises `Denied`."""
    if sent_json(request):
        try:
            sent = msgspec.json.decode(await request.body() or b"{}")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Denied(400, "api.not_json") from None
        if not isinstance(sent, dict):
            raise Denied(400, "api.not_an_object")
        return sent
    if _kind(request) in ("application/x-www-form-urlencoded", "multipart/form-data") or not await request.body():
        # As many fields as a large plan has in the editor.
        return await request.form(max_fields=20_000)
    raise Denied(415, "api.not_taken")


async def asked_of(request: Request, endpoint: Endpoint) -> Any:
    """What is asked, as `endpoint.takes` says; raises `Denied` where it does not fit."""
    if endpoint.method == "GET":
        # What we don't know in a query does no harm.
        known = set(endpoint.takes.__struct_encode_fields__)
        return fitted(typed({n: request.query_params.getlist(n) for n in known}, endpoint.takes), endpoint.takes)
    sent = await body_of(request)
    given = typed({n: sent.getlist(n) for n in sent}, endpoint.takes) if isinstance(sent, FormData) else dict(sent)
    given.pop("token", None)
    return fitted(given, endpoint.takes)


def fitted(given: Mapping[str, Any], takes: type[Asked]) -> Any:
    """Values as an `Asked` that they fit; raises `Denied`."""
    for path, value in _leaves(given):
        if isinstance(value, str) and not _readable(value):
            raise Denied(400, "console.bad_text", path=path)
    try:
        return msgspec.convert(given, takes)
    except msgspec.ValidationError as error:
        raise _misfit(given, takes, str(error)) from None


def typed(given: Mapping[str, Sequence[Any]], takes: type[Asked]) -> dict[str, Any]:
    """Texts of a form or an address as what they say: numbers, truths, lists. What is empty was not given."""
    kinds = {one.encode_name: one.type for one in type_info(takes).fields}  # type: ignore[attr-defined]
    found: dict[str, Any] = {}
    for name, values in given.items():
        texts = [value for value in values if isinstance(value, str) and value]
        if texts:
            found[name] = _typed(texts, kinds.get(name))
    return found


def _typed(texts: list[str], kind: inspect.Type | None) -> Any:
    """Texts as a type's value; the last of them where it takes but one, as it is where it says nothing of the kind."""
    match kind:
        case inspect.Metadata():
            return _typed(texts, kind.type)
        case inspect.UnionType():
            return _typed(texts, next(one for one in kind.types if not isinstance(one, inspect.NoneType)))
        case inspect.ListType():
            return [_typed([text], kind.item_type) for text in texts]
        case inspect.IntType() if re.fullmatch(r"-?[0-9]{1,19}", texts[-1]):
            return int(texts[-1])
        case inspect.FloatType() if re.fullmatch(r"-?[0-9]{1,15}(\.[0-9]{1,15})?(e[0-9]{1,2})?", texts[-1]):
            return float(texts[-1])
        case inspect.LiteralType() if isinstance(kind.values[0], int) and texts[-1].isascii() and texts[-1].isdecimal():
            return int(texts[-1][:19])
        case inspect.BoolType():
            return {"true": True, "false": False}.get(texts[-1], texts[-1])
        case _:
            return texts[-1]


def _leaves(value: Any, path: str = "$") -> Iterator[tuple[str, Any]]:
    """Everything in a value that holds nothing else, and the names in it, each with its place."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            yield path, name
            yield from _leaves(one, f"{path}.{name}")
    elif isinstance(value, list):
        for i, one in enumerate(value):
            yield from _leaves(one, f"{path}[{i}]")
    else:
        yield path, value


def _readable(text: str) -> bool:
    """Whether a ledger can hold a text."""
    return "\0" not in text and (text.isascii() or not any("\ud800" <= one < "\ue000" for one in text))


def _misfit(given: Mapping[str, Any], takes: type[Asked], told: str) -> Denied:
    """What does not fit, in the reader's words."""
    at = re.search(r"`(\$[^`]*)`$", told)
    path = at[1] if at else "$"
    wrong = (one for one in problems_in(given, takes) if one.severity == "error" and path in ("$", one.path))
    found = next(wrong, None)
    if found is not None:
        return Denied(400, found.message.key, found.message.values, path=found.path, hint=found.hint)
    unknown = sorted(set(given) - set(takes.__struct_encode_fields__))
    if unknown:
        hint = Message("valid.choices", {"choices": ", ".join(takes.__struct_encode_fields__)})
        return Denied(400, "valid.unknown_key", {"key": unknown[0]}, path=f"$.{unknown[0]}", hint=hint)
    value = given.get(path.removeprefix("$."))
    return Denied(400, "api.bad_value", {"value": shown(value)}, path=path, hint=_bounds(takes, path))


def _bounds(takes: type[Asked], path: str) -> Message | None:
    """What a field's value has to keep to."""
    schema = msgspec.json.schema_components([takes])[1][takes.__name__]["properties"].get(path.removeprefix("$."), {})
    for one in (schema, *schema.get("anyOf", ())):
        if "maxLength" in one:
            return Message("api.at_most_long", {"most": one["maxLength"]})
        if "maximum" in one:
            return Message("api.between", {"least": one.get("minimum", 0), "most": one["maximum"]})
    return None


def cut(rows: Sequence[T], limit: int) -> tuple[list[T], bool]:
    """A page of a list of which one more was asked for, and whether there is more."""
    return list(rows[:limit]), len(rows) > limit
