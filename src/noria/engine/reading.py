"""Reading a list to its end: page after page, again where it moved meanwhile, from the start where the server asks.

What is done with a page is the caller's: staged by a run or a sweep, compared by a reconciliation.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from copy import copy
from typing import NamedTuple, Protocol

from xxhash import xxh3_128_digest

from noria.connectors.failures import Failure
from noria.connectors.source import SourcePage
from noria.engine.job import Job
from noria.engine.motion import MOST_PASSES, Signs, Usual
from noria.engine.requests import Readable
from noria.engine.retry import GiveUp, Tries
from noria.ledger.arrivals import Arrivals
from noria.messages import Message
from noria.monitoring.traces import span

# Pages in a row with nothing on them that this pass had not shown: the server goes round in a circle.
_MOST_SAME, _MOST_AGAIN = 3, 100
# The same page so many times more: the server has no other. Once may be chance: as many new rows came as fill a page.
_MOST_EQUAL = 2
# Empty pages in a row where only the server's word says that there are more.
_MOST_EMPTY = 100
# After an interruption of more seconds the border is looked at even where the total is what it was.
_LONG_IDLE = 60.0
# How often a read is begun anew in one run because the server asks for it, or has lost the place.
_MOST_RESTARTS = 3


class Taken(NamedTuple):
    """What a page brought: how many arrivals are new or changed, ids that this pass had shown before, how many of them
    say the same, ids that nobody had heard of, ids that came with other content."""

    news: int
    again: list[str]
    same: int
    unknown: list[str]
    changed: list[str]

    @property
    def missing(self) -> int:
        """How many ids nobody had heard of."""
        return len(self.unknown)


class Endless(Failure):
    """A list that shows no more and does not end."""

    def __init__(self, key: str, **values: object) -> None:
        super().__init__("permanent", Message(key, values))


class Taker(Protocol):
    """Who takes the pages of a list. `page` keeps one: `cursor` is where the read goes on after it and `number` how
    many pages it then has; `signs` gives what to remember with it, once it is known what the page brought. `anew` is
    told that the list is gone over again, from its first page or from `cursor` on."""

    def page(
        self, page: SourcePage, arrivals: Arrivals, number: int, cursor: str | None, signs: Callable[[Taken], Signs]
    ) -> Taken: ...

    def anew(self, signs: Signs, cursor: str | None) -> None: ...


class Reading:
    """One read of a source's list. `run()` reads it to its end, and lets the source go."""

    def __init__(
        self,
        job: Job,
        source: Readable,
        arrivals: Callable[[list[bytes]], Arrivals],
        taker: Taker,
        *,
        windowed: bool,
        begin: str | None = None,
        cursor: str | None = None,
        number: int = 0,
        idle: float = 0.0,
        signs: Signs | None = None,
        usual: Usual | None = None,
    ) -> None:
        self.job = job
        self.source = source
        self.arrivals = arrivals
        self.taker = taker
        # Where the list begins; None where it does by itself.
        self.begin = begin
        self.cursor = begin if cursor is None else cursor
        # Where the next read may begin, once this one has come to its end.
        self.bookmark: str | None = None
        self.number = number
        self.idle = idle
        self.signs = signs or Signs()
        self.windowed = windowed or self.signs.partial
        self.usual = usual or Usual()
        self._shown: set[str | None] = set()
        self._reread: set[str | None] = set()
        self._looks = 0
        self._clock_seen = False

    @property
    def settled(self) -> bool:
        """Whether the list stood still long enough that nothing can have slipped past."""
        if self.signs.total and not self.signs.shown and self.signs.short != self.usual.short:
            # Nothing of what is counted: the total of another list, or one that nobody may see.
            return False
        return self.source.remembers or self.signs.settled(self.usual)

    async def run(self) -> bool:
        """Read to the end; False when the run was asked to stop before. Raises `Failure`."""
        try:
            return await self._whole()
        finally:
            await self.source.close()

    async def _whole(self) -> bool:
        restarts = 0
        if self.cursor is not None and not self.source.repeatable(self.cursor):
            # Which page the server would give now is not known.
            self._anew(self.signs.restarted())
        while True:
            try:
                ended = await self._pass() and await self._front()
            except Endless:
                raise
            except Failure as failure:
                forgetful = self.source.remembers and not self.source.certain
                lost = failure.restart or (forgetful and self.cursor is not None)
                if not lost or failure.kind in ("auth", "throttled") or restarts >= _MOST_RESTARTS:
                    raise
                restarts += 1
                self._say("run.restarted", reason=failure.message)
                if failure.kind == "transient":
                    await self.job.sleep(float(self.job.plan.options.retry.wait))
                self._anew(self.signs.restarted())
                continue
            if not ended:
                return False
            self._see_clock()
            if self.signs.total and not self.signs.shown and not self.windowed:
                raise Endless("paging.none_shown", total=self.signs.total)
            if self.settled:
                return True
            if self.signs.passes >= MOST_PASSES:
                self._say("run.unsettled", passes=MOST_PASSES)
                return True
            self._say("run.moved")
            self._anew(self.signs.next_pass())

    def _anew(self, signs: Signs) -> None:
        known = None if self.cursor is None else self.source.resumable(self.cursor)
        self.cursor = self.begin if known is None else known
        # What is read from there on is no whole list.
        signs.partial = known is not None
        self.windowed = self.windowed or signs.partial
        self.number, self.signs = 0, signs
        self._shown, self._reread, self._looks = set(), set(), 0
        self.taker.anew(signs, known)

    async def _pass(self) -> bool:
        """The pages from where the read stands to the last. While a page is taken the next is already on its way."""
        previous, same, again, first = b"", 0, 0, self.cursor == self.begin
        resumed, certain = not first, self.source.certain
        equal, calm, empty = 0, self.signs, set[str]()
        if self.signs.unlooked:
            # The run before this one ended between a page and the look back that it gave cause for.
            await self._step_back(self.source.before(self.cursor))
        fetching = asyncio.ensure_future(self._fetch(self.cursor))
        try:
            while not self.job.reading_stops:
                page = await fetching
                if page.ended_by is not None:
                    page = await self._asked_once_more(page)
                if resumed and self.source.remembers and not certain and not page.records and page.cursor is None:
                    # A cursor that has expired looks like an end.
                    raise _gone_on(page.request)
                resumed = False
                digest = xxh3_128_digest(b",".join(page.records))
                equal = equal + 1 if page.records and digest == previous else 0
                previous = digest
                if equal >= _MOST_EQUAL and not certain:
                    # A server that answers the same page again for ever has no more to give, and nothing has moved.
                    self.signs = calm
                    return self._ended_by_repeats(page)
                if page.ended_by is not None:
                    self._say("run.page_refused", page=self.number + 1, reason=page.ended_by)
                looks = not first and bool(page.records) and self._in_question(page)
                more = max(0, (page.total or 0) - (self.signs.total or 0))
                if page.cursor is not None and not looks:
                    fetching = asyncio.ensure_future(self._fetch(page.cursor, pause=True))
                first = False
                self.signs.unlooked = looks
                here = self.cursor
                taken, arrived = self._take(page)
                if looks:
                    # What is asked later shows newer content, so it has to be taken later, too: the look back after
                    # this page, the next page after the look back.
                    await self._step_back(here, more)
                    if page.cursor is not None:
                        fetching = asyncio.ensure_future(self._fetch(page.cursor, pause=True))
                calm = calm if equal else copy(self.signs)
                same = same + 1 if arrived and taken.same >= arrived else 0
                again = again + 1 if arrived and len(taken.again) >= arrived else 0
                if page.cursor is None:
                    self.bookmark = page.bookmark
                    return True
                if not certain and (same >= _MOST_SAME or again >= _MOST_AGAIN):
                    return self._ended_by_repeats(page)
                if page.records or certain:
                    empty.clear()
                elif page.token in empty or (page.total is None and len(empty) >= _MOST_EMPTY):
                    raise Endless("paging.only_empty", pages=len(empty), page=self.number)
                else:
                    empty.add(page.token or page.cursor)
                await asyncio.sleep(0)
            return False
        finally:
            if not fetching.done():
                fetching.cancel()
            elif not fetching.cancelled():
                fetching.exception()

    async def _asked_once_more(self, page: SourcePage) -> SourcePage:
        """A page that was refused as if it were behind the end: after a while, and when the page before it has been
        answered, it is asked for again, since a server that is being replaced says the same."""
        await self.job.sleep(float(self.job.plan.options.retry.wait))
        before = self.source.before(self.cursor)
        if before is not None:
            await self._fetch(before, pause=True)
        return await self._fetch(self.cursor, pause=True)

    def _ended_by_repeats(self, page: SourcePage) -> bool:
        """The list shows only what it has shown: that is its end, unless it promises more."""
        if (page.more and self.signs.shown <= len(page.records)) or self.signs.short not in (0, self.usual.short):
            total = "?" if self.signs.total is None else self.signs.total
            raise Endless("paging.repeats", rows=self.signs.shown, total=total)
        if not page.extra:
            self._say("run.page_repeated", page=self.number)
        return True

    def _in_question(self, page: SourcePage) -> bool:
        if self.source.remembers:
            return False
        if self.idle > _LONG_IDLE and not self._shown:
            return True
        return self.signs.border_in_question(page.total, windowed=self.windowed)

    def _take(self, page: SourcePage) -> tuple[Taken, int]:
        """The next page of the list; gives what it brought and how many arrivals it had."""
        arrivals = self.arrivals(page.records)
        before, reread = self._shown, self._reread
        self._shown, self._reread = set(arrivals.ids), set()

        def signs(taken: Taken) -> Signs:
            again = taken.again
            if again:
                # What a page has twice in itself, and what a look back has shown already, says nothing of motion.
                own = Counter(arrivals.ids)
                again = [one for one in again if own[one] < 2 and one not in reread]
            self.signs.page(len(page.records), page.total, arrivals.whole(again), before)
            self.signs.missing += taken.missing
            if not self._clock_seen:
                self._see_clock()
            return self.signs

        self.number += 1
        taken = self.taker.page(page, arrivals, self.number, page.cursor, signs)
        self.cursor = page.cursor
        return taken, len(arrivals.ids)

    def _see_clock(self) -> None:
        """Note how far the source's clock is behind: at the first page of this run and at the last, as either clock may
        be set in between."""
        self._clock_seen = True
        self.signs.behind = max(self.signs.behind, -(self.source.skew() or 0.0))

    def _look_again(self, page: SourcePage) -> int:
        """A page that was read before, taken once more; gives how many of its rows are new or changed."""
        arrivals = self.arrivals(page.records)
        self._reread |= set(arrivals.ids)

        def signs(taken: Taken) -> Signs:
            self.signs.missing += taken.missing
            self.signs.shown += arrivals.rows_with(taken.unknown)
            return self.signs

        taken = self.taker.page(page, arrivals, self.number, self.cursor, signs)
        return taken.news if arrivals.owners is None else arrivals.rows_with(taken.unknown + taken.changed)

    async def _step_back(self, cursor: str | None, more: int = 0) -> None:
        """Read the page before that at `cursor` again, and those before it, as long as they show what was not there;
        all looks back of a pass together cost no more than the pass. `more`: how many rows the list has gained, which
        explain as many that were pushed back when they are found here."""
        at = self.source.before(cursor)
        while at is not None and not self.job.reading_stops:
            if self._looks > self.number + 1:
                self.signs.open = True
                break
            self._looks += 1
            page = await self._fetch(at, pause=True)
            news = self._look_again(page)
            if not news:
                break
            self.signs.ahead += min(news, more)
            more -= min(news, more)
            at = self.source.before(at)
        self.signs.unlooked = self.job.reading_stops

    async def _front(self) -> bool:
        """When rows were pushed back, what pushed them is ahead of them: read from the first page on, as long as that
        shows something new."""
        if self.source.remembers or not self.signs.pushed:
            return True
        at: str | None = None
        looked = 0
        while not self.job.reading_stops:
            looked += 1
            if looked > self.number + 1:
                # As long as the list itself, and still something new: it changes with every look.
                self.signs.open = True
                return True
            page = await self._fetch(at, pause=True)
            news = self._look_again(page)
            self.signs.ahead += news
            at = page.cursor
            if not news or at is None:
                return True
        return False

    async def _fetch(self, cursor: str | None, *, pause: bool = False) -> SourcePage:
        """A page, tried again as the plan's retry says; raises `Failure` when that is used up."""
        delay = self.job.plan.source.metadata.delay
        if pause and delay:
            await self.job.clock.sleep(float(delay))
        tries = Tries(self.job.plan.options.retry)
        while True:
            try:
                with span("page", plan=self.job.plan.key, run_id=self.job.run.run_id, number=self.number + 1):
                    page = await self.source.fetch(cursor)
                if tries.failed and self._may_have_gone_on(cursor, page):
                    raise _gone_on(page.request)
                return page
            except Failure as failure:
                decision = tries.after(failure)
                if failure.kind in ("transient", "doubt") and cursor and not self.source.repeatable(cursor):
                    failure.restart = True
                if isinstance(decision, GiveUp) or failure.restart or self.job.reading_stops:
                    raise
                self.job.counts.retried += 1
                self._say("run.retry", what=failure.request, reason=failure.message, seconds=round(decision.seconds, 1))
                await self.job.sleep(decision.seconds)
                if self.job.reading_stops:
                    raise

    def _may_have_gone_on(self, cursor: str | None, page: SourcePage) -> bool:
        """Whether a page that came after a failed try may be the one after that which was asked for, because the server
        goes on by itself."""
        if not self.source.remembers or self.source.certain or cursor is None:
            return False
        return not page.records if page.cursor is None else not self.source.repeatable(page.cursor)

    def _say(self, key: str, **values: object) -> None:
        self.job.workspace.observer.said(self.job.plan.key, Message(key, values))


def _gone_on(request: str) -> Failure:
    failure = Failure("transient", Message("paging.gone_on"), request=request)
    failure.restart = True
    return failure
