"""The rule that no row lock is held while the network takes its time."""

from django.db import connection


def refuse_transaction(call: str) -> None:
    """Raise RuntimeError where a call to the outside would keep a database transaction open."""
    if connection.in_atomic_block:
        raise RuntimeError(f"{call} was called inside a database transaction")
