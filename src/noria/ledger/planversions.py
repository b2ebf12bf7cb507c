"""What plans' files have held: each text that the console found or wrote, by whom, when."""

from __future__ import annotations

from dataclasses import dataclass

from noria.ledger.store import Store

_FIRST = 2**62


@dataclass(frozen=True, slots=True)
class PlanVersion:
    """A version of a plan's file: its number, when (epoch seconds), who wrote it (None: it was found in the file), a
    remark, the digest of its text."""

    number: int
    at: float
    who: str | None
    note: str | None
    digest: str


class PlanVersions:
    """Keeps versions."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def keep(self, plan: str, text: str, digest: str, at: float, who: str | None, note: str | None) -> int | None:
        """Keep a text as a plan's newest version, unless it is that already; gives its number when it is new."""
        with self.store.transaction() as c:
            newest = c.value(
                "SELECT digest FROM plan_versions WHERE plan = :plan ORDER BY version_id DESC LIMIT 1", {"plan": plan}
            )
            if newest == digest:
                return None
            return int(
                c.value(
                    "INSERT INTO plan_versions (plan, at, who, note, digest, text)"
                    " VALUES (:plan, :at, :who, :note, :digest, :text) RETURNING version_id",
                    {
                        "plan": plan,
                        "at": at,
                        "who": who,
                        "note": note,
                        "digest": digest,
                        "text": self.store.pack(text.encode("utf-8")),
                    },
                )
            )

    def drop(self, plan: str, number: int) -> None:
        """Forget a version that never came into the file."""
        with self.store.transaction() as c:
            c.run(
                "DELETE FROM plan_versions WHERE plan = :plan AND version_id = :number",
                {"plan": plan, "number": number},
            )

    def page(self, plan: str, *, before: int | None = None, limit: int = 50) -> list[PlanVersion]:
        """A plan's newest versions before the one numbered `before`."""
        return [
            PlanVersion(*row)
            for row in self.store.tuples(
                "SELECT version_id, at, who, note, digest FROM plan_versions WHERE plan = :plan"
                " AND version_id < :before ORDER BY version_id DESC LIMIT :n",
                plan=plan,
                before=_FIRST if before is None else before,
                n=limit,
            )
        ]

    def text(self, plan: str, number: int) -> str | None:
        """What a version's text is."""
        rows = self.store.tuples(
            "SELECT text FROM plan_versions WHERE plan = :plan AND version_id = :number", plan=plan, number=number
        )
        return self.store.unpack(rows[0][0]).decode("utf-8") if rows else None
