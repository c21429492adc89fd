"""A real work table for tests of durable work: support's deliveries, with the test's own handlers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from django.db import connection

from core import work
from support.models import Delivery

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DUE_INDEX = "support_delivery_due"


def make_item(*, run_at: datetime = NOON, **fields: Any) -> Delivery:
    """A queued row, due at noon."""
    return Delivery.objects.create(
        channel="email",
        recipient="ada@example.com",
        sender="shop@example.com",
        subject="Hello",
        message_id="<1@x>",
        run_at=run_at,
        **fields,
    )


def make_many(count: int, *, state: str) -> None:
    """Rows by the thousand, all due at noon; finished ones as old as that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO support_delivery (id, event, channel, reference, recipient, sender, subject, body, html_body,"
            " headers, message_id, state, attempts, run_at, last_error)"
            " SELECT gen_random_uuid(), '', 'email', '', 'a@b.c', 'd@e.f', 's', '', '', '{}', '<1@x>', %s, 0, %s, ''"
            " FROM generate_series(1, %s)",
            [state, NOON, count],
        )


@contextmanager
def handled_by(handler: Callable[..., work.Reschedule | None]) -> Iterator[None]:
    """Deliveries go to this handler during the block."""
    before = work._handlers[Delivery]
    work.register(Delivery, handler)
    try:
        yield
    finally:
        work.register(Delivery, before)
