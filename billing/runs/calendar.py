"""The billing calendar: what the runs of a day would do, by the same code, rolled back."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import connection, transaction

from billing.models import RunKind
from billing.runs import batches, runner
from billing.runs.batches import EVERYBODY, OrganizationRange
from core import tenancy
from core.money import Money

# A calendar does the runs of a month for each batch, so its batches are smaller than those of a run.
SIZE = 200
MAX_DAYS_BEFORE = 31
COLUMNS = ("at", "what", "organization", "organization_id", "about", "amount", "currency")
ENTRIES = """SELECT fact.what, fact.organization_id, organization.name, fact.label, fact.at, fact.amount_minor,
        fact.currency
    FROM billing_fact fact JOIN accounts_organization organization ON organization.id = fact.organization_id
    ORDER BY organization.name, fact.organization_id, fact.at, fact.what, fact.label"""
CHARGE = """INSERT INTO billing_fact
    SELECT 'charge', organization_id, coalesce(number, ''), %(at)s, total_minor, currency
    FROM billing_invoice WHERE id = ANY (%(ids)s)"""


@dataclass(frozen=True)
class Entry:
    """One thing that a run would do, such as an invoice, a charge, a suspension or a deletion."""

    what: str
    organization_id: UUID
    organization: str
    label: str
    at: datetime
    amount: Money

    @property
    def cells(self) -> tuple[object, ...]:
        """The entry as a line of CSV."""
        amount = (self.amount.amount, self.amount.currency)
        return (self.at, self.what, self.organization, self.organization_id, self.label, *amount)


def entries(kinds: Collection[RunKind], *, at: datetime, after: Sequence[datetime] = ()) -> Iterator[Entry]:
    """What runs of these kinds at `at` would do, once those of the times `after` have been.

    Batch by batch, each in a transaction that is rolled back: it holds its locks for a moment, as a run does.
    """
    steps = [runner.STEPS[kind] for kind in RunKind if kind in kinds]
    queries = [step.due(at) for step in steps]
    due = " UNION ALL ".join(query for query, _params in queries)
    params = {name: value for _query, named in queries for name, value in named.items()}
    with tenancy.as_worker():
        found = batches.ranges(due, params, within=EVERYBODY, size=SIZE)
    for of in found:
        yield from _batch(steps, of, [*after, at])


def entries_of_day(day: date, *, at: datetime) -> Iterator[Entry]:
    """What the day brings as seen at `at`, if nobody pays or cancels before: all runs once at the end of each day.

    Of more than a month ahead, only the runs of the last month before it are considered.
    """
    end = datetime.combine(day + timedelta(days=1), time(), UTC) - timedelta(microseconds=1)
    days_before = min(MAX_DAYS_BEFORE, (day - at.astimezone(UTC).date()).days)
    before = [end - timedelta(days=count) for count in range(days_before, 0, -1)]
    return entries(RunKind, at=end, after=[at, *before])


def _batch(steps: Sequence[runner.Step], of: OrganizationRange, times: Sequence[datetime]) -> list[Entry]:
    """The entries of one range at the last of these times, after the runs of those before it."""
    with tenancy.as_worker():
        batches.execute(batches.FACTS)
        for at in times:
            batches.execute("TRUNCATE billing_fact")
            for step in steps:
                step.perform(of, at)
                if step.request_charges:
                    charged = [invoice.pk for invoice in step.request_charges(of, at)]
                    batches.execute(CHARGE, {"at": at, "ids": charged})
        with connection.cursor() as cursor:
            cursor.execute(ENTRIES)
            rows = [
                Entry(what, owner, name, label, due, Money(minor, currency))
                for what, owner, name, label, due, minor, currency in cursor.fetchall()
            ]
        transaction.set_rollback(True)
    return rows
