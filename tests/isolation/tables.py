"""Rows for any table without knowing its model, and what PostgreSQL's catalog says about who may read it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, models

from core.tenancy import CUSTOMER

# Values for columns that must not be null; the database casts them.
FILLERS = {
    "uuid": "gen_random_uuid()",
    "character varying": "left(md5(random()::text), {length})",
    "text": "md5(random()::text)",
    "timestamp with time zone": "now()",
    "date": "now()::date",
    "boolean": "false",
    "jsonb": "'{{}}'::jsonb",
    "inet": "'192.0.2.1'::inet",
}
NUMBER = "1"
COLUMNS = """
    SELECT column_name, data_type, coalesce(character_maximum_length, 32) FROM information_schema.columns
    WHERE table_schema = 'public' AND table_name = %s AND is_nullable = 'NO' AND column_default IS NULL
      AND is_identity = 'NO' AND is_generated = 'NEVER'"""
CHECKS = "SELECT conname FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'c'"


@contextmanager
def as_owner() -> Iterator[Any]:
    """A cursor as the tables' owner with triggers and foreign keys off, so that rows can stand alone."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = origin")
        cursor.execute("SET LOCAL ROLE nodebyte_worker")


def put_row(model: type[models.Model], **given: Any) -> None:
    """Insert a row with the given values and arbitrary ones elsewhere."""
    table = model._meta.db_table
    with as_owner() as cursor:
        cursor.execute(CHECKS, [table])
        for (name,) in cursor.fetchall():
            cursor.execute(f'ALTER TABLE "{table}" DROP CONSTRAINT "{name}"')
        cursor.execute(COLUMNS, [table])
        fillers = {
            column: FILLERS.get(data_type, NUMBER).format(length=length)
            for column, data_type, length in cursor.fetchall()
            if column not in given
        }
        columns = ", ".join(f'"{name}"' for name in [*given, *fillers])
        values = ", ".join(["%s"] * len(given) + list(fillers.values()))
        cursor.execute(f'INSERT INTO "{table}" ({columns}) VALUES ({values})', list(given.values()))


def is_readable(model: type[models.Model]) -> bool:
    """Whether a customer's role may select from the table at all."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT has_any_column_privilege(%s, %s, 'SELECT')", [CUSTOMER, model._meta.db_table])
        return bool(cursor.fetchone()[0])


def is_secured(model: type[models.Model]) -> bool:
    """Whether row-level security is on, with one policy for the customer's role and a condition on the tenant."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relrowsecurity, p.qual FROM pg_class c LEFT JOIN pg_policies p"
            " ON p.schemaname = 'public' AND p.tablename = c.relname AND %s = ANY (p.roles)"
            " WHERE c.oid = %s::regclass",
            [CUSTOMER, model._meta.db_table],
        )
        found = cursor.fetchall()
    return len(found) == 1 and found[0][0] and "app_" in (found[0][1] or "")
