"""Writing: bodies from payloads, and what the target's answer says of each row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec

from noria.connectors.agreement import agreement, is_empty
from noria.connectors.details import with_id
from noria.connectors.envelope import (
    UNREADABLE,
    failure_in,
    in_utf8,
    is_html,
    plain_results,
    refuse_code,
    refuse_error_object,
    same_code,
    unwrapped,
)
from noria.connectors.failures import Failure
from noria.connectors.flags import says_no
from noria.connectors.settings import HttpSettings, Verify
from noria.connectors.transport import Answer, Transport, web_method
from noria.messages import Message
from noria.metadata.paths import MISSING, at


@dataclass(frozen=True)
class Row:
    """A record on its way out: its id and its payload as JSON. `rewritten`: the target has had another content of it
    before."""

    id: str
    payload: bytes
    rewritten: bool = False


@dataclass(frozen=True)
class Written:
    """What a target answered: for each row None when it was written, else why not. `silent`: the positions of rows that
    it said nothing of; they may have been written."""

    answer: Answer
    kept: bytes
    rows: list[Message | None]
    silent: frozenset[int] = frozenset()


class Target:
    """One plan's way into a system."""

    def __init__(
        self,
        transport: Transport,
        settings: HttpSettings,
        *,
        api: str,
        method: str | None,
        batch_size: int | None,
        options: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self.transport = transport
        self.options = options
        self.settings = settings
        self.write = settings.write
        self.api = api
        self.method = web_method(method) or "POST"
        self.batch_size = batch_size or self.write.batch_size
        # How many answers showed that a row is there, and not with which content.
        self.unseen = 0

    @property
    def honours_keys(self) -> bool:
        """Whether sending again under the same idempotency key is safe."""
        return bool(self.write.idempotency_header or self.write.idempotency_field)

    @property
    def can_verify(self) -> bool:
        """Whether the target can be asked for a record."""
        return self.write.verify is not None

    def can_ask(self, payloads: Iterable[bytes]) -> bool:
        """Whether the target can be asked for the records of these."""
        verify = self.write.verify
        return self.can_verify and (verify is None or all(_by(verify, one) is not None for one in payloads))

    def recognizes(self, payloads: Iterable[bytes]) -> bool | None:
        """Whether these can be sent again and make nothing new; None where that isn't known."""
        keys = self.write.keys
        return None if keys is None else all(_field_in(one, keys) is not None for one in payloads)

    def said_of(self, key: str) -> str:
        """The headers of a request that say something of its batch, as JSON; none of them is a secret."""
        headers = {"Content-Type": self.transport.content_type}
        if self.write.idempotency_header:
            headers[self.write.idempotency_header] = key
        return msgspec.json.encode(headers).decode()

    @property
    def alone(self) -> bool:
        """Whether a body is one row by itself, and no array."""
        return self.batch_size == 1

    @property
    def body_path(self) -> str:
        """Where the payloads are in a body: "." for one object, "" for an array, else the array's key."""
        return "." if self.alone else self.write.batch_key

    def body(self, payloads: Sequence[bytes]) -> bytes:
        """The body of a request: one object, an array, or an array under its key."""
        if self.alone:
            return payloads[0]
        array = b"[" + b",".join(payloads) + b"]"
        if not self.write.batch_key:
            return array
        return b"{" + msgspec.json.encode(self.write.batch_key) + b":" + array + b"}"

    async def send(
        self, body: bytes, key: str, rows: Sequence[Row], before: Callable[[], None] = lambda: None
    ) -> Written:
        """Send a body; raises `Failure`. `key` is the batch's idempotency key; `before` is called right before it
        leaves, and may keep it back by raising."""
        headers = {self.write.idempotency_header: key} if self.write.idempotency_header else {}
        if self.write.idempotency_field:
            rows = self.keyed(rows, key)
            body = self.body([row.payload for row in rows])
        # What is refused for its token was not written, and may be sent again.
        answer, results = await self.transport.renewing(self.api, lambda: self._sent(body, headers, rows, before))
        silent = frozenset(i for i, one in enumerate(results) if one is not None and one.key == "reason.no_result")
        return Written(answer, self.transport.kept(answer.body), results, silent)

    def keyed(self, rows: Sequence[Row], key: str) -> list[Row]:
        """The rows as they leave, each with a key of its own that follows from the batch's and from its place; one that
        the plan has made stays."""
        field, found = self.write.idempotency_field, []
        for place, row in enumerate(rows):
            own = sha256(f"{key}/{place}".encode()).hexdigest()[:32]
            found.append(replace(row, payload=with_id(row.payload, field, own)))
        return found

    async def _sent(
        self, body: bytes, headers: dict[str, str], rows: Sequence[Row], before: Callable[[], None]
    ) -> tuple[Answer, list[Message | None]]:
        params: dict[str, Any] = {}
        content: bytes | None = body
        if self.write.sent_in != "body":
            params, content = msgspec.json.decode(body, type=dict[str, Any]), None
        if self.write.sent_in == "form":
            headers = {**headers, "Content-Type": "application/x-www-form-urlencoded"}
            params, content = {}, urlencode(params).encode()
        sent = await self.transport.send(
            self.method, self.api, params=params, body=content, headers=headers, writes=True, before=before
        )
        # What it says matters more than how it is encoded: results with texts in GBK are results.
        answer = self.read(replace(sent, body=in_utf8(sent.body)))
        return answer, self._results(answer, rows)

    def read(self, answer: Answer) -> Answer:
        """The answer in the form that the settings describe: for vendors whose own is another."""
        return answer

    def _results(self, answer: Answer, rows: Sequence[Row]) -> list[Message | None]:
        """Each row's result; a target that gives none wrote them all."""
        if not self.write.results and not self.settings.envelope.code:
            # Nothing is declared: what plainly says that it failed, or is no answer of an API, is heeded all the same.
            if is_html(answer.body):
                raise self.transport.not_json(answer, writes=True)
            refuse_error_object(answer, [], self.transport, deep=True)
            plain = plain_results(answer.body)
            if plain is not None and len(plain) == len(rows):
                return [self._said_plainly(result) for result in plain]
            return [None] * len(rows)
        try:
            body: Any = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw] | list[msgspec.Raw])
            whole = msgspec.json.decode(answer.body) if self.write.results else None
        except UNREADABLE:
            raise self.transport.not_json(answer, writes=True) from None
        if isinstance(body, list) and self.settings.envelope.code and not self.write.results:
            # Without the code that says how it went nobody knows.
            raise self.transport.not_json(answer, writes=True)
        if isinstance(body, dict):
            refuse_code(answer, body, self.settings.envelope, self.transport, writes=True)
        if not self.write.results:
            return [None] * len(rows)
        results = at(whole, self.write.results)
        if isinstance(results, dict) and len(rows) == 1:
            results = [results]
        if not isinstance(results, list):
            raise Failure(
                "doubt",
                Message(
                    "http.no_results",
                    {"path": self.write.results, "answer": self.transport.excerpt(answer.body)},
                ),
                status=answer.status,
                answer=self.transport.kept(answer.body),
                request=answer.request,
            )
        return [self._outcome(result) for result in self.matched(results, rows)]

    def matched(self, results: list[Any], rows: Sequence[Row]) -> list[Any]:
        """Each row's own result, `MISSING` where it can't be told: by id where every id in them is a row's, else by
        order where there are as many and no id contradicts it."""
        path = self.write.result_id
        ids = [_id_text(at(result, path)) if path else None for result in results]
        named: dict[str, list[Any]] = {}
        for one, result in zip(ids, results, strict=True):
            if one is not None:
                named.setdefault(one, []).append(result)
        unnamed = [result for one, result in zip(ids, results, strict=True) if one is None]
        in_order = list(results) if len(results) == len(rows) else None
        own, sent = self._own_ids(rows), _ids_sent(rows)
        for known in (own, sent):
            if known is None or not named or named.keys().isdisjoint(known):
                continue
            whole = named.keys() <= set(known)
            agrees = in_order is not None and all(one not in named or one == ids[i] for i, one in enumerate(known))
            if agrees and not (whole and known is own):
                return in_order or []
            by_id = self._by_id(named, unnamed if whole else [], known)
            # An id that comes twice, or just all of them in another order, is none that the target has given.
            echoed = len(named) == len(known) or any(len(given) > 1 for given in named.values())
            if known is own or in_order is None or echoed or not (whole and all(one.isdigit() for one in named)):
                return by_id
            # Numbers that the target gave by itself may happen to be ids of other rows at the source.
            return in_order
        return in_order if in_order is not None else [MISSING] * len(rows)

    def _by_id(self, named: dict[str, list[Any]], unnamed: list[Any], known: list[str]) -> list[Any]:
        """Results with an id to their rows; of several the one that complains. Those without one are the other rows',
        as far as they all say the same: which of them is whose can't be told."""
        found = {one: max(given, key=lambda result: self._outcome(result) is not None) for one, given in named.items()}
        left = [one for one in known if one not in named]
        if len(unnamed) == len(left) and len({self._outcome(result) is None for result in unnamed}) == 1:
            found.update(zip(left, unnamed, strict=True))
        return [found.get(one, MISSING) for one in known]

    def _own_ids(self, rows: Sequence[Row]) -> list[str] | None:
        """The ids that the payloads themselves carry under the name that results use; None unless all do, each its
        own."""
        found = []
        for row in rows:
            payload = msgspec.json.decode(row.payload)
            found.append(_id_text(at(payload, self.write.result_id)) if isinstance(payload, dict) else None)
        own = [one for one in found if one is not None]
        return own if len(set(own)) == len(rows) else None

    def _said_plainly(self, result: dict[str, Any]) -> Message | None:
        """Why a row failed, by a result that nobody declared and that says so all the same."""
        if failure_in(result, 0) is None:
            return None
        return self.refusal(msgspec.json.encode(result).decode())

    def _outcome(self, result: Any) -> Message | None:
        if result is MISSING:
            return Message("reason.no_result")
        flag = at(result, self.write.result_ok)
        good = self.write.result_ok_values
        fine = any(same_code(flag, one) for one in good) if good is not None else not says_no(flag)
        if fine and flag is not MISSING:
            return None
        said = at(result, self.write.result_message)
        return self.refusal("" if said is MISSING or said is None else str(said))

    def refusal(self, said: str) -> Message:
        """Why a row was refused, in the target's words: bounded, without secrets."""
        return Message("reason.refused_row", {"answer": self.transport.redactor.clean(said)[:300]})

    async def has(self, row: Row) -> bool:
        """Ask the target whether it has the row as it was sent; raises `Failure`, also where that doesn't show."""
        verify = self.write.verify
        if verify is None:
            return False
        by = _by(verify, row.payload)
        if by is None:
            fields = ", ".join(verify.keys)
            raise Failure("permanent", Message("http.not_verified", {"answer": fields}), request=verify.api)
        payload = msgspec.json.decode(row.payload) if row.payload else {}
        own = payload.get(by.field) if isinstance(payload, dict) else None
        asked = row.id if own is None else own
        asking = msgspec.structs.replace(verify, param=by.param)
        try:
            answer, found = await self.transport.renewing(verify.api, lambda: self.shown(asking, row, asked))
        except Failure as failure:
            said = str(failure.message.values.get("answer", "")).strip(" .")
            if failure.status in (404, 410) and not is_html(failure.answer or b""):
                return False
            if verify.missing and said == verify.missing:
                return False
            raise
        try:
            verdicts = [self._shows(payload, by, asked, msgspec.json.decode(one), row) for one in found]
        except UNREADABLE:
            raise self.transport.not_json(answer, writes=False) from None
        if True in verdicts:
            return True
        if None not in verdicts:
            return False
        values = {"answer": self.transport.excerpt(answer.body)}
        raise Failure("permanent", Message("http.not_verified", values), status=answer.status, request=answer.request)

    async def shown(self, verify: Verify, row: Row, asked: Any) -> tuple[Answer, list[bytes]]:
        """What the target shows of a row by its id: the answer, and the records in it. Raises `Failure`."""
        answer = await self.transport.send("GET", verify.api, params={verify.param: asked})
        answer = replace(answer, body=in_utf8(answer.body))
        envelope = msgspec.structs.replace(self.settings.envelope, records=verify.records, total="")
        return answer, unwrapped(answer, envelope, self.transport, one=True)[0]

    def _shows(self, payload: Any, by: _By, asked: Any, found: Any, row: Row) -> bool | None:
        """Whether a row that was found is the one that was sent; None where it doesn't show enough."""
        if not isinstance(payload, dict) or not isinstance(found, dict):
            return agreement(payload, found) if row.payload else True
        same = agreement(asked, found[by.param]) if found.get(by.param) is not None else None
        if same is False or not row.payload:
            return same is not False
        if self.write.keys is not None and by.field not in self.write.keys:
            # To send it again would make another: what is there by this name is what was made.
            return True
        content = {key: value for key, value in payload.items() if key != by.field}
        verdict = agreement(content, found)
        shown = {key for key, value in content.items() if not is_empty(value)}
        if verdict and row.rewritten and not shown <= found.keys():
            # What does not show may be what has changed.
            return False
        if verdict is None and same:
            # It is there, and with which content does not show: that matters where it had another one before.
            self.unseen += bool(content)
            return not content or not row.rewritten
        return verdict


