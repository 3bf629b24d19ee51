"""Alembic's entry: every model is imported here, so that a comparison sees every table."""

import importlib

from alembic import context

from app.database import Base, get_engine

for domain in ("accounts", "videos", "extractions", "notifications", "webhooks"):
    importlib.import_module(f"app.{domain}.models")
for room in ("fleet", "audit"):
    importlib.import_module(f"app.{room}")

# Two starting services must not migrate at once; the number is this project's, and means nothing else.
MIGRATION_LOCK = 7_466_102


def run_migrations_online() -> None:
    with get_engine().connect() as connection:
        context.configure(connection=connection, target_metadata=Base.metadata, compare_server_default=False)
        with context.begin_transaction():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            context.run_migrations()


if context.is_offline_mode():
    raise SystemExit("Fotograma migrates a live database only; set DB_HOST and the others and run without --sql.")
run_migrations_online()
