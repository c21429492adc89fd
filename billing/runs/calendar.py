"""The billing calendar: what the runs of a day would do, by the same code, rolled back."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

from django.db import OperationalError, connection, transaction
from psycopg.errors import LockNotAvailable

from accounts.models import Organization
from billing import auto_top_ups, charge_sync, payments
from billing.gateways.base import GatewayPayment
from billing.models import Payment, PaymentState, RunKind
from billing.runs import batches, runner
from billing.runs.batches import EVERYBODY, OrganizationRange
from core import site_settings, tenancy
from core.money import Money

# A calendar does the runs of a month for each batch, and a payment of one of its organizations may wait as long.
SIZE = 10
MAX_DAYS_BEFORE = 31
BUSY = "busy"  # an organization whose rows somebody else had locked, so that it is left out
# Who pays goes first: the calendar gives up long before the database would look for a deadlock and end either.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '200ms'"
IS_DUE = """SELECT EXISTS (SELECT FROM ({due}) due
    WHERE organization_id > %(after)s AND organization_id <= %(until)s)"""
COLUMNS = ("at", "what", "organization", "organization_id", "about", "amount", "currency")
ENTRIES = """SELECT fact.what, fact.organization_id, organization.name, fact.label, fact.at, fact.amount_minor,
        fact.currency
    FROM billing_fact fact JOIN accounts_organization organization ON organization.id = fact.organization_id
    ORDER BY organization.name, fact.organization_id, fact.at, fact.what, fact.label"""
CHARGE = """INSERT INTO billing_fact
    SELECT 'charge', organization_id, coalesce(number, ''), %(at)s, total_minor, currency
    FROM billing_invoice WHERE id = ANY (%(ids)s)"""

TOP_UP = """INSERT INTO billing_fact
    SELECT 'top-up', organization_id, '', %(at)s, amount_minor, currency
    FROM billing_autotopup WHERE id = ANY (%(ids)s)"""


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

    A charge that is asked for is taken to succeed: who can be charged is not shown as suspended.
    Batch by batch, each in a transaction that is rolled back. It waits for nobody: an organization whose rows are
    locked is one entry that says so.
    """
    steps = [runner.STEPS[kind] for kind in runner.STEPS if kind in kinds]
    found = _ranges(steps, at, within=EVERYBODY, size=SIZE)
    for of in found:
        yield from _entries(steps, of, [*after, at])


def entries_of_day(day: date, *, at: datetime) -> Iterator[Entry]:
    """What the day brings as seen at `at`, if nobody pays by hand or cancels before.

    All runs are done once at the end of each day; of more than a month ahead, only those of the last month before it.
    """
    end = datetime.combine(day + timedelta(days=1), time(), UTC) - timedelta(microseconds=1)
    days_before = min(MAX_DAYS_BEFORE, (day - at.astimezone(UTC).date()).days)
    before = [end - timedelta(days=count) for count in range(days_before, 0, -1)]
    return entries(RunKind, at=end, after=[at, *before])


def _ranges(
    steps: Sequence[runner.Step], at: datetime, *, within: OrganizationRange, size: int
) -> list[OrganizationRange]:
    """The organizations of what any of the runs has to do."""
    queries = [step.due(at) for step in steps]
    due = " UNION ALL ".join(query for query, _params in queries)
    params = {name: value for _query, named in queries for name, value in named.items()}
    with tenancy.as_worker():
        return batches.ranges(due, params, within=within, size=size)


def _entries(steps: Sequence[runner.Step], of: OrganizationRange, times: Sequence[datetime]) -> list[Entry]:
    """The entries of one range. Where a row of it is locked, organization by organization."""
    try:
        return _batch(steps, of, times)
    except OperationalError as error:
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
    single = _ranges(steps, times[-1], within=of, size=1)
    if len(single) < 2:
        owner = Organization.objects.get(pk=of.until)
        return [Entry(BUSY, owner.pk, owner.name, "", times[-1], Money.zero(site_settings.get("shop.currency")))]
    return [entry for each in single for entry in _entries(steps, each, times)]


def _batch(steps: Sequence[runner.Step], of: OrganizationRange, times: Sequence[datetime]) -> list[Entry]:
    """The entries of one range at the last of these times, after the runs of those before it.

    Nothing is locked for a run that has nothing to do.
    """
    with tenancy.as_worker():
        batches.execute(LOCK_TIMEOUT)
        batches.begin()
        for at in times:
            batches.execute("DELETE FROM billing_fact")
            low = low_wallets(of, at)
            for step in steps:
                if is_due(step, of, at):
                    step.perform(of, at)
                    if step.request_charges:
                        charged = [invoice.pk for invoice in step.request_charges(of, at)]
                        batches.execute(CHARGE, {"at": at, "ids": charged})
                        _settle(charged, at)
            batches.execute(TOP_UP, {"at": at, "ids": list(low_wallets(of, at) - low)})
        with connection.cursor() as cursor:
            cursor.execute(ENTRIES)
            rows = [
                Entry(what, owner, name, label, due, Money(minor, currency))
                for what, owner, name, label, due, minor, currency in cursor.fetchall()
            ]
        transaction.set_rollback(True)
    return rows


def _settle(charged: Collection[UUID], at: datetime) -> None:
    """Answer what was just asked of saved methods: paid, or refused for good by a card that is no longer valid then."""
    asked = Payment.objects.filter(invoice__in=charged, state=PaymentState.PENDING).select_related("payment_method")
    for row in asked.order_by("pk"):
        valid_until = row.payment_method.expires_on if row.payment_method else None
        if valid_until is not None and valid_until < at.date():
            charge_sync.fail(payment_id=row.pk, code="expired_card", text="", is_final=True, at=at)
        else:
            money = GatewayPayment(f"calendar-{row.pk}", row.amount, row.is_live, payment_id=row.pk)
            payments.settle(payment_id=row.pk, gateway_payment=money, at=at)


def low_wallets(of: OrganizationRange, at: datetime) -> set[UUID]:
    """The automatic top-ups of the range that would be charged now. One that a run makes so is shown on its day."""
    rows = auto_top_ups.due(at=at).filter(organization__gt=of.after, organization__lte=of.until)
    return set(rows.values_list("pk", flat=True))


def is_due(step: runner.Step, of: OrganizationRange, at: datetime) -> bool:
    """Whether the run has anything to do in the range."""
    query, params = step.due(at)
    with connection.cursor() as cursor:
        cursor.execute(IS_DUE.format(due=query), {**params, **of.params(at)})
        ((is_any,),) = cursor.fetchall()
    return bool(is_any)
