"""What may follow a purchase: refunds, disputes, and later periods."""

from datetime import timedelta
from typing import Any

import pytest

from billing import payments, refunds, reviews, subscriptions
from billing.gateways.base import GatewayPayment, GatewayRefund, RefundStatus
from billing.models import (
    AccountKind,
    BillingMode,
    Invoice,
    InvoiceState,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    Subscription,
    SubscriptionStatus,
)
from catalog.models import PlanPrice
from core import site_settings, work
from core.money import Money
from orders.models import Order, OrderStatus
from servers import services as servers
from servers.models import HoldKind, Server, ServerHold, ServerStatus
from tests.faults.purchase import balances, dead_work
from tests.shop import Clock, Shop, create_session, deliver_webhooks, panel_servers, place_order, run_until_idle
from tests.stripe_dashboard import know_price, write

PRICE = 800
MONTH = 32 * 86_400  # seconds


def buy(shop: Shop, clock: Clock, **fields: Any) -> Payment:
    """A purchase brought to its running server; its payment."""
    order = place_order(shop, at=clock.now, **fields)
    shop.sandbox.pay(create_session(order, at=clock.now))
    deliver_events(shop, clock)
    assert order.reload().status == OrderStatus.ACTIVE
    return Payment.objects.get()


def deliver_events(shop: Shop, clock: Clock) -> None:
    """Deliver every event that Stripe has, old and new, and do what follows."""
    assert set(deliver_webhooks(shop.sandbox)) == {200}
    run_until_idle(clock)


def is_suspended_on_the_panel(shop: Shop) -> bool:
    (server,) = panel_servers(shop.sandbox)
    return bool(server["status"] == "suspended")


def open_holds() -> list[str]:
    return list(ServerHold.objects.filter(lifted_at=None).values_list("kind", flat=True))


def test_a_full_refund_by_staff_returns_the_money_and_suspends_the_server(shop: Shop, clock: Clock) -> None:
    payment = buy(shop, clock)

    refunds.refund_payment(
        payment=payment, amount=payment.refundable, reason="goodwill", actor=shop.customer, at=clock.now
    )
    run_until_idle(clock)
    deliver_events(shop, clock)

    assert Refund.objects.get().state == RefundState.SUCCEEDED
    assert payment.reload().state == PaymentState.REFUNDED
    assert Invoice.objects.get().state == InvoiceState.REFUNDED
    assert [refund["amount"] for refund in shop.sandbox.stripe_state()["refund"]] == [PRICE]
    assert balances()[AccountKind.CLEARING] == 0
    assert open_holds() == [HoldKind.BILLING]
    assert is_suspended_on_the_panel(shop)
    assert dead_work() == {}


def test_a_refund_before_the_server_runs_cancels_the_order(shop: Shop, clock: Clock) -> None:
    order = place_order(shop, at=clock.now)
    url = create_session(order, at=clock.now)
    shop.sandbox.arm("pterodactyl", "POST /api/application/servers", "status", status=503, times=0)
    shop.sandbox.pay(url)
    deliver_webhooks(shop.sandbox)
    for _round in range(3):
        work.run_due(at=clock.pass_by())
    assert order.reload().status == OrderStatus.PROVISIONING
    payment = Payment.objects.get()

    intent: Any = {"payment_intent": payment.transaction_id}
    write("refund", lambda stripe: stripe.v1.refunds.create(intent))
    deliver_webhooks(shop.sandbox)
    for _round in range(3):
        work.run_due(at=clock.pass_by())
    shop.sandbox.clear_faults()
    run_until_idle(clock)

    assert payment.reload().state == PaymentState.REFUNDED
    assert order.reload().status == OrderStatus.CANCELED
    assert Subscription.objects.get().status == SubscriptionStatus.ENDED
    assert panel_servers(shop.sandbox) == []
    assert dead_work() == {}


def test_a_refund_that_fails_late_lifts_the_suspension_it_caused(shop: Shop, clock: Clock) -> None:
    payment = buy(shop, clock)
    refunds.refund_payment(
        payment=payment, amount=payment.refundable, reason="goodwill", actor=shop.customer, at=clock.now
    )
    run_until_idle(clock)
    assert is_suspended_on_the_panel(shop)

    shop.sandbox.fail_refund(str(Refund.objects.get().transaction_id))
    deliver_events(shop, clock)

    assert Invoice.objects.get().state == InvoiceState.PAID
    assert balances()[AccountKind.CLEARING] == -PRICE
    assert open_holds() == []
    assert not is_suspended_on_the_panel(shop)


