"""Alembic's entry: runs the migrations on the engine that the ledger is being opened with."""

from alembic import context

from noria.ledger.schema import metadata

with context.config.attributes["engine"].begin() as connection:
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
