"""The envelope around an answer: where the records are, what the business code says, how many there are in all."""

from __future__ import annotations

from typing import Any

import msgspec

from noria.connectors.failures import Failure, Kind
from noria.connectors.flags import says_no, says_nothing
from noria.connectors.settings import Envelope
from noria.connectors.transport import Answer, Judge, Transport
from noria.messages import Message
from noria.metadata.paths import MISSING, at, put
from noria.metadata.validation import shown

# What decoding raises for an answer that is no JSON, is nested without end, or is not UTF-8.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class Shape:
    """Takes the usual answer apart in one pass: the records as they came, the business code, the total.

    An answer of any other form is a `msgspec.DecodeError`, and is left to those who look more closely.
    """

    def __init__(self, envelope: Envelope) -> None:
        self.records = envelope.records.split("|")[0]
        self.code = envelope.code.split("|")[0]
        self.totals = [path for path in envelope.total.split("|") if path]
        tree: dict[str, Any] = {}
        for path in (*self.totals, self.code):
            if path:
                put(tree, path, Any)
        put(tree, self.records, list[msgspec.Raw])
        self._decoder = msgspec.json.Decoder(_struct(tree, self.records.split(".")))

    def take(self, body: bytes) -> tuple[list[bytes], Any, int | None]:
        """Records, business code (`MISSING` where there is none) and total."""
        found = self._decoder.decode(body)
        totals = (_attribute(found, path) for path in self.totals)
        total = next((number for one in totals if (number := _counted(one)) is not None), None)
        code = _attribute(found, self.code) if self.code else MISSING
        return [bytes(raw) for raw in _attribute(found, self.records)], code, total


def _struct(tree: dict[str, Any], needed: list[str]) -> Any:
    """A struct type for a tree of keys; only the keys on the way to the records must be there."""
    fields: list[Any] = []
    for key, leaf in sorted(tree.items(), key=lambda entry: entry[0] != needed[0]):
        on_the_way = key == needed[0]
        kind = _struct(leaf, needed[1:] if on_the_way else [""]) if isinstance(leaf, dict) else leaf
        fields.append((key, kind) if on_the_way else (key, kind, MISSING))
    renamed = {f"f_{i}": field[0] for i, field in enumerate(fields)}
    fields = [(f"f_{i}", *field[1:]) for i, field in enumerate(fields)]
    return msgspec.defstruct("Shape", fields, rename=renamed)


def _attribute(found: Any, path: str) -> Any:
    for step in path.split("."):
        if not isinstance(found, msgspec.Struct):
            return MISSING
        names = found.__struct_encode_fields__
        found = getattr(found, f"f_{names.index(step)}")
    return found


def unwrapped(
    answer: Answer,
    envelope: Envelope,
    transport: Transport,
    auth_codes: frozenset[str] = frozenset(),
    *,
    shape: Shape | None = None,
    one: bool = False,
) -> tuple[list[bytes], int | None, Any]:
    """An answer's records as they came, the total, and the body for cursors; raises `Failure` when the answer is not
    JSON, says that it failed, or has no list where one should be. `shape` makes the usual answer quick; `one`: an
    object where the list should be is the one record that was asked for."""
    if shape is not None:
        try:
            records, code, total = shape.take(answer.body)
        except UNREADABLE:
            pass  # not the usual answer: below it is taken apart with an eye for what is wrong
        else:
            if (code is MISSING and not envelope.code) or _succeeded(code, envelope):
                return records, total, None
    return _taken_apart(answer, envelope, transport, auth_codes, one)


def _taken_apart(
    answer: Answer, envelope: Envelope, transport: Transport, auth_codes: frozenset[str], one: bool
) -> tuple[list[bytes], int | None, Any]:
    try:
        if answer.body.lstrip()[:1] == b"[":
            # A bare array is the records themselves, whatever the envelope says of objects.
            return [bytes(raw) for raw in _ARRAY.decode(answer.body)], None, None
        body = _OBJECT.decode(answer.body)
    except msgspec.ValidationError:
        raise _no_list(answer, transport, "", answer.body) from None
    except UNREADABLE:
        raise transport.not_json(answer, writes=False) from None
    refuse_code(answer, body, envelope, transport, writes=False, auth_codes=auth_codes)
    found, path = _list_in(body, envelope.records)
    if found is None:
        raise _no_list(answer, transport, envelope.records, answer.body)
    try:
        records = [bytes(raw) for raw in _ARRAY.decode(found)]
    except msgspec.DecodeError:
        if found.strip() in (b"null", b"{}", b'""'):
            records = []  # how some servers write an empty list
        elif envelope.records == "" or (one and found.lstrip().startswith(b"{")):
            records = [found]
        else:
            raise _no_list(answer, transport, envelope.records, found) from None
    return records, _total(body, envelope.total), _small(body, path)


