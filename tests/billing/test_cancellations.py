"""What customers decide about a renewal: canceled with its period, undone until then, automatic only if it is paid."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from billing import cancellations, charging, invoicing, payments, subscriptions
from billing.charging import Charger
from billing.models import (
    BillingMode,
    CancellationReason,
    Invoice,
    InvoiceState,
    ItemKind,
    PaymentMethod,
    PaymentState,
    Period,
    RunKind,
    Subscription,
    SubscriptionStatus,
    next_period_end,
)
from billing.runs import runner
from core.models import AuditEntry
from tests.billing.sales import NOON, Sale, accept, make_sale, plan_line, run_commit_triggers, usd
from tests.billing.test_tax import set_up_shop

pytestmark = pytest.mark.django_db
END = next_period_end(NOON, "monthly", 1)


@pytest.fixture
def sale() -> Sale:
    """A subscription whose first month is paid, and that is set to renew."""
    sale = make_sale(is_auto_renewed=True)
    sale.settle()
    return sale


def cancel(sale: Sale, at: datetime = NOON + timedelta(days=1)) -> Subscription:
    cancellations.cancel(
        subscription=sale.subscription.reload(),
        reason=CancellationReason.UNUSED,
        comment="see you",
        actor=None,
        at=at,
    )
    return sale.subscription.reload()


def save_method(sale: Sale, **fields: object) -> PaymentMethod:
    """The organization's default card, valid for years."""
    values: dict[str, object] = {"brand": "Visa", "last4": "4242", "expires_on": date(2030, 1, 31), "is_default": True}
    return PaymentMethod.objects.create(
        organization=sale.organization, gateway="stripe", reference="pm_1", **(values | fields)
    )


def charged_for(sale: Sale) -> Charger:
    rows = list(charging.with_charging(Subscription.objects.filter(pk=sale.subscription.pk)))
    return charging.charging_of(rows, at=NOON)[sale.subscription.pk].charger


def renewal_invoice(sale: Sale, *others: Sale) -> Invoice:
    """An issued invoice over the next period of the sales' subscriptions."""
    period = Period(END, next_period_end(END, "monthly", 1))
    lines = [plan_line(each.subscription, period=period) for each in (sale, *others)]
    draft = invoicing.draft_invoice(organization=sale.organization, currency="USD", lines=lines, at=NOON)
    return invoicing.issue_invoice(invoice=draft, at=NOON)


def test_a_canceled_subscription_runs_until_its_period_is_over_and_then_ends(sale: Sale) -> None:
    row = cancel(sale)
    assert (row.cancellation_reason, row.cancellation_comment, row.status) == ("unused", "see you", "active")
    assert cancel(sale).canceled_at == row.canceled_at  # twice is harmless
    assert AuditEntry.objects.filter(action="subscription.cancel").count() == 1
    assert charged_for(sale) == Charger.NOTHING

    assert subscriptions.end_due(at=END - timedelta(seconds=1)) == 0
    assert subscriptions.end_due(at=END) == 1
    assert sale.subscription.reload().status == SubscriptionStatus.ENDED


def test_canceling_voids_unpaid_invoices_over_later_periods_alone(sale: Sale) -> None:
    other = make_sale(organization=sale.organization)
    other.settle()
    together = renewal_invoice(other)
    mine = renewal_invoice(sale)

    cancel(sale)

    assert (mine.reload().state, together.reload().state) == (InvoiceState.VOID, InvoiceState.OPEN)


def test_what_others_have_on_a_consolidated_invoice_can_be_paid_at_once(sale: Sale) -> None:
    """For itself, when it was due, and again: an invoice that is going to be withdrawn is paid by nobody."""
    other = make_sale(organization=sale.organization, is_auto_renewed=True)
    other.settle()
    issued_at = END - timedelta(days=7)
    runner.execute(RunKind.RENEW, at=issued_at)
    run_commit_triggers()
    shared = Invoice.objects.get(state=InvoiceState.OPEN)
    assert shared.items.count() == 2

    cancel(sale, at=issued_at)

    mine = Invoice.objects.get(state=InvoiceState.OPEN)
    assert (shared.reload().state, [item.subscription for item in mine.items.all()]) == ("void", [other.subscription])
    assert (mine.due_at, payments.is_withdrawn(mine)) == (shared.due_at, False)
    assert payments.open_payment(invoice=mine, gateway="stripe", expires_at=END, at=issued_at).amount == mine.total


