"""The rule that keeps row locks off the network."""

from django.db import connection


def refuse_transaction() -> None:
    """Stop a caller who would hold row locks while the network takes its time."""
    if connection.in_atomic_block:
        raise RuntimeError("a provider is never called inside a database transaction")