def _list_in(body: dict[str, msgspec.Raw], paths: str) -> tuple[bytes | None, str]:
    """What stands at the first of several paths (separated by `|`) that leads to an array, else to anything."""
    found: list[tuple[bytes, str]] = []
    for path in paths.split("|"):
        raw = _step_down(body, path)
        if raw is not None:
            found.append((raw, path))
            if raw.lstrip()[:1] == b"[":
                return raw, path
    return found[0] if found else (None, paths)


def _succeeded(code: Any, envelope: Envelope) -> bool:
    return any(same_code(code, good) for good in envelope.success)


def same_code(code: Any, declared: Any) -> bool:
    """Whether a code is the one that was declared, as a number or as a text; a truth is no number."""
    if isinstance(code, bool) is not isinstance(declared, bool):
        return str(code).lower() == str(declared).lower()
    return bool(code == declared) or str(code) == str(declared)


def refuse_code(
    answer: Answer,
    body: dict[str, msgspec.Raw],
    envelope: Envelope,
    transport: Transport,
    *,
    writes: bool,
    auth_codes: frozenset[str] = frozenset(),
) -> None:
    """Raise `Failure` when the business code inside an HTTP 200 is not one of success."""
    if not envelope.code:
        return
    code = _first_in(body, envelope.code)
    if _succeeded(code, envelope):
        return
    text = _first_in(body, envelope.message) if envelope.message else None
    said = text if text is not None else transport.excerpt(answer.body)
    values = {"code": shown(code), "answer": transport.redactor.clean(str(said))[:300]}
    kind: Kind = "permanent"
    wait = None
    if error_word(answer) in auth_codes:
        kind = "auth"
    elif (known := _kind_of(code, envelope)) is not None:
        kind, wait = known
        if kind == "doubt" and not writes:
            kind = "transient"
        if wait is not None:
            transport.gate.hold(wait)
    raise Failure(
        kind,
        Message("http.business", values),
        status=answer.status,
        retry_after=wait,
        answer=transport.kept(answer.body),
        request=answer.request,
        code=code,
    )


def _first_in(body: dict[str, msgspec.Raw], paths: str) -> Any:
    """The value at the first of several paths (separated by `|`) that leads anywhere; None where none does."""
    raw = next((found for path in paths.split("|") if (found := _step_down(body, path)) is not None), None)
    return _readable(raw) if raw is not None else None


def _kind_of(code: Any, envelope: Envelope) -> tuple[Kind, float | None] | None:
    """How a request failed by its business code, and how long nobody is to send; None for a code of no such list."""
    if any(same_code(code, one) for one in envelope.expired):
        return "auth", None
    if any(same_code(code, one) for one in envelope.throttled):
        wait = envelope.waits.get(str(code))
        return "throttled", None if wait is None else float(wait)
    if any(same_code(code, one) for one in envelope.doubt):
        return "doubt", None
    return None


def judge_of(envelope: Envelope) -> Judge:
    """What the body of an answer with an error's status says, by the codes that the envelope declares. Such a request
    was refused: nobody is in doubt of it."""

    def judge(content: bytes) -> tuple[Kind, float | None] | None:
        if not envelope.code:
            return None
        try:
            known = _kind_of(_first_in(_OBJECT.decode(content), envelope.code), envelope)
        except UNREADABLE:
            return None
        return known if known is not None and known[0] != "doubt" else None

    return judge


def refuse_error_object(answer: Answer, id_paths: list[str], transport: Transport, *, deep: bool = False) -> None:
    """Raise `Failure` for an object that says that something failed, where no envelope is declared; not for one that
    has an id, and so may be a record. `deep`: also where a vendor hides it further in."""
    try:
        body = msgspec.json.decode(answer.body)
    except UNREADABLE:
        return
    if not isinstance(body, dict) or any(at(body, path) is not MISSING for path in id_paths):
        return
    failed = failure_in(body, _DEPTH if deep else 0)
    if failed is not None:
        values = {"code": shown(failed), "answer": transport.excerpt(answer.body)}
        kept = transport.kept(answer.body)
        raise Failure(
            "permanent", Message("http.business", values), status=answer.status, answer=kept, request=answer.request
        )