def test_canceling_again_and_again_makes_no_invoices_without_end(sale: Sale) -> None:
    sales = [sale, *(make_sale(organization=sale.organization, is_auto_renewed=True) for _more in range(2))]
    for other in sales[1:]:
        other.settle()
    issued_at = END - timedelta(days=7)
    runner.execute(RunKind.RENEW, at=issued_at)

    for number in range(9):
        one = sales[number % 3]
        cancel(one, at=issued_at)
        cancellations.undo(subscription=one.subscription, actor=None, at=issued_at)

    assert Invoice.objects.filter(state=InvoiceState.VOID).count() == cancellations.MAX_VOID_AT_ONCE


def test_a_consolidated_invoice_is_void_when_the_last_of_its_subscriptions_is_canceled(sale: Sale) -> None:
    other = make_sale(organization=sale.organization)
    other.settle()
    shared = renewal_invoice(sale, other)
    canceled_at = NOON + timedelta(days=1)
    payment = payments.open_payment(invoice=shared, gateway="stripe", expires_at=END, at=NOON)

    cancel(sale)
    assert shared.reload().state == InvoiceState.OPEN
    assert not payment.reload().is_open(canceled_at)  # `renew` invoices the other one's time again

    payments.expire(payment_id=payment.pk, at=canceled_at)
    cancel(other)
    assert shared.reload().state == InvoiceState.VOID


def test_a_cancellation_is_undone_until_the_period_is_over(sale: Sale) -> None:
    cancel(sale)
    cancellations.undo(subscription=sale.subscription, actor=None, at=END - timedelta(seconds=1))
    row = sale.subscription.reload()
    assert (row.cancels_at_period_end, row.cancellation_reason, row.is_auto_renewed) == (False, "", True)
    assert subscriptions.end_due(at=END) == 0

    cancel(sale)
    with pytest.raises(cancellations.NotPossible):
        cancellations.undo(subscription=sale.subscription, actor=None, at=END)


def test_what_ends_because_its_money_went_back_is_not_undone_by_its_customer(sale: Sale) -> None:
    subscriptions.cancel_at_period_end(subscription=sale.subscription, at=NOON)
    with pytest.raises(cancellations.NotPossible):
        cancellations.undo(subscription=sale.subscription, actor=None, at=NOON)
    assert sale.subscription.reload().cancels_at_period_end


@pytest.mark.parametrize("has_method", [True, False])
def test_what_a_gateway_renewed_goes_on_with_us(has_method: bool) -> None:
    sale = make_sale(billing_mode=BillingMode.GATEWAY)
    sale.settle()
    if has_method:
        save_method(sale)
    cancel(sale)

    cancellations.undo(subscription=sale.subscription, actor=None, at=NOON + timedelta(days=2))

    row = sale.subscription.reload()
    assert (row.billing_mode, row.is_auto_renewed) == (BillingMode.SELF, has_method)


def test_a_pending_or_ended_subscription_is_not_canceled(sale: Sale) -> None:
    with pytest.raises(cancellations.NotPossible):
        cancel(make_sale())
    subscriptions.end_subscription(subscription=sale.subscription, reason="over", at=NOON)
    with pytest.raises(cancellations.NotPossible):
        cancel(sale)


