"""Resetting the test database between tests that really commit.

Django's flush cannot: the runtime role may not truncate, and the append-only tables refuse everybody. The owner can,
with triggers off. Rows that migrations inserted (series, permissions, content types) are put back as they were.
"""

import copy
from collections.abc import Callable
from typing import Any

import psycopg
from django.db import connections, transaction

from core import site_settings

MIGRATED = "migrated"
TABLES = "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = %s AND tablename <> 'django_migrations'"
LOCK_TIMEOUT = "10s"  # a thread that a test forgot must fail the reset rather than block it
_owners: list[psycopg.Connection[Any]] = []  # at most one
_built: dict[str, tuple[str, Any]] = {}  # by schema: of which file the rows are, and what was returned


def save_migrated_rows() -> None:
    """Save what the migrations inserted; called once, on a new database."""
    save_rows(MIGRATED)


def save_rows(schema: str) -> None:
    """Copy every table's present rows into a schema, for `reset(to=…)` to bring back."""
    with transaction.atomic(), connections["default"].cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
        cursor.execute(f"CREATE SCHEMA {schema}")
        for table in _tables(cursor, "public"):
            cursor.execute(f"SELECT EXISTS (TABLE public.{table})")
            if cursor.fetchone()[0]:
                cursor.execute(f"CREATE TABLE {schema}.{table} AS TABLE public.{table}")


def reset(to: str = MIGRATED) -> None:
    """Bring every table back to what the migrations left, or to what `save_rows` saved."""
    connections["default"].close()
    owner = _owner()
    with owner.transaction(), owner.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        cursor.execute(";".join(f"DELETE FROM public.{table}" for table in _tables(cursor, "public")))
        cursor.execute(";".join(f"INSERT INTO public.{table} TABLE {to}.{table}" for table in _tables(cursor, to)))
    site_settings.clear_cache()


def build_once[T](schema: str, file: str, build: Callable[[], T]) -> T:
    """What `build` returns, and its rows in an empty database: made for a file's first test, restored for the others.

    Once for each file, because rows made long ago are too old for some tests: their clock is the real one.
    """
    if schema in _built and _built[schema][0] == file:
        reset(to=schema)
    else:
        made = build()
        save_rows(schema)
        _built[schema] = file, made
    return copy.deepcopy(_built[schema][1])  # type: ignore[no-any-return]


def disconnect() -> None:
    """Close the connection that `reset` keeps; the database can be dropped then."""
    while _owners:
        _owners.pop().close()


def _owner() -> psycopg.Connection[Any]:
    """A connection of the login role that stays open.

    A new one spends 35 ms of a core on reading what our 73 tables are; deleting from them takes 3.
    """
    try:
        _owners[0].execute("SELECT 1")
    except (IndexError, psycopg.OperationalError):  # none yet, or a test ended it
        disconnect()
        _owners.append(psycopg.connect(**connections["default"].get_connection_params(), autocommit=True))
    return _owners[0]


def _tables(cursor: Any, schema: str) -> list[str]:
    cursor.execute(TABLES, [schema])
    return [name for (name,) in cursor.fetchall()]
