"""The billing calendar: what the runs of a day would do, by the same code, rolled back."""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from uuid import UUID

from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from psycopg.errors import LockNotAvailable, QueryCanceled

from accounts.models import Organization
from billing import auto_top_ups, charge_sync, payments, saved_charges
from billing.gateways.base import GatewayPayment
from billing.metering import HOUR
from billing.models import AutoTopUp, Payment, PaymentState, RunKind
from billing.runs import batches, runner
from billing.runs.batches import EVERYBODY, OrganizationRange
from billing.saved_charges import ChargeDecision
from core import site_settings, tenancy
from core.money import Money

# A calendar does the runs of a month for each batch, and a payment of one of its organizations may wait as long.
SIZE = 10
MAX_DAYS_BEFORE = 31
BUSY = "busy"  # an organization whose rows somebody else had locked, so that it is left out
# Who pays goes first: the calendar gives up long before the database would look for a deadlock and end either.
LOCK_TIMEOUT = "SET LOCAL lock_timeout = '200ms'"
# No batch comes near it; a statement that does must not keep a session of the database, nor the rows that it locked.
STATEMENT_TIMEOUT = "SET LOCAL statement_timeout = '15s'"
DUE = "SELECT organization_id FROM ({due}) due WHERE organization_id > %(after)s AND organization_id <= %(until)s"
# Each run's own query with its own parameters, of which several have the same name.
ALL_DUE = """CREATE TEMPORARY TABLE IF NOT EXISTS billing_calendar_due (organization_id uuid)
    ON COMMIT DROP"""
COLUMNS = ("at", "what", "organization", "organization_id", "about", "amount", "currency")
ENTRIES = """SELECT fact.what, fact.organization_id, organization.name, fact.label, fact.at, fact.amount_minor,
        fact.currency
    FROM billing_fact fact JOIN accounts_organization organization ON organization.id = fact.organization_id
    ORDER BY organization.name, fact.organization_id, fact.at, fact.what, fact.label"""
SUSPENDED = "SELECT organization_id FROM billing_fact WHERE what = 'suspension' AND organization_id = ANY (%(owners)s)"
CHARGED = """INSERT INTO billing_fact
    SELECT CASE WHEN payment.invoice_id IS NULL THEN 'top-up' ELSE 'charge' END, payment.organization_id,
        coalesce(invoice.number, ''), %(at)s, payment.amount_minor, payment.currency
    FROM billing_payment payment LEFT JOIN billing_invoice invoice ON invoice.id = payment.invoice_id
    WHERE payment.id = %(id)s"""


class TooLong(Exception):
    """The calendar was given up before its end."""


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


def entries(
    kinds: Collection[RunKind],
    *,
    at: datetime,
    after: Sequence[datetime] = (),
    is_over: Callable[[], bool] = lambda: False,
) -> Iterator[Entry]:
    """What runs of these kinds at `at` would do, once those of the times `after` have been.

    A charge that is asked for, of an automatic top-up too, is taken to succeed unless the card is no longer valid then:
    who can be charged is not shown as suspended. What was to be topped up before is taken to be done.
    Batch by batch, each in a transaction that is rolled back. It waits for nobody: an organization whose rows are
    locked is one entry that says so. Raises TooLong before a batch once `is_over` says so, or where a statement takes
    too long.
    """
    steps = [runner.STEPS[kind] for kind in runner.STEPS if kind in kinds]
    found = _ranges(steps, at, within=EVERYBODY, size=SIZE)
    for of in found:
        if is_over():
            raise TooLong
        yield from _entries(steps, of, [*after, at])


def entries_of_day(day: date, *, at: datetime, is_over: Callable[[], bool] = lambda: False) -> Iterator[Entry]:
    """What the day brings as seen at `at`, if nobody pays by hand or cancels before.

    All runs are done once at the end of each day; of more than a month ahead, only those of the last month before it.
    """
    end = datetime.combine(day + timedelta(days=1), time(), UTC) - timedelta(microseconds=1)
    days_before = min(MAX_DAYS_BEFORE, (day - at.astimezone(UTC).date()).days)
    before = [end - timedelta(days=count) for count in range(days_before, 0, -1)]
    return entries(RunKind, at=end, after=[at, *before], is_over=is_over)


def _ranges(
    steps: Sequence[runner.Step], at: datetime, *, within: OrganizationRange, size: int
) -> list[OrganizationRange]:
    """The organizations of what any of the runs has to do."""
    with tenancy.as_worker():
        batches.execute(ALL_DUE)
        batches.execute("DELETE FROM billing_calendar_due")
        for step in steps:
            query, params = step.due(at)
            batches.execute(f"INSERT INTO billing_calendar_due {DUE.format(due=query)}", params | within.params(at))
        return batches.ranges("SELECT organization_id FROM billing_calendar_due", {}, within=within, size=size)