@pytest.mark.parametrize("is_accepted", [False, True])
def test_a_refunded_duplicate_does_not_suspend_the_server(shop: Shop, clock: Clock, is_accepted: bool) -> None:
    payment = buy(shop, clock)
    twice = GatewayPayment("pi_twice", Money(PRICE, "USD"), is_live=False, payment_id=payment.pk)
    duplicate = payments.settle(payment_id=payment.pk, gateway_payment=twice, at=clock.now)
    if is_accepted:
        reviews.accept_payment(payment_id=duplicate.pk, actor=None, at=clock.now)

    gone = GatewayRefund("re_twice", "pi_twice", Money(PRICE, "USD"), RefundStatus.SUCCEEDED)
    refunds.record_refund(payment_id=duplicate.pk, gateway_refund=gone, at=clock.now)
    run_until_idle(clock)

    assert duplicate.reload().state == PaymentState.REFUNDED
    assert Invoice.objects.get().state == InvoiceState.PAID
    assert open_holds() == []
    assert Server.objects.get().status == ServerStatus.RUNNING


def test_a_partial_refund_leaves_the_server_running(shop: Shop, clock: Clock) -> None:
    payment = buy(shop, clock)

    refunds.refund_payment(
        payment=payment, amount=Money(300, "USD"), reason="an outage", actor=shop.customer, at=clock.now
    )
    run_until_idle(clock)
    deliver_events(shop, clock)

    assert payment.reload().state == PaymentState.SUCCEEDED
    assert balances()[AccountKind.CLEARING] == -(PRICE - 300)
    assert open_holds() == []
    assert Server.objects.get().status == ServerStatus.RUNNING


def test_a_dispute_suspends_the_server_and_a_won_one_resumes_it(shop: Shop, clock: Clock) -> None:
    payment = buy(shop, clock)

    dispute = shop.sandbox.dispute(str(payment.transaction_id))
    deliver_events(shop, clock)
    assert payment.reload().state == PaymentState.DISPUTED
    assert balances()[AccountKind.CLEARING] == 0
    assert is_suspended_on_the_panel(shop)
    assert Server.objects.get().status == ServerStatus.SUSPENDED

    shop.sandbox.close_dispute(dispute["id"], "won")
    deliver_events(shop, clock)
    assert payment.reload().state == PaymentState.SUCCEEDED
    assert balances()[AccountKind.CLEARING] == -PRICE
    assert open_holds() == []
    assert not is_suspended_on_the_panel(shop)
    assert Server.objects.get().status == ServerStatus.RUNNING


def test_a_lost_dispute_keeps_it_suspended_until_it_is_won_on_appeal(shop: Shop, clock: Clock) -> None:
    payment = buy(shop, clock)

    dispute = shop.sandbox.dispute(str(payment.transaction_id))
    shop.sandbox.close_dispute(dispute["id"], "lost")
    deliver_events(shop, clock)

    assert payment.reload().state == PaymentState.DISPUTED
    assert balances()[AccountKind.CLEARING] == 0
    assert open_holds() == [HoldKind.BILLING]
    assert is_suspended_on_the_panel(shop)

    shop.sandbox.appeal_dispute(dispute["id"])
    deliver_events(shop, clock)
    assert open_holds() == [HoldKind.BILLING]
    shop.sandbox.close_dispute(dispute["id"], "won")
    deliver_events(shop, clock)
    assert payment.reload().state == PaymentState.SUCCEEDED
    assert balances()[AccountKind.CLEARING] == -PRICE
    assert open_holds() == []
    assert not is_suspended_on_the_panel(shop)


def test_a_won_dispute_does_not_lift_what_staff_hold_for_abuse(shop: Shop, clock: Clock) -> None:
    payment = buy(shop, clock)
    server = Server.objects.get()
    dispute = shop.sandbox.dispute(str(payment.transaction_id))
    servers.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=shop.customer, at=clock.now)
    deliver_events(shop, clock)

    shop.sandbox.close_dispute(dispute["id"], "won")
    deliver_events(shop, clock)

    assert open_holds() == [HoldKind.ABUSE]
    assert is_suspended_on_the_panel(shop)