class _By(NamedTuple):
    """What a record is asked for by: a field of its payload, and the parameter that takes it."""

    field: str
    param: str


def _by(verify: Verify, payload: bytes) -> _By | None:
    """What the record of a payload is asked for by; None where it has nothing of the kind."""
    if not verify.keys:
        return _By(verify.param, verify.param)
    field = _field_in(payload, verify.keys)
    return None if field is None else _By(field, verify.keys[field])


def _field_in(payload: bytes, fields: Iterable[str]) -> str | None:
    """The first of these fields that has a value in a payload."""
    sent = msgspec.json.decode(payload) if payload else None
    return next((one for one in fields if isinstance(sent, dict) and not is_empty(sent.get(one))), None)


def _id_text(value: Any) -> str | None:
    """An id in a result as text; None where there is none."""
    return None if value is MISSING or value is None or value == "" else str(value)


def _ids_sent(rows: Sequence[Row]) -> list[str] | None:
    """The records' ids at their source; None unless each was sent with its row, so that a target can know of it."""
    ids = [row.id for row in rows if row.id and _holds(msgspec.json.decode(row.payload), row.id)]
    return ids if len(set(ids)) == len(rows) else None


def _holds(value: Any, text: str) -> bool:
    """Whether a text stands somewhere in a payload, as a whole value."""
    if isinstance(value, dict):
        return any(_holds(one, text) for one in value.values())
    if isinstance(value, list):
        return any(_holds(one, text) for one in value)
    return str(value) == text
