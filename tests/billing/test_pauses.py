"""A pause begins when the paid period is over, and the next period begins when it ends: no second of it is billed."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from billing import cancellations, ledger_audit, pausing, pay_all, payments, saved_charges, subscriptions
from billing.gateways.base import GatewayPayment
from billing.models import (
    BillingMode,
    CancellationReason,
    Invoice,
    InvoiceState,
    PaymentState,
    Reminder,
    RunKind,
    Subscription,
    SubscriptionStatus,
    next_period_end,
)
from billing.reports import recurring, rows_of
from billing.runs import calendar, runner
from billing.saved_charges import ChargeDecision
from billing.subscriptions import SoldDiscount
from core import site_settings
from core.models import AuditEntry
from core.money import Money
from tests.billing.sales import NOON, make_sale, run_commit_triggers, wallet_balance
from tests.billing.test_collect import top_up
from tests.billing.test_meter import make_hourly
from tests.billing.test_renew import END, SOON, make_subscription, renew
from tests.builders import make_organization

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
UNTIL = END + 40 * DAY  # 11 May
RESUMED = UNTIL + timedelta(minutes=20)  # when the schedule comes to it


@pytest.fixture(autouse=True)
def _pauses_are_offered() -> None:
    site_settings.set_value("billing.max_pause_days", 60)


def pause(row: Subscription, at: datetime = NOON + DAY, until: datetime = UNTIL) -> Subscription:
    pausing.pause(subscription=row, until=until, actor=None, at=at)
    return row.reload()


def bill(at: datetime) -> dict[str, int]:
    """Every run once; what was done."""
    done: dict[str, int] = {}
    for kind in runner.STEPS:
        run = runner.execute(kind, at=at)
        run_commit_triggers()
        assert run.skipped == {}
        done |= run.counts
    assert "pause_not_kept" not in ledger_audit.broken_rules()
    return done


def periods(row: Subscription) -> Sequence[tuple[datetime | None, datetime | None]]:
    return list(
        row.invoice_items.filter(is_void=False).order_by("period_start").values_list("period_start", "period_end")
    )


def test_nothing_is_billed_from_the_paid_period_s_end_until_the_pause_is_over() -> None:
    row = pause(make_subscription())
    top_up(row.organization, 800)
    assert bill(SOON) == {}  # its next period is not invoiced
    assert bill(END - timedelta(seconds=1)) == {}
    assert row.reload().status == SubscriptionStatus.ACTIVE

    assert bill(END + timedelta(minutes=5)) == {"pause": 1}
    assert row.reload().status == SubscriptionStatus.PAUSED
    assert bill(END + 30 * DAY) == {}  # neither dunned nor deleted, however long
    assert bill(UNTIL - timedelta(seconds=1)) == {}

    assert bill(RESUMED) == {"end of pause": 1, "invoice": 1, "paid": 1}
    row = row.reload()
    assert (row.status, row.pauses_until, row.anchor_day) == (SubscriptionStatus.ACTIVE, None, 11)
    assert periods(row) == [(NOON, END), (RESUMED, next_period_end(RESUMED, "monthly", 11))]
    assert row.pauses.values_list("begun_at", "ended_at").get() == (END, RESUMED)
    assert wallet_balance(row.organization) == 0
    assert bill(RESUMED) == {}


def test_what_is_not_paid_after_a_pause_is_dunned_and_deleted_as_any_other() -> None:
    row = pause(make_subscription())
    bill(END)
    bill(RESUMED)
    row = row.reload()
    assert (row.status, row.current_period_end) == (SubscriptionStatus.SUSPENDED, RESUMED)
    assert Invoice.objects.get(state=InvoiceState.OVERDUE).due_at == RESUMED
    for days in range(1, 25):
        bill(RESUMED + days * DAY)
    first = Reminder.objects.earliest("sent_at")
    assert first.suspends_at == first.sent_at  # it is not told that it will be suspended: it is
    assert row.reload().status == SubscriptionStatus.ENDED


def test_who_ends_a_pause_early_pays_from_then_on() -> None:
    row = pause(make_subscription())
    top_up(row.organization, 800)
    bill(END)
    at = END + 3 * DAY

    assert pausing.end_pause(subscription=row, actor=None, at=at)
    assert not pausing.end_pause(subscription=row, actor=None, at=at)  # twice is harmless
    pausing.bill_now(subscription=row, actor=None, at=at)
    run_commit_triggers()

    assert periods(row)[-1] == (at, next_period_end(at, "monthly", 4))
    assert row.reload().status == SubscriptionStatus.ACTIVE
    assert AuditEntry.objects.filter(action="subscription.end_pause").count() == 1
    billed = AuditEntry.objects.filter(action__in=("billing.renew", "billing.collect"), entity_id=row.pk)
    assert {entry.action for entry in billed} == {"billing.renew", "billing.collect"}
    assert bill(at) == {}


def test_a_pause_that_has_not_begun_is_withdrawn() -> None:
    row = pause(make_subscription())
    assert not pausing.end_pause(subscription=row, actor=None, at=SOON)
    assert row.reload().pauses_until is None
    assert bill(SOON)["invoice"] == 1
    assert not row.pauses.exists()


def test_the_next_period_s_invoice_is_withdrawn_and_the_others_on_it_are_invoiced_again() -> None:
    organization = make_organization()
    row = make_subscription(organization=organization, label="a")
    make_subscription(organization=organization, label="b")
    renew()

    pause(row, at=SOON + DAY)
    assert bill(SOON + DAY) == {"invoice": 1, "void": 1}
    assert Invoice.objects.get(state=InvoiceState.OPEN).total_minor == 800
    alone = make_subscription()
    renew()
    pause(alone, at=SOON + DAY)
    assert not Invoice.objects.filter(organization=alone.organization, state=InvoiceState.OPEN).exists()


@pytest.mark.parametrize("is_paid", [False, True])
def test_a_later_period_whose_money_is_on_its_way_is_not_paused_away(is_paid: bool) -> None:
    row = make_subscription()
    renew()
    payment = payments.open_payment(
        invoice=Invoice.objects.get(state=InvoiceState.OPEN), gateway="stripe", expires_at=END + DAY, at=SOON
    )
    payment.state = PaymentState.PROCESSING
    payment.save(update_fields=["state"])
    with pytest.raises(pausing.PauseRefused, match="on its way"):
        pause(row, at=SOON + DAY)
    assert row.reload().pauses_until is None

    payment.state = PaymentState.PENDING
    payment.save(update_fields=["state"])
    pause(row, at=SOON + DAY)
    assert bill(END)["suspension"] == 1  # its page may still be paid; until then the server does not run on for free
    assert row.reload().status == SubscriptionStatus.SUSPENDED
    assert "suspension" not in bill(END)
    if is_paid:
        arrived = GatewayPayment(
            "pi_1", payment.amount, is_live=False, payment_id=payment.pk, organization_id=row.organization_id
        )
        payments.settle(payment_id=payment.pk, gateway_payment=arrived, at=END + DAY)
        row = row.reload()
        assert (row.status, row.current_period_start, row.pauses_until) == (SubscriptionStatus.ACTIVE, END, UNTIL)
        return
    at = END + DAY + timedelta(hours=1)
    runner.execute(RunKind.RENEW, at=at)
    Subscription.objects.filter(pk=row.pk).update(status=SubscriptionStatus.ACTIVE)
    assert "pause_not_kept" in ledger_audit.broken_rules()  # the server would run on unpaid
    payments.expire(payment_id=payment.pk, at=at)
    assert bill(at) == {"void": 1, "pause": 1}
    assert row.pauses.get().begun_at == END


@pytest.mark.parametrize("is_canceled", [False, True])
def test_nobody_begins_to_pay_a_later_period_that_the_server_will_not_have(is_canceled: bool, client: Client) -> None:
    """Else a transfer that never comes would hold the invoice, and the server would run on unpaid."""
    organization = make_organization()
    row, other = (make_subscription(organization=organization, label=label) for label in "ab")
    renew()
    invoice = Invoice.objects.get(state=InvoiceState.OPEN)
    begun = payments.open_payment(invoice=invoice, gateway="stripe", expires_at=END, at=SOON)
    if is_canceled:
        cancellations.cancel(subscription=row, reason=CancellationReason.UNUSED, actor=None, at=SOON + DAY)
    else:
        pause(row, at=SOON + DAY)
    payments.expire(payment_id=begun.pk, at=SOON + DAY)
    assert invoice.reload().state == InvoiceState.OPEN  # `renew` withdraws it: the other's time is invoiced again

    with pytest.raises(ValueError, match="withdrawn"):
        payments.open_payment(invoice=invoice, gateway="stripe", expires_at=END + DAY, at=SOON + DAY)
    top_up(organization, 1600)
    pay_all.pay_all(organization=organization, currency="USD", at=SOON + DAY)
    assert saved_charges.settled_otherwise(invoice, SOON + DAY) == ChargeDecision.NOT_OWED
    assert wallet_balance(organization) == 1600
    client.force_login(organization.owner)
    answer = client.post(reverse("billing:pay", kwargs={"pk": invoice.pk}), {"option": "credit"}, follow=True)
    assert "cannot be paid" in answer.content.decode()
    assert reverse("billing:pay", kwargs={"pk": invoice.pk}) not in answer.content.decode()

    assert bill(SOON + DAY) == {"void": 1, "invoice": 1}
    assert bill(END)["paid"] == 1
    assert (row.reload().current_period_end, other.reload().current_period_start) == (END, END)


@pytest.mark.parametrize("days_late", [0, 50])
def test_a_discount_lasts_for_as_many_periods_as_it_was_sold_for(days_late: int) -> None:
    """Also where the schedule stood still, so that the pause begins and ends in one run: none of it is billed."""
    off = SoldDiscount("HALF", Money(400, "USD"), periods=3)
    sale = make_sale(at=datetime(2026, 1, 31, 12, tzinfo=UTC), discounts=[off])
    sale.settle(datetime(2026, 1, 31, 12, tzinfo=UTC))
    row = sale.subscription.reload()
    over = datetime(2026, 2, 28, 12, tzinfo=UTC)
    assert row.current_period_end == over
    pause(row, at=over - DAY, until=datetime(2026, 3, 30, 12, tzinfo=UTC))
    if not days_late:
        bill(over)
    resumed = datetime(2026, 3, 30, 12, tzinfo=UTC) + days_late * DAY
    top_up(row.organization, 10_000)

    at, totals = resumed, []
    for _month in range(4):
        bill(at)
        row = row.reload()
        totals.append(Invoice.objects.order_by("-issued_at", "-pk").values_list("total_minor", flat=True)[0])
        assert row.current_period_start == at
        at = row.current_period_end or at
    assert totals == [400, 400, 800, 800]


@pytest.mark.parametrize("is_paused", [True, False])
def test_what_is_canceled_in_a_pause_ends(is_paused: bool) -> None:
    row = pause(make_subscription())
    at = END - DAY
    if is_paused:
        bill(END)
        at = END + 5 * DAY
    cancellations.cancel(subscription=row, reason=CancellationReason.UNUSED, actor=None, at=at)
    assert row.reload().deletion_after_period == max(at, END) + 21 * DAY
    assert not pausing.end_pause(subscription=row, actor=None, at=at)
    assert subscriptions.end_due(at=max(at, END)) == 1
    row = row.reload()
    assert (row.status, row.pauses_until) == (SubscriptionStatus.ENDED, None)
    assert not row.pauses.filter(ended_at=None).exists()
    assert bill(UNTIL) in ({}, {"deletion": 1})


def test_the_calendar_shows_when_pauses_begin_and_end_and_a_paused_month_is_no_revenue() -> None:
    row = pause(make_subscription())

    def entries(day: datetime) -> list[str]:
        found = list(calendar.entries_of_day(day.date(), at=SOON))
        assert [entry.amount.minor for entry in found if "pause" in entry.what] in ([], [0])  # it bills nothing
        return [entry.what for entry in found]

    assert entries(END) == ["pause"]
    assert entries(UNTIL - DAY) == []
    assert entries(END + 20 * DAY) == []
    assert row.reload().status == SubscriptionStatus.ACTIVE  # it was rolled back

    bill(END)
    bill(RESUMED)
    months = {line["month"].month: line for line in rows_of(recurring.MRR, since=NOON, until=RESUMED + DAY)}
    assert [(months[month]["churn"], months[month]["reactivation"]) for month in (3, 4, 5)] == [
        (0, 0),
        (-800, 0),
        (0, 800),
    ]


def test_what_cannot_be_paused_is_refused_in_words() -> None:
    row = make_subscription()
    unpaid = make_subscription()
    Subscription.objects.filter(pk=unpaid.pk).update(status=SubscriptionStatus.PAST_DUE)
    canceled = make_subscription()
    subscriptions.cancel_at_period_end(subscription=canceled, at=NOON)
    hourly = make_hourly(make_organization())
    by_gateway = make_sale(billing_mode=BillingMode.GATEWAY)
    by_gateway.settle()
    for refused, words in (
        (unpaid, "is paid"),
        (canceled, "is canceled"),
        (hourly, "by the hour"),
        (by_gateway.subscription, "payment service"),
        (pause(row), "planned already"),
    ):
        with pytest.raises(pausing.PauseRefused, match=words):
            pause(refused.reload())
    with pytest.raises(pausing.PauseRefused, match="about to be renewed"):
        pause(make_subscription(), at=END)
    for until in (NOON, END, END + 61 * DAY):
        with pytest.raises(ValueError, match="not between"):
            pause(make_subscription(), until=until)
    site_settings.set_value("billing.max_pause_days", 0)
    with pytest.raises(pausing.PauseRefused, match="cannot be paused"):
        pause(make_subscription())
