"""Locks that outlive a transaction: PostgreSQL's advisory locks, released when the work or its process ends."""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

from core.outside import refuse_transaction

PREFIX = "servers:"


@contextmanager
def advisory_lock(name: str) -> Iterator[bool]:
    """Whether the block has the lock; it does not wait for it. Not inside a transaction, which would outlive it."""
    refuse_transaction("an advisory lock")
    is_locked = _call("pg_try_advisory_lock", name)
    try:
        yield is_locked
    finally:
        if is_locked:
            _call("pg_advisory_unlock", name)


@contextmanager
def waiting_lock(name: str) -> Iterator[None]:
    """Run the block when nobody else has the lock. Within a transaction it is kept until that ends."""
    if connection.in_atomic_block:
        _call("pg_advisory_xact_lock", name)
        yield
        return
    _call("pg_advisory_lock", name)
    try:
        yield
    finally:
        _call("pg_advisory_unlock", name)


def _call(function: str, name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {function}(hashtextextended(%s, 0))", [PREFIX + name])
        return bool(cursor.fetchone()[0])
