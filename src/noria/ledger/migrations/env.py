"""Alembic's entry: runs the migrations on the engine that the ledger is being opened with."""

from alembic import context

from noria.ledger.schema import metadata

with context.config.attributes["engine"].begin() as connection:
    if connection.dialect.name == "postgresql":
        # Processes that open a ledger at the same moment take turns; who comes second finds it migrated.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext('noria.migrate'))")
        if connection.dialect.has_table(connection, "leases"):
            # Where every transaction of a run begins: older processes at work wait here, and hold nothing meanwhile.
            connection.exec_driver_sql("LOCK TABLE leases IN ACCESS EXCLUSIVE MODE")
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()
