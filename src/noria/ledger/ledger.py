"""The ledger as the rest of noria uses it: one object, one part for each thing that is done with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from noria.ledger.agenda import Agenda
from noria.ledger.alerts import Alerts
from noria.ledger.assists import Assists
from noria.ledger.audit import Audit
from noria.ledger.browsing import Browsing
from noria.ledger.byhand import ByHand
from noria.ledger.comparing import Comparing
from noria.ledger.delivery import Delivery
from noria.ledger.doubts import Doubts
from noria.ledger.edits import Edits
from noria.ledger.finding import Finding
from noria.ledger.handover import Handover
from noria.ledger.lookups import Lookups
from noria.ledger.memories import Memories
from noria.ledger.opening import open_store
from noria.ledger.pages import Pages
from noria.ledger.parts import Parts
from noria.ledger.planversions import PlanVersions
from noria.ledger.pruning import Pruning
from noria.ledger.reads import Reads
from noria.ledger.reconciliations import Reconciliations
from noria.ledger.records import Records
from noria.ledger.runs import Runs
from noria.ledger.shares import Shares
from noria.ledger.staging import Staging
from noria.ledger.store import Store
from noria.ledger.tallies import Tallies
from noria.ledger.tokens import Tokens
from noria.ledger.versions import Ambiguous
from noria.ledger.vitals import Vitals
from noria.metadata.project import Project


class Ledger:
    """An open ledger. Close it, or use it as a context manager."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.identity: str = store.rows("SELECT value FROM facts WHERE name = 'identity'")[0][0]
        pages, handover = Pages(store), Handover()
        self.runs = Runs(store)
        self.reads = Reads(store)
        self.staging = Staging(store, pages, handover)
        self.ambiguous = Ambiguous(store)
        self.delivery = Delivery(store, pages, handover)
        self.doubts = Doubts(store)
        self.lookups = Lookups(store, pages)
        self.edits = Edits(store)
        self.records = Records(store, self.edits, pages)
        self.audit = Audit(store)
        self.plan_versions = PlanVersions(store)
        self.by_hand = ByHand(store)
        self.browsing = Browsing(store, self.records)
        self.finding = Finding(store, self.browsing)
        self.tallies = Tallies(store)
        self.reconciliations = Reconciliations(store)
        self.comparing = Comparing(store, pages)
        self.pruning = Pruning(store, pages)
        self.agenda = Agenda(store)
        self.alerts = Alerts(store, self.agenda)
        self.vitals = Vitals(store)
        self.assists = Assists(store)
        self.shares = Shares(store, self.assists)
        self.parts = Parts(store, self.assists)
        self.tokens = Tokens(store)
        self.memories = Memories(store)

    def close(self) -> None:
        """Close the database."""
        self.store.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def open_ledger(url: str, folder: Path, *, synchronous: str = "NORMAL") -> Ledger:
    """Open (and create or migrate) the ledger at `url`; raises `NoriaError` when it can't be used."""
    return Ledger(open_store(url, folder, synchronous=synchronous))


def ledger_of(project: Project) -> Ledger:
    """Open a project's ledger; raises `NoriaError` when it can't be used."""
    return open_ledger(project.ledger.url, project.folder, synchronous=project.ledger.synchronous)