def _entries(steps: Sequence[runner.Step], of: OrganizationRange, times: Sequence[datetime]) -> list[Entry]:
    """The entries of one range. Where a row of it is locked, organization by organization."""
    try:
        return _batch(steps, of, times)
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise TooLong from error
        if not isinstance(error.__cause__, LockNotAvailable):
            raise
    single = _ranges(steps, times[-1], within=of, size=1)
    if len(single) == 1:
        owner = Organization.objects.get(pk=single[0].until)
        return [Entry(BUSY, owner.pk, owner.name, "", times[-1], Money.zero(site_settings.get("shop.currency")))]
    return [entry for each in single for entry in _entries(steps, each, times)]


def _batch(steps: Sequence[runner.Step], of: OrganizationRange, times: Sequence[datetime]) -> list[Entry]:
    """The entries of one range at the last of these times, after the runs of those before it.

    Nothing is locked for a run that has nothing to do.
    """
    with tenancy.as_worker():
        batches.execute(LOCK_TIMEOUT)
        batches.execute(STATEMENT_TIMEOUT)
        batches.begin()
        _top_up(of, times[0])
        for since, at in pairwise((times[0], *times)):
            batches.execute("DELETE FROM billing_fact")
            for step in steps:
                if _is_due(step, of, at):
                    _perform(step, of, since, at)
                    _charge(step, of, at)
                _top_up(of, at)
        found = _noted()
        transaction.set_rollback(True)
    return found


def _is_due(step: runner.Step, of: OrganizationRange, at: datetime) -> bool:
    """Whether the run has anything to do in the range."""
    query, params = step.due(at)
    return bool(batches.ids(f"{DUE.format(due=query)} LIMIT 1", params | of.params(at)))


def _perform(step: runner.Step, of: OrganizationRange, since: datetime, at: datetime) -> None:
    """Do a run, the first after `since`. One that empties a wallet which is topped up when it is low is done in halves.

    In one run of a day's hours they would cost more than the wallet has, although it is topped up between them.
    """
    with tenancy.as_worker():
        step.perform(of, at)
        owners = list(_low(of, at).values_list("organization", flat=True)) if at - since > HOUR else []
        is_too_long = bool(owners and batches.ids(SUSPENDED, {"owners": owners}))
        if is_too_long:
            transaction.set_rollback(True)
    if is_too_long:
        middle = since + (at - since) / 2
        for begin, end in ((since, middle), (middle, at)):
            _perform(step, of, begin, end)
            _top_up(of, end)


def _charge(step: runner.Step, of: OrganizationRange, at: datetime) -> None:
    """Have the saved methods charged that the run would, and settle what they pay. What is locked is raised."""
    for invoice in step.chargeable(of, at) if step.chargeable else ():
        if saved_charges.request_charge(invoice=invoice, at=at) == ChargeDecision.REQUESTED:
            _settle(Payment.objects.get(invoice=invoice, state=PaymentState.PENDING), at)


def _top_up(of: OrganizationRange, at: datetime) -> None:
    """Top up the wallets of the range that are low now, as is done every minute."""
    for row in _low(of, at).select_related("organization").order_by("pk"):
        if (payment := auto_top_ups.request(row, at=at)) is not None:
            _settle(payment, at)


def _low(of: OrganizationRange, at: datetime) -> "QuerySet[AutoTopUp]":
    """The automatic top-ups of the range that are due now."""
    return auto_top_ups.due(at=at).filter(organization__gt=of.after, organization__lte=of.until)


def _settle(asked: Payment, at: datetime) -> None:
    """Note what is asked of a saved method, and answer: paid, or refused for good by a card that is no longer valid."""
    batches.execute(CHARGED, {"id": asked.pk, "at": at})
    valid_until = asked.payment_method.expires_on if asked.payment_method else None
    if valid_until is not None and valid_until < at.date():
        charge_sync.fail(payment_id=asked.pk, code="expired_card", text="", is_final=True, at=at)
        return
    row = payments.lock_payment(asked.pk)
    money = GatewayPayment(f"calendar-{row.pk}", row.amount, row.is_live, payment_id=row.pk)
    payments.receive_expected(row, money, at)


def _noted() -> list[Entry]:
    """What the runs noted in this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(ENTRIES)
        return [
            Entry(what, owner, name, label, at, Money(minor, currency))
            for what, owner, name, label, at, minor, currency in cursor.fetchall()
        ]
