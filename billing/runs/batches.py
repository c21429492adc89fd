"""Ranges of organizations, and what a batch did with one.

A batch is one transaction over all organizations between two ids. An organization is never in two batches of a run, so
its invoices are consolidated, and two workers on different ranges do not meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from accounts.models import BILLING_FIELDS

# Rows of a batch. More is hardly faster, and the locks of a batch are held until it commits: less than a second.
SIZE = 500
# What a batch did, for the counts of its run and for the calendar. `label` and the amount are what staff read.
FACTS = """CREATE TEMPORARY TABLE IF NOT EXISTS billing_fact (what text, organization_id uuid, label text,
    at timestamptz, amount_minor bigint, currency text) ON COMMIT DELETE ROWS"""
# A batch looks hundreds of rows up in tables that may have millions. The run itself fills them: they are in memory, and
# what the planner knows of them is old. Pages are cheap, so that it searches an index rather than read a whole table.
IN_MEMORY = "SET LOCAL seq_page_cost = 0.1; SET LOCAL random_page_cost = 0.1"
# The condition of a batch: rows of the organizations of its range.
OF_RANGE = " AND {table}.organization_id > %(after)s AND {table}.organization_id <= %(until)s"
OF_INVOICE, OF_SUBSCRIPTION = OF_RANGE.format(table="invoice"), OF_RANGE.format(table="subscription")
# An organization, as the address of its invoices keeps it.
ADDRESS = f"jsonb_build_object({', '.join(f"'{name}', organization.{name}" for name in BILLING_FIELDS)})"
# What was done with these subscriptions, as facts of the batch; the amount is that of a period.
NOTE = """INSERT INTO billing_fact SELECT %(what)s, organization_id, label, %(at)s, amount_minor, currency
    FROM billing_subscription WHERE id = ANY (%(ids)s)"""
RANGES = """SELECT (array_agg(organization_id ORDER BY organization_id DESC))[1], sum(rows)::bigint FROM (
        SELECT organization_id, rows,
            (sum(rows) OVER (ORDER BY organization_id) - rows)::bigint / %(size)s AS batch
        FROM (SELECT organization_id, count(*) AS rows FROM ({due}) due
            WHERE organization_id > %(after)s AND organization_id <= %(until)s GROUP BY organization_id) counted
    ) numbered GROUP BY batch ORDER BY batch"""


@dataclass(frozen=True)
class OrganizationRange:
    """Organizations with ids above `after`, up to and with `until`; about so many `rows` are due for them."""

    after: UUID
    until: UUID
    rows: int = 0

    def params(self, at: datetime, **others: Any) -> dict[str, Any]:
        """The parameters of a statement about the range."""
        return {"after": self.after, "until": self.until, "at": at, **others}


EVERYBODY = OrganizationRange(UUID(int=0), UUID(int=2**128 - 1))


def only(organization_id: UUID) -> OrganizationRange:
    """The range of one organization."""
    return OrganizationRange(UUID(int=organization_id.int - 1), organization_id)


def ranges(due: str, params: Mapping[str, Any], *, within: OrganizationRange, size: int) -> list[OrganizationRange]:
    """The range's organizations in batches of about `size` rows of the query `due`, which gives their ids."""
    found, after = [], within.after
    with connection.cursor() as cursor:
        bounds: dict[str, Any] = {"after": within.after, "until": within.until, "size": size}
        cursor.execute(RANGES.format(due=due), {**params, **bounds})
        for until, rows in cursor.fetchall():
            found.append(OrganizationRange(after, until, rows))
            after = until
    return found


def begin() -> None:
    """Prepare the transaction of a batch, in which nothing is noted yet."""
    for statement in (IN_MEMORY, FACTS, "DELETE FROM billing_fact"):
        execute(statement)


def execute(sql: str, params: Mapping[str, Any] | None = None) -> int:
    """Run one statement; how many rows it found or wrote."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return int(cursor.rowcount)


def ids(sql: str, params: Mapping[str, Any]) -> list[UUID]:
    """The first column of what a statement returns."""
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return [row[0] for row in cursor.fetchall()]


def counted() -> dict[str, int]:
    """What this transaction's batches did: how many of each kind."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT what, count(*) FROM billing_fact GROUP BY what ORDER BY what")
        return dict(cursor.fetchall())