def test_automatic_renewal_is_never_a_promise_that_nothing_pays(sale: Sale) -> None:
    """Nothing, an expired card, a card that is valid until then, and at last enough credit."""
    cancellations.set_auto_renewal(subscription=sale.subscription, is_auto_renewed=False, actor=None, at=NOON)
    assert charged_for(sale) == Charger.NOTHING

    def switch_on() -> Charger:
        cancellations.set_auto_renewal(subscription=sale.subscription, is_auto_renewed=True, actor=None, at=NOON)
        return charged_for(sale)

    with pytest.raises(cancellations.NothingToCharge):
        switch_on()
    method = save_method(sale, expires_on=END.date() - timedelta(days=1))
    with pytest.raises(cancellations.NothingToCharge):
        switch_on()
    PaymentMethod.objects.filter(pk=method.pk).update(expires_on=END.date())
    assert switch_on() == Charger.METHOD
    accept(make_sale(organization=sale.organization, minor=9900).settle(amount=usd(800)))
    assert charged_for(sale) == Charger.WALLET


def test_credit_is_promised_to_what_renews_first(sale: Sale) -> None:
    later = make_sale(organization=sale.organization, is_auto_renewed=True)
    later.settle(at=NOON + timedelta(days=3))
    accept(make_sale(organization=sale.organization, minor=9900).settle(amount=usd(1500)))
    assert (charged_for(sale), charged_for(later)) == (Charger.WALLET, Charger.NOTHING)

    suspended = Subscription.objects.filter(pk=sale.subscription.pk)
    suspended.update(status=SubscriptionStatus.SUSPENDED, amount_minor=1)  # its items say what it costs next
    assert charged_for(later) == Charger.NOTHING  # the wallet pays what is suspended too, and first
    suspended.update(status=SubscriptionStatus.ACTIVE)

    cancel(sale)
    assert charged_for(later) == Charger.WALLET


def test_a_canceled_subscription_does_not_end_while_its_next_period_is_being_paid(sale: Sale) -> None:
    invoice = renewal_invoice(sale)
    payment = payments.open_payment(invoice=invoice, gateway="stripe", expires_at=END + timedelta(days=9), at=NOON)
    payment.state = PaymentState.PROCESSING
    payment.save(update_fields=["state"])

    cancel(sale)
    assert invoice.reload().state == InvoiceState.OPEN
    assert subscriptions.end_due(at=END + timedelta(days=3)) == 0

    arrived = replace(sale, invoice=invoice, payment=payment).gateway_payment()
    payments.settle(payment_id=payment.pk, gateway_payment=arrived, at=END + timedelta(days=4))
    row = sale.subscription.reload()
    assert (row.status, row.current_period_start) == (SubscriptionStatus.ACTIVE, END)
    assert row.current_period_end is not None
    assert subscriptions.end_due(at=row.current_period_end) == 1


def test_credit_is_promised_only_where_it_pays_the_tax_too(sale: Sale) -> None:
    accept(make_sale(organization=sale.organization, minor=9900).settle(amount=usd(951)))
    assert charged_for(sale) == Charger.WALLET

    set_up_shop()
    assert charged_for(sale) == Charger.NOTHING  # 952

    accept(make_sale(organization=sale.organization, minor=9900).settle(amount=usd(1)))
    assert charged_for(sale) == Charger.WALLET


def test_a_discount_counts_as_long_as_it_lasts(sale: Sale) -> None:
    subscription = sale.subscription
    subscription.items.create(
        organization=sale.organization,
        kind=ItemKind.DISCOUNT,
        description="WELCOME",
        unit_minor=-300,
        currency="USD",
        valid_from=NOON,
        valid_until=END + timedelta(days=1),
        position=1,
    )
    accept(make_sale(organization=sale.organization, minor=9900).settle(amount=usd(500)))
    assert charged_for(sale) == Charger.WALLET

    subscription.items.filter(kind=ItemKind.DISCOUNT).update(valid_until=END)
    assert charged_for(sale) == Charger.NOTHING


def test_the_database_refuses_a_reason_without_a_cancellation(sale: Sale) -> None:
    for fields in ({"cancellation_reason": "unused"}, {"cancellation_comment": "x"}, {"cancellation_reason": "bored"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Subscription.objects.filter(pk=sale.subscription.pk).update(**fields)