def failure_in(body: dict[str, Any], depth: int) -> Any:
    """What in an answer says that something failed; None where nothing does."""
    told = any(name.lower() in _TOLD for name in body)
    for name, value in body.items():
        key = name.lower().replace("_", "")
        if (
            (key in _FLAGS and value is not None and says_no(value))
            or (key in _ERROR_CODES and not says_nothing(value))
            or (key in _WORDS and told and isinstance(value, str) and value.strip().lower() in _FAILED)
        ):
            return value
        if isinstance(value, dict) and depth and key in _WRAPPERS:
            found = failure_in(value, depth - 1)
            if found is not None:
                return found
    return None


def plain_results(body: bytes) -> list[dict[str, Any]] | None:
    """An answer's results row by row where nobody declared any: a list of objects each of which says whether it went
    well; None where there is no such list."""
    try:
        answer = msgspec.json.decode(body)
    except UNREADABLE:
        return None
    lists = [answer] if isinstance(answer, list) else list(answer.values()) if isinstance(answer, dict) else []
    for found in lists:
        if isinstance(found, list) and found and all(isinstance(one, dict) and _has_flag(one) for one in found):
            return found
    return None


def _has_flag(result: dict[str, Any]) -> bool:
    return any(name.lower().replace("_", "") in _FLAGS for name in result)


def is_html(body: bytes) -> bool:
    """Whether an answer is a page for people, and so not one of an API."""
    return body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def in_utf8(body: bytes) -> bytes:
    """An answer's bytes in UTF-8, whatever it is encoded in: that of mainland China's older systems, if it is not."""
    try:
        body.decode()
    except UnicodeDecodeError:
        try:
            return body.decode("gb18030").encode()
        except UnicodeDecodeError:
            return body.decode("utf-8", "replace").encode()
    return body


def _readable(raw: bytes) -> Any:
    """A value as far as it can be read, whatever its encoding."""
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        return in_utf8(raw).decode().strip('"')


# What error codes are called where no envelope is declared.
_ERROR_CODES = frozenset(("errcode", "errorcode", "error", "errors", "errorresponse"))
_FLAGS = frozenset(("success", "ok", "issuccess", "succeeded"))
# Words for how it went, where the answer has something to tell besides; else a record of that status may be echoed.
_WORDS = frozenset(("flag", "status", "result", "state"))
_TOLD = frozenset(("message", "msg", "errmsg", "submsg", "sub_msg", "code", "error_msg", "errormsg"))
# Where vendors put it further in: 金蝶's is Result.ResponseStatus.IsSuccess.
_WRAPPERS = frozenset(("result", "responsestatus", "response"))
_FAILED = frozenset(("failure", "failed", "fail", "error"))
_DEPTH = 2


def error_word(answer: Answer) -> str | None:
    """The `error` of a bare OAuth error, where an answer is one."""
    if b'"error"' not in answer.body[:4096]:
        return None
    try:
        word = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw]).get("error")
        return str(msgspec.json.decode(word)) if word is not None else None
    except msgspec.DecodeError:
        return None


def _step_down(body: dict[str, msgspec.Raw], path: str) -> bytes | None:
    """The bytes at a dotted path, decoding no more than the way there; None when it leads nowhere."""
    if not path:
        return msgspec.json.encode(body)
    steps = path.split(".")
    for i, step in enumerate(steps):
        raw = body.get(step)
        if raw is None:
            return None
        if i == len(steps) - 1:
            return bytes(raw)
        try:
            body = _OBJECT.decode(raw)
        except msgspec.DecodeError:
            return None
    return None


def _total(body: dict[str, msgspec.Raw], paths: str) -> int | None:
    """The total, at the first of several paths (separated by `|`) that holds a number."""
    for path in paths.split("|") if paths else ():
        raw = _step_down(body, path)
        number = _counted(msgspec.json.decode(raw)) if raw is not None else None
        if number is not None:
            return number
    return None


def _counted(value: Any) -> int | None:
    """A number of rows, also one that is written as a text or a fraction; None for anything else."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        return None
    return int(value)


def _small(body: dict[str, msgspec.Raw], records: str) -> Any:
    """The body without its records: where cursors are looked for."""
    first, _, rest = records.partition(".")
    small: dict[str, Any] = {}
    for key, raw in body.items():
        if key != first:
            small[key] = msgspec.json.decode(raw)
        elif rest:
            try:
                small[key] = _small(_OBJECT.decode(raw), rest)
            except msgspec.DecodeError:
                continue
    return small


def _no_list(answer: Answer, transport: Transport, path: str, found: bytes) -> Failure:
    values = {"path": path or "$", "answer": transport.excerpt(found)}
    return Failure(
        "permanent",
        Message("http.no_records", values),
        status=answer.status,
        answer=transport.kept(answer.body),
        request=answer.request,
    )
