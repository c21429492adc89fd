"""Servers billed by the hour: each hour is charged once, from the wallet, to the cent that its month's invoice says."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any, cast

import pytest
from django.db import IntegrityError, connection, transaction

from accounts.models import Organization
from billing import cancellations, ledger_audit, metering, payments, subscriptions
from billing.models import (
    AccountKind,
    CancellationReason,
    EntryKind,
    Invoice,
    InvoiceState,
    JournalEntry,
    Payment,
    PaymentMethod,
    Reminder,
    RunKind,
    Subscription,
    TaxRate,
    UsageCycle,
)
from billing.runs import runner
from billing.runs.meter import ISSUED_AFTER
from catalog import services as catalog
from catalog.models import PlanPrice, Term
from core import formats, site_settings
from core.ids import uuid7
from core.money import Rate
from support.models import Delivery
from tests.billing.sales import NOON, balance, run_commit_triggers, usd, wallet_balance
from tests.billing.test_collect import top_up
from tests.billing.test_top_ups import arrive, open_top_up
from tests.builders import make_organization, make_plan

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)
NEW_MONTH = datetime(2026, 4, 1, tzinfo=UTC)


def make_hourly(
    organization: Organization | None = None,
    *,
    minor: str = "1.2",
    currency: str = "USD",
    label: str = "pixel",
    at: datetime = NOON,
) -> Subscription:
    """One whose server has begun to run at `at`."""
    rate = Rate(Decimal(minor), currency)
    price = catalog.offer_price(item=make_plan(), term=Term.HOURLY, amount=rate, actor="test", at=NOON)
    row = subscriptions.open_subscription(
        organization=organization or make_organization(), plan_price=cast("PlanPrice", price), label=label, at=at
    )
    subscriptions.activate({row: None}, at=at)
    metering.start_metering(subscription_ids=[row.pk], at=at)
    return row.reload()


def make_automatic_top_up(of: Subscription, state: str, failure_code: str, *, at: datetime) -> Payment:
    return Payment.objects.create(
        organization=of.organization,
        gateway="stripe",
        payment_method=PaymentMethod.objects.create(
            organization=of.organization, gateway="stripe", reference="pm_1", brand="visa", last4="4242"
        ),
        is_automatic=True,
        amount_minor=1000,
        currency="USD",
        idempotency_key="charge-1",
        state=state,
        failure_code=failure_code,
        created_at=at,
    )


def meter(at: datetime) -> dict[str, int]:
    run = runner.execute(RunKind.METER, at=at)
    run_commit_triggers()
    assert run.skipped == {}
    assert ledger_audit.broken_rules().keys() <= {"account_not_rows"}  # `top_up` has no payment
    return dict(run.counts)


def charged(subscription: Subscription) -> list[datetime]:
    """The hours that were charged."""
    rows = UsageCycle.objects.filter(subscription=subscription).order_by("hour")
    return list(rows.values_list("hour", flat=True))


def test_each_started_hour_is_charged_once_and_what_an_outage_left_out_is_caught_up() -> None:
    row = make_hourly(at=NOON + timedelta(minutes=50))
    other = make_hourly(row.organization, minor="0.69", label="lantern", at=NOON)
    top_up(row.organization, 1000)

    assert meter(NOON + timedelta(minutes=55)) == {"usage": 1}
    assert meter(NOON + timedelta(minutes=59)) == {}
    assert meter(NOON + 5 * HOUR) == {"usage": 1}

    assert charged(row) == charged(other) == [NOON + number * HOUR for number in range(6)]
    entries = JournalEntry.objects.filter(kind=EntryKind.USAGE).order_by("at")
    assert [entry.note for entry in entries] == ["lantern: 1 h, pixel: 1 h", "lantern: 5 h, pixel: 5 h"]
    draft = Invoice.objects.get(usage_month=NOON.date())
    lines = [
        (line.description.partition(" · ")[0], int(line.quantity), line.amount_minor) for line in draft.items.all()
    ]
    assert sorted(lines) == [("lantern", 6, 4), ("pixel", 6, 7)]
    assert (draft.state, draft.total_minor, wallet_balance(row.organization)) == ("draft", 11, 989)


def test_the_database_refuses_the_same_hour_twice_and_half_hours() -> None:
    row = make_hourly()
    top_up(row.organization, 1000)
    meter(NOON)
    cycle = UsageCycle.objects.get()

    for hour, rule in ((cycle.hour, "billing_usage_hour_once"), (cycle.hour + HOUR / 2, "billing_usage_hour_whole")):
        with pytest.raises(IntegrityError, match=rule), transaction.atomic():
            UsageCycle.objects.create(
                subscription=row,
                organization_id=row.organization_id,
                invoice=cycle.invoice,
                hour=hour,
                unit_minor=1,
                currency="USD",
            )


def test_where_only_whole_hours_are_charged_the_first_and_the_last_part_of_one_are_free() -> None:
    site_settings.set_value("billing.charges_started_hours", False)
    row = make_hourly(at=NOON + timedelta(minutes=50))
    top_up(row.organization, 1000)

    assert meter(NOON + HOUR) == {}
    assert meter(NOON + 2 * HOUR - timedelta(seconds=1)) == {}
    assert meter(NOON + 2 * HOUR) == {"usage": 1}
    assert charged(row) == [NOON + HOUR]


@pytest.mark.parametrize("is_inclusive", [False, True])
def test_no_cent_is_lost_over_a_month(is_inclusive: bool) -> None:
    """However the hours fall into runs, the invoice is what was taken from the wallet: hours times price, with tax."""
    TaxRate.objects.create(country="DE", rate=19, valid_from=NOON)
    prices_are = "inclusive" if is_inclusive else "exclusive"
    for key, value in (("tax.status", "registered"), ("tax.country", "DE"), ("tax.prices", prices_are)):
        site_settings.set_value(key, value)
    random = Random(7)
    organization = make_organization()
    Organization.objects.filter(pk=organization.pk).update(country="DE")
    prices = ["0.69", "1.2", "0.0000000001", "33.3333333333"]
    rows = [
        make_hourly(organization, minor=price, label=price, at=NOON + timedelta(minutes=random.randrange(3000)))
        for price in prices
    ]
    arrive(open_top_up(organization, usd(50_000)))
    at = NEW_MONTH - timedelta(days=4)
    while at < NEW_MONTH:
        runner.execute(RunKind.METER, at=at)
        at += timedelta(minutes=random.choice((5, 60, 61, 600, 3000)))
    assert meter(NEW_MONTH + HOUR / 12) == {"usage": 2}
    assert meter(NEW_MONTH + ISSUED_AFTER)["paid"] == 1

    invoice = Invoice.objects.get(state=InvoiceState.PAID)
    hours = {row.pk: (NEW_MONTH - row.metered_from) // HOUR for row in rows if row.metered_from}
    assert {line.subscription_id: line.quantity for line in invoice.items.all()} == hours
    lines = sum(line.unit.times(line.quantity).minor for line in invoice.items.all())
    tax = invoice.taxes.get()
    assert invoice.net_minor + is_inclusive * tax.tax_minor == lines
    exact = Fraction(lines * 19, 119 if is_inclusive else 100)
    assert tax.tax_minor == int(exact + Fraction(1, 2))
    april = Invoice.objects.get(state=InvoiceState.DRAFT)
    assert wallet_balance(organization) == 50_000 - invoice.total_minor - april.total_minor
    assert (balance(AccountKind.REVENUE), balance(AccountKind.TAX)) == (invoice.net_minor, invoice.tax_minor)
    assert balance(AccountKind.RESERVED_CREDIT) == april.total_minor
    assert ledger_audit.broken_rules() == {}


def test_an_empty_wallet_suspends_until_it_is_filled_and_the_time_between_is_not_charged() -> None:
    row = make_hourly(minor="10")
    top_up(row.organization, 35)

    assert meter(NOON) == {"low wallet": 1, "usage": 1}
    assert meter(NOON + 20 * HOUR) == {"low wallet": 1, "suspension": 1, "usage": 1}

    assert (row.reload().status, wallet_balance(row.organization)) == ("suspended", 5)
    assert charged(row) == [NOON + number * HOUR for number in range(3)]
    assert meter(NOON + 21 * HOUR) == {}
    top_up(row.organization, 1000)
    assert meter(NOON + 22 * HOUR) == {"resumption": 1, "usage": 1}
    assert (row.reload().status, charged(row)) == ("active", [NOON + number * HOUR for number in (*range(20), 22)])


@pytest.mark.parametrize("is_canceled", [False, True])
@pytest.mark.parametrize("counts_started", [True, False])
def test_hours_that_ran_unpaid_in_an_outage_are_charged_over_the_months_before_their_server_resumes(
    is_canceled: bool, counts_started: bool
) -> None:
    site_settings.set_value("billing.charges_started_hours", counts_started)
    row = make_hourly(minor="10", at=NEW_MONTH - 6 * HOUR)
    assert meter(NEW_MONTH + 2.5 * HOUR) == {"low wallet": 1, "suspension": 1}
    ran = [NEW_MONTH + number * HOUR for number in range(-6, 3 if counts_started else 2)]

    top_up(row.organization, 25)
    assert meter(NEW_MONTH + 20 * HOUR) == {"usage": 1, "paid": 1}  # what follows of March is on April's invoice
    assert (row.reload().status, charged(row), wallet_balance(row.organization)) == ("suspended", ran[:2], 5)
    assert meter(NEW_MONTH + 20 * HOUR) == {}
    top_up(row.organization, 1000)
    if is_canceled:
        cancellations.cancel(subscription=row, reason=CancellationReason.UNUSED, actor=None, at=NEW_MONTH + 21 * HOUR)
    else:
        assert meter(NEW_MONTH + 21.5 * HOUR)["resumption"] == 1
        ran += [NEW_MONTH + 21 * HOUR] * counts_started
    assert (row.reload().status, charged(row)) == ("ended" if is_canceled else "active", ran)
    assert ledger_audit.broken_rules().keys() <= {"account_not_rows"}


@pytest.mark.parametrize(
    ("state", "failure_code", "age", "is_suspended"),
    [
        ("pending", "", 29, False),
        ("pending", "", 31, True),
        ("pending", "authentication_required", 1, True),
        ("processing", "", 1, True),
    ],
)
def test_while_the_card_is_charged_for_the_wallet_nothing_is_suspended_and_no_hour_is_lost(
    state: str, failure_code: str, age: int, is_suspended: bool
) -> None:
    """For minutes: what a bank takes days to decide about, or waits for its owner, keeps no server running."""
    row = make_hourly(minor="100")
    top_up(row.organization, 100)
    meter(NOON)
    charge = make_automatic_top_up(row, state, failure_code, at=NOON + 2 * HOUR - timedelta(minutes=age))

    meter(NOON + 2 * HOUR)
    assert row.reload().status == ("suspended" if is_suspended else "active")
    if is_suspended:
        return
    Payment.objects.filter(pk=charge.pk).update(state="failed")
    top_up(row.organization, 250)
    meter(NOON + 3 * HOUR)
    assert charged(row) == [NOON, NOON + HOUR, NOON + 2 * HOUR]
    assert row.reload().status == "suspended"  # the fourth is not paid, and nothing is under way any more


@pytest.mark.parametrize("counts_started", [True, False])
@pytest.mark.parametrize(("refused_after", "is_suspended"), [(-1, False), (0, True)])
def test_who_has_a_refused_card_charged_again_and_again_does_not_run_unpaid(
    counts_started: bool, refused_after: int, is_suspended: bool
) -> None:
    """Each time that the settings are saved the card is charged anew, and is refused a few seconds later."""
    site_settings.set_value("billing.charges_started_hours", counts_started)
    row = make_hourly(minor="100")
    due = NOON if counts_started else NOON + HOUR
    charge = make_automatic_top_up(row, "failed", "declined", at=due + timedelta(minutes=refused_after))
    again = due + timedelta(minutes=4)
    charge.pk, charge.idempotency_key, charge.created_at = uuid7(), "charge-2", again
    charge.state, charge.failure_code = "pending", ""
    charge.save(force_insert=True)

    meter(again)

    assert row.reload().status == ("suspended" if is_suspended else "active")


def test_a_wallet_that_does_not_pay_all_servers_keeps_and_resumes_the_oldest_that_it_pays() -> None:
    organization = make_organization()
    prices = {"oldest": "10", "dear": "100", "latest": "20"}
    rows = [make_hourly(organization, minor=minor, label=label) for label, minor in prices.items()]

    def paid(count: int, *, added: int) -> tuple[dict[str, int], list[str], int]:
        top_up(organization, added) if added else None
        done = meter(NOON + count * HOUR)
        return (
            done,
            [row.reload().label for row in rows if row.reload().status == "active"],
            wallet_balance(organization),
        )

    assert paid(0, added=295) == ({"low wallet": 1, "usage": 1}, ["oldest", "dear", "latest"], 165)
    assert paid(1, added=0) == ({"usage": 1}, ["oldest", "dear", "latest"], 35)
    assert paid(2, added=0) == ({"low wallet": 1, "suspension": 1, "usage": 1}, ["oldest", "latest"], 5)
    assert paid(3, added=0) == ({"low wallet": 1, "suspension": 2}, [], 5)
    assert paid(4, added=30) == ({"resumption": 2, "usage": 1}, ["oldest", "latest"], 5)
    assert paid(5, added=100) == ({"usage": 1}, ["oldest", "latest"], 75)
    assert paid(6, added=200) == ({"resumption": 1, "usage": 1}, ["oldest", "dear", "latest"], 145)
    assert [len(charged(row)) for row in rows] == [6, 3, 6]


def test_after_an_outage_the_wallet_pays_the_earlier_hours_of_both_servers_first() -> None:
    organization = make_organization()
    first = make_hourly(organization, minor="10", at=NOON)
    later = make_hourly(organization, minor="10", at=NOON + 2 * HOUR)
    top_up(organization, 55)

    assert meter(NOON + 10 * HOUR) == {"low wallet": 1, "suspension": 2, "usage": 1}

    assert (len(charged(first)), len(charged(later)), wallet_balance(organization)) == (4, 1, 5)


def test_a_server_resumes_only_where_its_next_hour_is_paid_with_its_tax() -> None:
    """By the whole rupiah, the tax of an hour is 16 or 17: what the draft needs for it, and not the hour alone."""
    TaxRate.objects.create(country="ID", rate=11, valid_from=NOON)
    for key, value in (("tax.status", "registered"), ("tax.country", "ID")):
        site_settings.set_value(key, value)
    row = make_hourly(minor="14900", currency="IDR")
    organization = row.organization
    Organization.objects.filter(pk=organization.pk).update(country="ID")
    top_up(organization, 33_000, currency="IDR")

    assert meter(NOON)["usage"] == 1
    assert meter(NOON + HOUR) == {"low wallet": 1, "suspension": 1}
    assert meter(NOON + HOUR + HOUR / 12) == {}
    top_up(organization, 100, currency="IDR")
    assert meter(NOON + HOUR + HOUR / 6) == {"resumption": 1, "usage": 1}
    assert Invoice.objects.get(usage_month=NOON.date()).total_minor == 33_100


def test_an_hour_that_a_wallet_did_not_pay_is_charged_when_its_server_resumes() -> None:
    """Where only whole hours are charged, when they are over, resuming again and again gives no hour for nothing."""
    site_settings.set_value("billing.charges_started_hours", False)
    row = make_hourly(minor="10")
    top_up(row.organization, 25)

    assert [meter(NOON + count * HOUR).get("suspension", 0) for count in (1, 2, 3)] == [0, 0, 1]
    top_up(row.organization, 10)
    assert meter(NOON + 4.5 * HOUR) == {"resumption": 1, "usage": 1}
    assert meter(NOON + 5 * HOUR)["suspension"] == 1
    top_up(row.organization, 30)
    assert meter(NOON + 8.5 * HOUR)["resumption"] == 1
    assert meter(NOON + 9 * HOUR) == {"usage": 1}

    assert charged(row) == [NOON + count * HOUR for count in (0, 1, 2, 4, 8)]


def test_a_cancellation_charges_the_hours_of_its_own_server_alone() -> None:
    first = make_hourly(minor="10")
    other, late = (make_hourly(first.organization, minor=minor) for minor in ("20", "1000"))
    top_up(first.organization, 100)
    assert meter(NOON)["suspension"] == 1
    top_up(first.organization, 2000)

    cancellations.cancel(subscription=first, reason=CancellationReason.UNUSED, actor=None, at=NOON + 2.5 * HOUR)

    assert [len(charged(row)) for row in (first, other, late)] == [3, 1, 0]
    assert [row.reload().status for row in (first, other, late)] == ["ended", "active", "suspended"]
    meter(NOON + 3 * HOUR)
    assert [row.reload().status for row in (other, late)] == ["active", "active"]


@pytest.mark.parametrize(("minor", "hours"), [(0, 0), (15, 1)])
def test_a_cancellation_charges_the_hours_that_the_wallet_pays(minor: int, hours: int) -> None:
    row = make_hourly(minor="10")
    if minor:
        top_up(row.organization, minor)

    cancellations.cancel(subscription=row, reason=CancellationReason.UNUSED, actor=None, at=NOON + 2.5 * HOUR)

    assert (len(charged(row)), row.reload().status) == (hours, "ended")


def test_a_cancellation_locks_the_subscription_before_the_wallet_also_within_an_hour_that_is_charged() -> None:
    row = make_hourly()
    top_up(row.organization, 100)
    meter(NOON)
    locked = list[str]()

    def note_locks(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if "FOR NO KEY UPDATE" in sql and context["cursor"].rowcount:
            locked.extend(re.findall(r'FROM\s+"?(\w+)', sql)[:1])
        return result

    with connection.execute_wrapper(note_locks):
        cancellations.cancel(subscription=row, reason=CancellationReason.UNUSED, actor=None, at=NOON + HOUR / 2)

    assert list(dict.fromkeys(locked)) == ["billing_invoice", "billing_subscription", "billing_ledgeraccount"]


def test_hours_of_a_month_that_is_invoiced_already_are_on_the_next_months_invoice() -> None:
    organization = make_hourly().organization
    top_up(organization, 10_000)
    meter(NEW_MONTH + ISSUED_AFTER)
    march = Invoice.objects.get(state=InvoiceState.PAID)
    late = make_hourly(organization, minor="10", at=NEW_MONTH - HOUR / 2)

    assert meter(NEW_MONTH + ISSUED_AFTER) == {"usage": 1}

    assert charged(late) == [NEW_MONTH + count * HOUR for count in (-1, 0, 1, 2, 3)]
    assert march.items.count() == march.reload().items.count() == 1
    line = Invoice.objects.get(state=InvoiceState.DRAFT).items.get(subscription=late)
    assert (int(line.quantity), line.period_start) == (5, NEW_MONTH - HOUR)


def test_each_low_level_is_told_once_until_the_wallet_is_above_it_again() -> None:
    row = make_hourly(minor="10")
    top_up(row.organization, 801)  # 80 hours

    def stages(at: datetime) -> list[int]:
        meter(at)
        told = Reminder.objects.filter(sent_at=at).order_by("stage")
        return list(told.values_list("stage", flat=True))

    assert [stages(NOON + count * HOUR) for count in (0, 6, 7, 8, 60, 61)] == [[], [], [72], [], [24], []]
    top_up(row.organization, 802)
    assert [stages(NOON + count * HOUR) for count in (62, 140, 141)] == [[], [24], []]
    reminder = Reminder.objects.order_by("sent_at").first()
    assert reminder is not None
    assert (reminder.suspends_at, reminder.deletes_at) == (NOON + 80 * HOUR, NOON + 80 * HOUR + timedelta(days=21))


def test_servers_of_a_wallet_that_stays_empty_are_deleted_on_the_day_that_was_told() -> None:
    row = make_hourly(minor="10")
    top_up(row.organization, 10)
    meter(NOON)
    meter(NOON + HOUR)
    told = Reminder.objects.get(stage=0)
    emails = Delivery.objects.filter(event__startswith="wallet.").order_by("pk")
    assert [email.event for email in emails] == ["wallet.low", "wallet.empty"]
    assert formats.instant(told.deletes_at) in emails[1].body

    assert runner.execute(RunKind.EXPIRE, at=told.deletes_at - HOUR).counts == {}
    paying = open_top_up(row.organization)
    payments.mark_processing(payment_id=paying.pk, at=NOON)
    assert runner.execute(RunKind.EXPIRE, at=told.deletes_at).counts == {}  # money is on its way
    payments.fail(payment_id=paying.pk, reason="declined", at=NOON)
    assert runner.execute(RunKind.EXPIRE, at=told.deletes_at).counts == {"deletion": 1, "end": 1}
    row = row.reload()
    assert (row.status, row.ended_at) == ("ended", told.deletes_at)
    assert meter(NEW_MONTH + ISSUED_AFTER) == {"paid": 1}


def test_one_paid_hour_does_not_keep_a_suspended_server_for_as_long_again() -> None:
    row = make_hourly(minor="10")
    top_up(row.organization, 10)
    meter(NOON)
    meter(NOON + HOUR)
    assert row.reload().unpaid_deletes_at == NOON + HOUR + timedelta(days=21)
    for day, left, minor in ((5, 16, 11), (20, 3, 12), (22, 3, 13)):
        at = NOON + timedelta(days=day)
        top_up(row.organization, minor)
        meter(at)
        assert row.reload().status == "active"
        meter(at + HOUR)
        deletes_at = row.reload().unpaid_deletes_at
        assert deletes_at is not None
        assert abs(deletes_at - (at + timedelta(days=left))) < 6 * HOUR, day
        assert Reminder.objects.filter(stage=0).latest("sent_at").deletes_at == deletes_at


@pytest.mark.parametrize(
    ("state", "failure_code", "minutes", "is_spared"),
    [
        ("pending", "", -1, True),
        ("pending", "", -31, False),
        ("pending", "authentication_required", -1, False),
        ("processing", "", -5000, True),
        ("processing", "", 0, False),  # asked for again on the day itself, and then again
    ],
)
def test_what_never_had_credit_is_deleted_unless_money_asked_for_before_that_day_is_on_its_way(
    state: str, failure_code: str, minutes: int, is_spared: bool
) -> None:
    row = make_hourly(minor="10")
    assert meter(NOON) == {"low wallet": 1, "suspension": 1}
    told = Reminder.objects.get(stage=0)
    make_automatic_top_up(row, state, failure_code, at=told.deletes_at + timedelta(minutes=minutes))

    runner.execute(RunKind.EXPIRE, at=told.deletes_at)

    assert row.reload().status == ("suspended" if is_spared else "ended")


def test_a_server_that_the_wallet_pays_by_now_is_not_deleted_with_another_that_it_does_not_pay() -> None:
    dear = make_hourly(minor="100")
    cheap = make_hourly(dear.organization, minor="10")
    top_up(dear.organization, 9)
    assert meter(NOON)["suspension"] == 2
    top_up(dear.organization, 20)

    assert runner.execute(RunKind.EXPIRE, at=NOON + timedelta(days=21)).counts == {"deletion": 1, "end": 1}

    assert (dear.reload().status, cheap.reload().status) == ("ended", "suspended")


def test_a_later_suspension_of_another_server_does_not_keep_the_first_one_any_longer() -> None:
    """Else who orders a cheap one every twenty days has capacity reserved for the dear one, and never pays it."""
    dear = make_hourly(minor="100")
    meter(NOON)
    later = NOON + timedelta(days=20)
    cheap = make_hourly(dear.organization, minor="10", at=later)
    top_up(dear.organization, 10)
    meter(later)
    assert meter(later + HOUR)["suspension"] == 1
    first, second = (formats.instant(day + timedelta(days=21)) for day in (NOON, later + HOUR))
    bodies = [email.body for email in Delivery.objects.filter(event="wallet.empty").order_by("pk")]
    assert [(first in body, second in body) for body in bodies] == [(True, False), (False, True)]
    assert all("keeps the day that we told you then" in body for body in bodies)

    runner.execute(RunKind.EXPIRE, at=NOON + timedelta(days=21))
    assert [row.reload().status for row in (dear, cheap)] == ["ended", "suspended"]
    runner.execute(RunKind.EXPIRE, at=later + HOUR + timedelta(days=21))
    assert cheap.reload().status == "ended"


def test_a_later_suspension_is_told_with_its_own_day_after_an_earlier_one_was_canceled() -> None:
    first = make_hourly(minor="10")
    top_up(first.organization, 10)
    meter(NOON)
    meter(NOON + HOUR)
    cancellations.cancel(subscription=first, reason=CancellationReason.UNUSED, actor=None, at=NOON + 2 * HOUR)
    later = NOON + timedelta(days=9)
    make_hourly(first.organization, minor="10", at=later)

    assert meter(later)["suspension"] == 1

    told = Reminder.objects.filter(stage=0).order_by("sent_at")
    assert [(row.sent_at, row.lapsed_at) for row in told] == [(NOON + HOUR, later), (later, None)]