def test_a_won_dispute_does_not_resume_a_server_whose_subscription_has_ended(shop: Shop, clock: Clock) -> None:
    payment = buy(shop, clock)
    dispute = shop.sandbox.dispute(str(payment.transaction_id))
    deliver_events(shop, clock)
    subscriptions.end_subscription(subscription=Subscription.objects.get(), reason="by staff", at=clock.now)

    shop.sandbox.close_dispute(dispute["id"], "won")
    deliver_events(shop, clock)

    assert payment.reload().state == PaymentState.SUCCEEDED
    assert open_holds() == [HoldKind.BILLING]
    assert is_suspended_on_the_panel(shop)


@pytest.fixture
def stripes_price(shop: Shop) -> PlanPrice:
    """The plan at a price that Stripe knows, in a shop that lets Stripe renew."""
    site_settings.set_value("billing.gateway_renews", True)
    return know_price(shop.price)


@pytest.fixture
def renewed(shop: Shop, clock: Clock, stripes_price: PlanPrice) -> Subscription:
    """A subscription that Stripe collects, in its second month."""
    price = PlanPrice.objects.select_related("plan__product").get(pk=stripes_price.pk)
    buy(shop, clock, plan_price=price, is_auto_renewed=True)
    first_end = Subscription.objects.get().current_period_end
    clock.pass_by(timedelta(seconds=MONTH))
    write("clock", lambda stripe: stripe.v1.events.list({"limit": 1}))  # time passes with the next request
    for _twice in range(2):
        deliver_events(shop, clock)
    subscription = Subscription.objects.get()
    assert subscription.current_period_start == first_end
    return subscription


def test_what_stripe_renews_is_invoiced_by_us_once_a_period(shop: Shop, renewed: Subscription) -> None:
    assert (renewed.billing_mode, renewed.status) == (BillingMode.GATEWAY, SubscriptionStatus.ACTIVE)
    assert [row.state for row in Invoice.objects.all()] == [InvoiceState.PAID] * 2
    assert [row.amount_minor for row in Payment.objects.filter(state=PaymentState.SUCCEEDED)] == [PRICE] * 2
    assert balances() == {AccountKind.CLEARING: -2 * PRICE, AccountKind.WALLET: 0, AccountKind.REVENUE: 2 * PRICE}
    assert len(panel_servers(shop.sandbox)) == 1
    assert Order.objects.count() == 1
    assert dead_work() == {}


def withdraw(shop: Shop, clock: Clock, payment: Payment, how: str) -> str:
    """Take the payment's money back for good; the id of the refund or dispute at Stripe."""
    if how == "refunded by staff":
        refunds.refund_payment(
            payment=payment, amount=payment.refundable, reason="goodwill", actor=shop.customer, at=clock.now
        )
        run_until_idle(clock)
        return str(Refund.objects.get().transaction_id)
    if how == "refunded at Stripe":
        intent: Any = {"payment_intent": payment.transaction_id}
        return str(write("refund", lambda stripe: stripe.v1.refunds.create(intent)).id)
    dispute = shop.sandbox.dispute(str(payment.transaction_id))
    shop.sandbox.close_dispute(dispute["id"], "lost")
    return str(dispute["id"])


def paid_at_stripe(shop: Shop) -> int:
    """How often Stripe charged for a period, once another month has passed there."""
    shop.sandbox.advance(MONTH)
    write("clock", lambda stripe: stripe.v1.events.list({"limit": 1}))
    return len([each for each in shop.sandbox.stripe_state()["invoice"] if each["status"] == "paid"])


@pytest.mark.parametrize("how", ["refunded by staff", "refunded at Stripe", "disputed and lost"])
def test_what_was_refunded_or_lost_is_not_charged_again_and_ends_with_its_period(
    shop: Shop, clock: Clock, renewed: Subscription, how: str
) -> None:
    withdraw(shop, clock, payment_of_period(renewed), how)
    deliver_events(shop, clock)
    assert is_suspended_on_the_panel(shop)

    assert paid_at_stripe(shop) == 2
    deliver_events(shop, clock)
    assert Payment.objects.count() == 2
    row = renewed.reload()
    assert (row.status, row.cancels_at_period_end) == (SubscriptionStatus.ACTIVE, True)
    assert row.current_period_end is not None

    subscriptions.end_due(at=row.current_period_end - timedelta(seconds=1))
    assert renewed.reload().status == SubscriptionStatus.ACTIVE
    subscriptions.end_due(at=row.current_period_end)
    assert renewed.reload().status == SubscriptionStatus.ENDED
    assert is_suspended_on_the_panel(shop)
    assert dead_work() == {}


