"""Write-back (`callBackStrategy`): rows that plans hand over after their write, as the source of another plan.

Nothing is pushed: the plan that takes the rows reads them out of the ledger, from what was delivered since its last
read, so a crash between a write and its hand-over loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from xxhash import xxh3_128_hexdigest

from noria.connectors.settings import Write
from noria.connectors.source import Lasting, SourcePage
from noria.connectors.target import Row
from noria.engine.answers import decoded, rules_of
from noria.engine.targets import target_of
from noria.engine.workspace import Workspace
from noria.ledger.delivery import Delivery
from noria.ledger.records import rows_of
from noria.mapping import Environment, MappingError, compile_mapping, encode
from noria.messages import Message
from noria.metadata.documents import Item, tree_of
from noria.metadata.macros import Moment
from noria.metadata.paths import MISSING, at
from noria.metadata.plan import Plan

_PAGE = 200
# Looking further back costs little here, and makes up for a clock that was wrong, in seconds.
_OVERLAP = 3 * 86_400
_DELIVERED = (
    "SELECT s.seq, s.id, s.page_id, s.position, s.batch_id FROM record_states s"
    " JOIN batches b ON b.batch_id = s.batch_id WHERE s.plan_id = :p AND s.seq > :after AND s.stray = 0"
    " AND s.state = 'delivered' AND b.finished_at >= :since ORDER BY s.seq LIMIT :n"
)


class _Place(msgspec.Struct):
    """Where a read stands: the plan that is read, and its last record."""

    plan: str
    seq: int = 0


class Handed(NamedTuple):
    """A plan that hands rows over, ready to be read."""

    plan: Plan
    plan_id: int


class CallbackSource(Lasting):
    """The rows that other plans hand over to one. `fetch(cursor)` reads a page, as a system's list is read."""

    def __init__(self, workspace: Workspace, plan: Plan, moment: Moment) -> None:
        self.workspace = workspace
        self.plan = plan
        self.moment = moment

    def signature(self) -> str:
        """What is asked for: a read is only continued when this is the same."""
        return xxh3_128_hexdigest(msgspec.json.encode([one.plan.key for one in self._handing()]))

    def _handing(self) -> list[Handed]:
        """The plans that hand rows over to this one and have been run, in order of their keys."""
        found = []
        for plan in self.workspace.project.plans()[0]:
            strategy = plan.target.metadata.callBackStrategy
            if strategy and self.plan.answers_to(str(strategy.get("strategyId"))):
                plan_id = self.workspace.ledger.runs.known_plan(plan.key)
                if plan_id is not None:
                    found.append(Handed(plan, plan_id))
        return sorted(found, key=lambda one: one.plan.key)

    async def close(self) -> None:
        """Nothing is held."""

    def repeatable(self, cursor: str) -> bool:
        """It can."""
        return True

    def resumable(self, cursor: str) -> str | None:
        """It can always be had."""
        return cursor

    async def fetch(self, cursor: str | None) -> SourcePage:
        """The page at `cursor`."""
        handing = self._handing()
        place = msgspec.json.decode(cursor, type=_Place) if cursor else _Place("")
        for one in handing:
            if one.plan.key < place.plan:
                continue
            after = place.seq if one.plan.key == place.plan else 0
            rows = self.workspace.ledger.store.rows(
                _DELIVERED, p=one.plan_id, after=after, since=self.moment.last_sync - _OVERLAP, n=_PAGE
            )
            if rows:
                following = _Place(one.plan.key, int(rows[-1].seq))
                return SourcePage(
                    list(self._rows(one.plan, rows)), msgspec.json.encode(following).decode(), one.plan.key
                )
        return SourcePage([], None, "")

    def _rows(self, plan: Plan, rows: Sequence[Any]) -> Iterator[bytes]:
        """What each delivered record hands over."""
        target = plan.target.metadata
        strategy = target.callBackStrategy or {}
        handed = compile_mapping(
            [Item(field=name, value=value) for name, value in strategy.items() if name != "strategyId"], plan.maps
        )
        kept = next((item for item in tree_of(target.response or []) if item.field == "primaryWriteback"), None)
        writeback = compile_mapping((kept.children or []) if kept else [], source=True)
        write = self.workspace.connection(plan, "target").settings.write
        rules, env = rules_of(plan), Environment(self.moment)
        for row in rows:
            content = decoded(self.workspace.ledger.lookups.pages.raw(row.page_id, row.position))
            if isinstance(content, Message):
                continue
            reply = self._reply(plan, row, write)
            try:
                content = rules.derived(content, env)
                own = writeback.payload(reply, env) if kept else reply
                yield encode(handed.payload({**content, "primaryWriteback": own}, env))
            except MappingError as error:
                # Kept as a row without an id: the plan that takes it shows it as invalid, with this reason in it.
                yield encode({"error": str(error.message), "plan": plan.key, "record": row.id})

    def _reply(self, plan: Plan, row: Any, write: Write) -> dict[str, Any]:
        """What the target answered for a record: its own result over the whole answer."""
        ledger = self.workspace.ledger
        _, _, answer = ledger.lookups.delivery_of(row.seq, row.page_id)
        if not isinstance(answer, dict):
            return {}
        results = at(answer, write.results) if write.results else MISSING
        own = results
        if isinstance(results, list):
            batch = ledger.store.rows("SELECT * FROM batches WHERE batch_id = :b", b=row.batch_id)[0]
            groups = Delivery.groups(batch)
            place = next(i for i, group in enumerate(groups) if row.seq in group)
            own = self._own(plan, results, batch, groups)[place]
        return {**answer, **own} if isinstance(own, dict) else answer

    def _own(self, plan: Plan, results: list[Any], batch: Any, groups: list[list[int]]) -> list[Any]:
        """Which result is whose, as it was found when the answer came."""
        target = target_of(self.workspace, plan)
        if target is None or batch.body is None:
            return results if len(results) == len(groups) else [MISSING] * len(groups)
        ledger = self.workspace.ledger
        firsts = [group[0] for group in groups]
        ids = ledger.doubts.ids(batch.plan_id, firsts)
        payloads = rows_of(ledger.store.unpack(batch.body), batch.body_path)
        rows = [Row(ids.get(seq, ""), bytes(raw)) for seq, raw in zip(firsts, payloads, strict=True)]
        return target.matched(results, rows)
