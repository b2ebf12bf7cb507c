"""Writing: bodies from payloads, and what the target's answer says of each row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from noria.connectors.envelope import refuse_code, refuse_error_object, unwrapped
from noria.connectors.failures import Failure
from noria.connectors.flags import says_no
from noria.connectors.settings import HttpSettings
from noria.connectors.transport import Answer, Transport
from noria.messages import Message
from noria.metadata.paths import MISSING, at


@dataclass(frozen=True)
class Row:
    """A record on its way out: its id and its payload as JSON."""

    id: str
    payload: bytes


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
        """Results to rows: by id where every result has one, else by order; a row without a result failed."""
        ids = [at(result, self.write.result_id) for result in results] if self.write.result_id else []
        by_id = {str(i): result for i, result in zip(ids, results, strict=False)}
        if ids and MISSING not in ids and None not in ids and len(by_id) == len(results):
            found = [by_id.get(row.id, by_id.get(self._own_id(row), MISSING)) for row in rows]
            if any(result is not MISSING for result in found):
                return [self._outcome(result) for result in found]
        if len(results) == len(rows):
            return [self._outcome(result) for result in results]
        return [Message("reason.no_result")] * len(rows)

    def _own_id(self, row: Row) -> str:
        """The id that a payload itself carries under the name that results use."""
        payload = msgspec.json.decode(row.payload)
        value = at(payload, self.write.result_id) if isinstance(payload, dict) else MISSING
        return row.id if value is MISSING else str(value)

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
        """Ask the target whether it has the row as it was sent; raises `Failure`."""
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
        return any(agrees(payload, msgspec.json.decode(one)) for one in found)


def _is_html(body: bytes) -> bool:
    """Whether an answer is a page for people, and so not one of an API."""
    return body[:200].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def agrees(sent: Any, found: Any) -> bool:
    """Whether a found row shows what was sent, as far as it shows those fields at all."""
    if not isinstance(sent, dict) or not isinstance(found, dict):
        return bool(found == sent)
    return all(
        str(found[key]) == str(value) or found[key] == value
        for key, value in sent.items()
        if key in found and value is not None and not isinstance(value, dict | list)
    )
