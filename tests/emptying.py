"""Emptying the test database between tests that really commit.

Django's flush cannot: the runtime role may not truncate, and the append-only tables refuse everybody. The owner can,
with triggers off. Rows that migrations brought (series, permissions, content types) are put back as they were.
"""

from typing import Any

from django.db import connections, transaction

from core import site_settings

SEED = "seed"
TABLES = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'django_migrations'"
PATIENCE = "10s"  # a thread that a test forgot must fail the emptying rather than hang it


def set_migrated_rows_aside() -> None:
    """Note what the migrations brought; called once, on a freshly made database."""
    set_aside(SEED)


def set_aside(schema: str) -> None:
    """Note every table's present rows under a name of their own, for `empty(to=…)` to bring back."""
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        cursor.execute(f"CREATE SCHEMA {schema}")
        for table in _tables(cursor):
            cursor.execute(f"CREATE TABLE {schema}.{table} AS TABLE public.{table}")
            if cursor.rowcount == 0:
                cursor.execute(f"DROP TABLE {schema}.{table}")


def empty(to: str = SEED) -> None:
    """Bring every table back to what the migrations left, or to what `set_aside` noted."""
    connection = connections["default"]
    connection.close()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"SET LOCAL lock_timeout = '{PATIENCE}'")
        cursor.execute(";".join(f"DELETE FROM public.{table}" for table in _tables(cursor)))
        kept = _tables(cursor, schema=to)
        cursor.execute(";".join(f"INSERT INTO public.{table} TABLE {to}.{table}" for table in kept))
    connection.close()
    site_settings.clear_cache()


def _tables(cursor: Any, schema: str = "public") -> list[str]:
    cursor.execute(TABLES.replace("'public'", f"'{schema}'"))
    return [name for (name,) in cursor.fetchall()]
