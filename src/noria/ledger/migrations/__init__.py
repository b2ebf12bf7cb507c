"""Migrations of the ledger's schema, run by Alembic when a ledger is opened by a newer noria."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Engine

from noria.messages import Message
from noria.metadata.errors import NoriaError

HEAD = "0013"


def upgrade(engine: Engine, found: str | None) -> None:
    """Bring the database to `HEAD`, in one transaction. Raises `NoriaError` when it is from a newer noria."""
    # Imported here: most commands open a ledger that needs no migration, and Alembic is slow to load.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["engine"] = engine
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found is not None and found not in known:
        raise NoriaError("ledger", Message("ledger.newer", {"version": found}), hint=Message("ledger.newer_hint"))
    command.upgrade(config, "head")
