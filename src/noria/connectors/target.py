"""Writing: bodies from payloads, and what the target's answer says of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from noria.connectors.agreement import agreement
from noria.connectors.envelope import refuse_code, refuse_error_object, unwrapped
from noria.connectors.failures import Failure
from noria.connectors.flags import says_no
from noria.connectors.settings import HttpSettings
from noria.connectors.transport import Answer, Transport
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
    ) -> None:
        self.transport = transport
        self.settings = settings
        self.write = settings.write
        self.api = api
        self.method = (method or "POST").upper()
        self.batch_size = batch_size or self.write.batch_size

    @property
    def honours_keys(self) -> bool:
        """Whether sending again under the same idempotency key is safe."""
        return bool(self.write.idempotency_header)

    @property
    def can_verify(self) -> bool:
        """Whether the target can be asked for a record."""
        return self.write.verify is not None

    @property
    def body_path(self) -> str:
        """Where the payloads are in a body: "." for one object, "" for an array, else the array's key."""
        return "." if self.batch_size == 1 else self.write.batch_key

    def body(self, payloads: Sequence[bytes]) -> bytes:
        """The body of a request: one object, an array, or an array under its key."""
        if self.batch_size == 1:
            return payloads[0]
        array = b"[" + b",".join(payloads) + b"]"
        if not self.write.batch_key:
            return array
        return b"{" + msgspec.json.encode(self.write.batch_key) + b":" + array + b"}"

    async def send(self, body: bytes, key: str, rows: Sequence[Row]) -> Written:
        """Send a body; raises `Failure`. `key` is the batch's idempotency key."""
        headers = {self.write.idempotency_header: key} if self.honours_keys else {}
        answer = await self.transport.send(self.method, self.api, body=body, headers=headers, writes=True)
        results = self._results(answer, rows)
        silent = frozenset(i for i, one in enumerate(results) if one is not None and one.key == "reason.no_result")
        return Written(answer, self.transport.kept(answer.body), results, silent)

    def _results(self, answer: Answer, rows: Sequence[Row]) -> list[Message | None]:
        """Each row's result; a target that gives none wrote them all."""
        if not self.write.results and not self.settings.envelope.code:
            # Nothing is declared: what plainly says that it failed, or is no answer of an API, is heeded all the same.
            if _is_html(answer.body):
                raise self.transport.not_json(answer, writes=True)
            refuse_error_object(answer, [], self.transport)
            return [None] * len(rows)
        try:
            body: Any = msgspec.json.decode(answer.body, type=dict[str, msgspec.Raw] | list[Any])
        except msgspec.DecodeError:
            raise self.transport.not_json(answer, writes=True) from None
        if isinstance(body, dict):
            refuse_code(answer, body, self.settings.envelope, self.transport, writes=True)
        if not self.write.results:
            return [None] * len(rows)
        results = at(msgspec.json.decode(answer.body), self.write.results)
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
        return self._matched(results, rows)

    def _matched(self, results: list[Any], rows: Sequence[Row]) -> list[Message | None]:
        """Results to rows: by id where every id in them is a row's, else by order where there are as many and no id
        contradicts it; the rest has none."""
        path = self.write.result_id
        ids = [_id_text(at(result, path)) if path else None for result in results]
        named = {one: result for one, result in zip(ids, results, strict=True) if one is not None}
        unnamed = [result for one, result in zip(ids, results, strict=True) if one is None]
        distinct = len(named) + len(unnamed) == len(results)
        knowns = [known for known in (self._own_ids(rows), _ids_sent(rows)) if known is not None and distinct]
        for known in knowns:
            if named and named.keys() <= set(known):
                return self._by_id(named, unnamed, known)
        others = [known for known in knowns if not named.keys().isdisjoint(known)]
        for known in others:
            if len(results) != len(rows) or any(one in named and one != ids[i] for i, one in enumerate(known)):
                return [self._outcome(named.get(one, MISSING)) for one in known]
        if len(results) == len(rows):
            return [self._outcome(result) for result in results]
        return [Message("reason.no_result")] * len(rows)

    def _by_id(self, named: dict[str, Any], unnamed: list[Any], known: list[str]) -> list[Message | None]:
        """Results with an id to their rows. Those without one are the other rows', as far as they all say the same:
        which of them is whose can't be told."""
        outcomes = {one: self._outcome(named.get(one, MISSING)) for one in known}
        left = [one for one in known if one not in named]
        verdicts = [self._outcome(result) for result in unnamed]
        if len(verdicts) == len(left) and len({verdict is None for verdict in verdicts}) == 1:
            outcomes.update(zip(left, verdicts, strict=True))
        return [outcomes[one] for one in known]

    def _own_ids(self, rows: Sequence[Row]) -> list[str] | None:
        """The ids that the payloads themselves carry under the name that results use; None unless all do, each its
        own."""
        found = []
        for row in rows:
            payload = msgspec.json.decode(row.payload)
            found.append(_id_text(at(payload, self.write.result_id)) if isinstance(payload, dict) else None)
        own = [one for one in found if one is not None]
        return own if len(set(own)) == len(rows) else None

    def _outcome(self, result: Any) -> Message | None:
        if result is MISSING:
            return Message("reason.no_result")
        flag = at(result, self.write.result_ok)
        good = self.write.result_ok_values
        fine = any(flag == g or str(flag) == str(g) for g in good) if good is not None else not says_no(flag)
        if fine and flag is not MISSING:
            return None
        said = at(result, self.write.result_message)
        text = "" if said is MISSING or said is None else str(said)
        return Message("reason.refused_row", {"answer": self.transport.redactor.clean(text)[:300]})

    async def has(self, row: Row) -> bool:
        """Ask the target whether it has the row as it was sent; raises `Failure`, also where that doesn't show."""
        verify = self.write.verify
        if verify is None:
            return False
        payload = msgspec.json.decode(row.payload) if row.payload else {}
        own = payload.get(verify.param) if isinstance(payload, dict) else None
        asked = row.id if own is None else own
        try:
            answer = await self.transport.send("GET", verify.api, params={verify.param: asked})
        except Failure as failure:
            if failure.status in (404, 410) and not _is_html(failure.answer or b""):
                return False
            raise
        envelope = msgspec.structs.replace(self.settings.envelope, records=verify.records, total="")
        found, _, _ = unwrapped(answer, envelope, self.transport)
        verdicts = [self._shows(payload, asked, msgspec.json.decode(one), row) for one in found]
        if True in verdicts:
            return True
        if None not in verdicts:
            return False
        values = {"answer": self.transport.excerpt(answer.body)}
        raise Failure("permanent", Message("http.not_verified", values), status=answer.status, request=answer.request)

    def _shows(self, payload: Any, asked: Any, found: Any, row: Row) -> bool | None:
        """Whether a row that was found is the one that was sent; None where it doesn't show enough."""
        assert self.write.verify is not None
        param = self.write.verify.param
        if not isinstance(payload, dict) or not isinstance(found, dict):
            return agreement(payload, found) if row.payload else True
        same = agreement(asked, found[param]) if found.get(param) is not None else None
        if same is False or not row.payload:
            return same is not False
        content = {key: value for key, value in payload.items() if key != param}
        verdict = agreement(content, found)
        if verdict is None and same:
            # It is there, and with which content does not show: that matters where it had another one before.
            return not content or not row.rewritten
        return verdict


def _id_text(value: Any) -> str | None:
    """An id in a result as text; None where there is none."""
    return None if value is MISSING or value is None or value == "" else str(value)


def _ids_sent(rows: Sequence[Row]) -> list[str] | None:
    """The records' ids at their source; None unless each was sent with its row, so that a target can know of it."""
    ids = [row.id for row in rows if row.id and row.id.encode() in row.payload]
    return ids if len(set(ids)) == len(rows) else None


def _is_html(body: bytes) -> bool:
    """Whether an answer is a page for people, and so not one of an API."""
    return body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))
