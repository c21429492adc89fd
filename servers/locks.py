"""Locks that outlive a transaction: PostgreSQL's own, given back when the work ends or its process dies."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from servers.drivers.guard import refuse_transaction

SPACE = "servers:"


@contextmanager
def held(name: str) -> Iterator[bool]:
    """Whether the block has the lock to itself; it does not wait. Not inside a transaction, which would outlive it."""
    refuse_transaction()
    is_ours = _ask("pg_try_advisory_lock", name)
    try:
        yield is_ours
    finally:
        if is_ours:
            _ask("pg_advisory_unlock", name)


def _ask(function: str, name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [SPACE + name])
        return bool(cursor.fetchone()[0])
