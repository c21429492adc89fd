"""What is not paid is reminded of, suspended and deleted on the days that were told; what is paid never is."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from billing import events, invoicing, payments, subscriptions
from billing.models import BankTransfer, Invoice, InvoiceState, Payment, Reminder, RunKind, Subscription
from billing.runs import runner
from core import formats, site_settings
from support.models import Delivery
from tests.billing.sales import run_commit_triggers
from tests.billing.test_collect import top_up
from tests.billing.test_renew import END, SOON, make_subscription, renew
from tests.builders import make_organization

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def run(at: datetime) -> dict[str, int]:
    """Dun and expire."""
    counts: dict[str, int] = {}
    for kind in (RunKind.DUN, RunKind.EXPIRE):
        done = runner.execute(kind, at=at)
        assert done.skipped == {}
        counts |= done.counts
    run_commit_triggers()
    return counts


def invoice() -> Invoice:
    return Invoice.objects.exclude(due_at=None).get()


@pytest.fixture
def unpaid() -> Subscription:
    """A subscription whose next month is invoiced."""
    subscription = make_subscription(label="lantern-smp")
    renew()
    return subscription


def test_each_stage_is_reminded_of_once_with_the_dates_of_suspension_and_deletion(unpaid: Subscription) -> None:
    assert run(SOON) == {}
    assert run(END - 3 * DAY) == {"reminder": 1}
    assert run(END - 2 * DAY) == {}
    assert run(END + DAY) == {"overdue reminder": 1}
    assert run(END + 5 * DAY) == {"overdue reminder": 1}
    assert run(END + 6 * DAY) == {}

    told = Reminder.objects.order_by("stage")
    assert [(row.stage, row.suspends_at, row.deletes_at) for row in told] == [
        (stage, END + 7 * DAY, END + 21 * DAY) for stage in (-3, 1, 5)
    ]
    emails = Delivery.objects.filter(event__in=["invoice.due_soon", "invoice.overdue"]).order_by("pk")
    assert [email.event for email in emails] == ["invoice.due_soon", *["invoice.overdue"] * 2]
    assert {email.recipient for email in emails} == {unpaid.organization.owner.email}
    for row, email in zip(told, emails, strict=True):
        assert formats.instant(row.suspends_at) in email.body
        assert formats.instant(row.deletes_at) in email.body


def test_who_was_told_how_to_transfer_is_waited_for_once(unpaid: Subscription) -> None:
    run(END + 5 * DAY)

    def choose_transfer(at: datetime) -> Payment:
        until = at + 7 * DAY
        payment = payments.open_payment(invoice=invoice(), gateway="stripe", expires_at=until, at=at)
        owner = unpaid.organization
        BankTransfer.objects.create(organization=owner, payment=payment, reference=f"TO{at:%H%M%d}", expires_at=until)
        return payment

    first = choose_transfer(END + 5 * DAY)
    run(END + 8 * DAY)
    assert unpaid.reload().status == "past_due"

    payments.expire(payment_id=first.pk, at=END + 8 * DAY)
    choose_transfer(END + 8 * DAY)
    run(END + 8 * DAY)
    assert unpaid.reload().status == "suspended"


def test_after_an_outage_only_the_latest_stage_is_sent(unpaid: Subscription) -> None:
    assert run(END + 6 * DAY) == {"overdue reminder": 1}
    assert Reminder.objects.get().stage == 5


def test_from_due_to_deleted_and_the_invoice_can_no_longer_be_paid(unpaid: Subscription) -> None:
    deleted: list[Any] = []
    events.subscriptions_expired.connect(
        lambda subscription_ids, **_: deleted.extend(subscription_ids), weak=False, dispatch_uid="test"
    )
    try:
        states = []
        for days in (-1, 0, 6, 7, 20, 21):
            run(END + days * DAY)
            states.append((days, str(unpaid.reload().status), str(invoice().state), len(deleted)))
    finally:
        events.subscriptions_expired.disconnect(dispatch_uid="test")

    assert states == [
        (-1, "active", "open", 0),
        (0, "past_due", "overdue", 0),
        (6, "past_due", "overdue", 0),
        (7, "suspended", "overdue", 0),
        (20, "suspended", "overdue", 0),
        (21, "ended", "void", 1),
    ]
    assert run(END + 22 * DAY) == {}


@pytest.mark.parametrize("days", [0, 10, 20])
def test_paying_at_any_time_before_the_deletion_recovers(unpaid: Subscription, days: int) -> None:
    run(END + days * DAY)
    top_up(unpaid.organization, 800)

    invoicing.pay_from_wallet(invoice=invoice(), at=END + days * DAY)

    row = unpaid.reload()
    assert (row.status, row.current_period_end) == ("active", END + 30 * DAY)
    assert run(END + 29 * DAY) == {}


def test_a_time_that_is_paid_is_not_suspended_although_its_invoice_is_overdue() -> None:
    organization = make_organization()
    early = make_subscription(organization=organization)
    late = make_subscription(organization=organization)
    paid_until = END + 10 * DAY
    Subscription.objects.filter(pk=late.pk).update(current_period_end=paid_until)
    renew(paid_until - 7 * DAY)  # one invoice for both, after a week without runs
    assert invoice().items.count() == 2

    site_settings.set_value("billing.suspend_after_days", 3)

    run(END + 3 * DAY)
    assert (early.reload().status, late.reload().status) == ("past_due", "active")
    run(END + 6 * DAY)
    assert (early.reload().status, late.reload().status) == ("suspended", "active")
    run(paid_until)
    assert (early.reload().status, late.reload().status) == ("suspended", "suspended")


def test_nothing_is_deleted_that_nobody_was_told_of_three_days_before(unpaid: Subscription) -> None:
    run(END + 40 * DAY)  # the first run ever
    assert unpaid.reload().status == "suspended"
    assert run(END + 42 * DAY) == {}
    assert run(END + 43 * DAY) == {"deletion": 1, "end": 1}


def test_a_day_that_was_told_stays_although_the_setting_is_changed(unpaid: Subscription) -> None:
    run(END + DAY)
    site_settings.set_value("billing.suspend_after_days", 1)

    run(END + 6 * DAY)
    assert unpaid.reload().status == "past_due"
    site_settings.set_value("billing.suspend_after_days", 30)
    run(END + 8 * DAY)
    assert unpaid.reload().status == "past_due"


def test_what_was_canceled_is_deleted_some_time_after_its_end(unpaid: Subscription) -> None:
    Invoice.objects.filter(pk=invoice().pk).update(state=InvoiceState.VOID, voided_at=END)
    subscriptions.cancel_at_period_end(subscription=unpaid, at=SOON)
    subscriptions.end_due(at=END)
    assert unpaid.reload().deletion_due_at == END + 21 * DAY

    assert run(END + 20 * DAY) == {}
    assert run(END + 21 * DAY) == {"deletion": 1}
    assert run(END + 21 * DAY) == {}
