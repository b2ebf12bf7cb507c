"""What connections remember from process to process, sealed by them."""

from __future__ import annotations

from noria.ledger.store import Store


class Memories:
    """Keeps one thing for each connection."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def of(self, name: str) -> bytes | None:
        """What is kept under a name."""
        rows = self.store.rows("SELECT sealed FROM kept WHERE name = :name", name=name)
        return bytes(rows[0].sealed) if rows else None

    def keep(self, name: str, sealed: bytes) -> None:
        """Keep this, whatever was kept before."""
        with self.store.transaction() as c:
            c.run(
                "INSERT INTO kept (name, sealed) VALUES (:name, :sealed)"
                " ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed",
                {"name": name, "sealed": sealed},
            )