@pytest.mark.parametrize("how", ["refunded by staff", "disputed and lost"])
def test_money_that_came_back_runs_the_server_to_the_end_of_its_period_without_another_charge(
    shop: Shop, clock: Clock, renewed: Subscription, how: str
) -> None:
    reference = withdraw(shop, clock, payment_of_period(renewed), how)
    deliver_events(shop, clock)
    assert is_suspended_on_the_panel(shop)

    if how == "refunded by staff":
        shop.sandbox.fail_refund(reference)
    else:
        shop.sandbox.appeal_dispute(reference)
        shop.sandbox.close_dispute(reference, "won")
    deliver_events(shop, clock)
    assert renewed.reload().status == SubscriptionStatus.ACTIVE
    assert not is_suspended_on_the_panel(shop)

    assert paid_at_stripe(shop) == 2
    deliver_events(shop, clock)
    end = renewed.current_period_end
    assert end is not None
    clock.now = end
    subscriptions.end_due(at=clock.now)
    run_until_idle(clock)
    assert renewed.reload().status == SubscriptionStatus.ENDED
    assert is_suspended_on_the_panel(shop)


def test_the_refund_of_an_earlier_month_neither_suspends_the_server_nor_ends_the_renewal(
    shop: Shop, clock: Clock, renewed: Subscription
) -> None:
    earlier = Payment.objects.exclude(pk=payment_of_period(renewed).pk).get()

    withdraw(shop, clock, earlier, "refunded by staff")
    deliver_events(shop, clock)

    assert earlier.reload().state == PaymentState.REFUNDED
    assert open_holds() == []
    assert not is_suspended_on_the_panel(shop)
    assert not renewed.reload().cancels_at_period_end
    assert paid_at_stripe(shop) == 3


def test_a_lost_dispute_about_an_earlier_month_lets_the_server_run_to_the_end_of_the_paid_one(
    shop: Shop, clock: Clock, renewed: Subscription
) -> None:
    earlier = Payment.objects.exclude(pk=payment_of_period(renewed).pk).get()

    withdraw(shop, clock, earlier, "disputed and lost")
    deliver_events(shop, clock)

    assert earlier.reload().state == PaymentState.DISPUTED
    assert earlier.invoice is not None
    assert earlier.invoice.reload().state == InvoiceState.REFUNDED
    assert open_holds() == []
    assert not is_suspended_on_the_panel(shop)
    assert renewed.reload().cancels_at_period_end
    assert renewed.current_period_end is not None
    clock.now = renewed.current_period_end
    subscriptions.end_due(at=clock.now)
    run_until_idle(clock)
    assert is_suspended_on_the_panel(shop)


def test_an_open_dispute_leaves_the_renewal_as_it_is(shop: Shop, clock: Clock, renewed: Subscription) -> None:
    shop.sandbox.dispute(str(payment_of_period(renewed).transaction_id))
    deliver_events(shop, clock)

    assert is_suspended_on_the_panel(shop)
    assert not renewed.reload().cancels_at_period_end
    assert renewed.gateway_subscriptions.get().ended_at is None


def payment_of_period(subscription: Subscription) -> Payment:
    """What paid the current period."""
    return Payment.objects.get(invoice__items__period_start=subscription.current_period_start)


def test_a_dispute_about_a_later_month_suspends_the_server_too(shop: Shop, clock: Clock, renewed: Subscription) -> None:
    later = payment_of_period(renewed)

    dispute = shop.sandbox.dispute(str(later.transaction_id))
    deliver_events(shop, clock)
    assert is_suspended_on_the_panel(shop)

    shop.sandbox.close_dispute(dispute["id"], "won")
    deliver_events(shop, clock)
    assert not is_suspended_on_the_panel(shop)
