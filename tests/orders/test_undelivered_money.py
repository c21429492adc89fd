"""Money of an order that has no server: disputed, lost, or back after a refund that failed."""

from datetime import timedelta

import pytest
from django.core import mail
from django.test import Client

from billing.models import (
    AccountKind,
    CreditNote,
    Dispute,
    Invoice,
    InvoiceState,
    Payment,
    PaymentState,
    UnexplainedItem,
    UnexplainedType,
)
from orders import cancellation, fulfilment
from orders.models import Order, OrderStatus
from servers.models import Node
from tests.billing.sales import balance, transactions
from tests.builders import make_user
from tests.shop import (
    Clock,
    Shop,
    create_session,
    deliver_webhooks,
    panel_servers,
    place_order,
    run_once,
    run_until_idle,
)


@pytest.fixture
def waiting(shop: Shop, clock: Clock) -> Order:
    """A paid order that waits for capacity."""
    order = place_order(shop, at=clock.now)
    url = create_session(order, at=clock.now)
    cancellation.cancel_unpaid(order=order, reason="not paid in time", at=clock.now)
    Node.objects.update(is_enabled=False)
    shop.sandbox.pay(url)
    bring_events(shop, clock)
    assert order.reload().status == OrderStatus.WAITING_CAPACITY
    return order


def bring_events(shop: Shop, clock: Clock) -> None:
    """Webhooks, workers and the scheduled jobs."""
    deliver_webhooks(shop.sandbox)
    for _ in range(4):
        run_once(clock.pass_by())


def decide_dispute(shop: Shop, clock: Clock, status: str) -> None:
    """The bank decides the dispute."""
    shop.sandbox.close_dispute(Dispute.objects.get().reference, status)
    bring_events(shop, clock)


# -- disputes ----------------------------------------------------------------------------------------------------------


def test_a_disputed_order_gets_no_server_until_the_dispute_is_won(
    shop: Shop, clock: Clock, waiting: Order, client: Client
) -> None:
    shop.sandbox.dispute(transactions(shop.sandbox)[0])
    bring_events(shop, clock)
    Node.objects.update(is_enabled=True)

    assert fulfilment.retry_order(order_id=waiting.pk, at=clock.now) is False
    run_once(clock.pass_by(timedelta(days=3)))  # nor is it refunded when its time is over: the bank has the money
    assert waiting.reload().status == OrderStatus.WAITING_CAPACITY
    assert panel_servers(shop.sandbox) == []
    client.force_login(shop.customer)
    page = client.get(f"/orders/{waiting.pk}/").content.decode()
    assert "Your payment is disputed" in page
    assert "we refund you automatically" not in page
    for address in ("/dashboard/", "/orders/"):
        page = client.get(address).content.decode()
        assert "Payment disputed" in page
        assert "Waiting for capacity" not in page
    client.force_login(make_user(is_staff=True, is_superuser=True))
    page = client.get("/admin/").content.decode()
    assert "waits until the dispute is decided" in page
    assert "automatic refund is due" not in page

    decide_dispute(shop, clock, "won")
    run_until_idle(clock)
    assert waiting.reload().status == OrderStatus.ACTIVE
    assert len(panel_servers(shop.sandbox)) == 1


def test_an_order_whose_dispute_is_lost_is_canceled_and_told_so(
    shop: Shop, clock: Clock, waiting: Order, client: Client
) -> None:
    shop.sandbox.dispute(transactions(shop.sandbox)[0])
    bring_events(shop, clock)

    decide_dispute(shop, clock, "lost")
    Node.objects.update(is_enabled=True)
    run_until_idle(clock)

    assert waiting.reload().status == OrderStatus.CANCELED
    assert panel_servers(shop.sandbox) == []
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 0
    client.force_login(shop.customer)
    assert "your bank took the payment back" in client.get(f"/orders/{waiting.pk}/").content.decode()
    (told,) = [each for each in mail.outbox if each.subject.endswith("is canceled")]
    assert "Your bank took back the payment" in told.body


def test_what_a_dispute_over_a_part_leaves_is_credited_because_stripe_refunds_no_disputed_charge(
    shop: Shop, clock: Clock, waiting: Order
) -> None:
    shop.sandbox.dispute(transactions(shop.sandbox)[0], amount=300)
    bring_events(shop, clock)

    decide_dispute(shop, clock, "lost")
    bring_events(shop, clock)

    assert waiting.reload().status == OrderStatus.CANCELED
    payment = Payment.objects.get()
    assert (payment.lost_minor, payment.refunded_minor, balance(AccountKind.WALLET)) == (300, 0, 500)
    assert balance(AccountKind.CLEARING) == -500
    assert not UnexplainedItem.objects.exists()  # no refund was begun that could only fail


def test_a_dispute_won_on_appeal_after_its_order_ended_is_credited(shop: Shop, clock: Clock, waiting: Order) -> None:
    shop.sandbox.dispute(transactions(shop.sandbox)[0])
    bring_events(shop, clock)
    decide_dispute(shop, clock, "lost")
    assert waiting.reload().status == OrderStatus.CANCELED

    shop.sandbox.appeal_dispute(Dispute.objects.get().reference)
    decide_dispute(shop, clock, "won")

    assert (balance(AccountKind.WALLET), balance(AccountKind.CLEARING)) == (800, -800)
    assert Invoice.objects.get().state == InvoiceState.REFUNDED
    assert CreditNote.objects.filter(voided_at=None).count() == 1


# -- refunds that fail -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_late", [True, False])
def test_a_refund_that_fails_after_its_order_was_canceled_is_credited_and_staff_are_told(
    shop: Shop, clock: Clock, waiting: Order, client: Client, is_late: bool
) -> None:
    cancellation.cancel_paid(order_id=waiting.pk, reason="no server", actor=None, at=clock.now)
    if is_late:
        bring_events(shop, clock)
        assert Invoice.objects.get().state == InvoiceState.REFUNDED
        shop.sandbox.fail_refund(shop.sandbox.stripe_state()["refund"][0]["id"])
    else:
        shop.sandbox.arm("stripe", "POST /v1/refunds", "status", status=400)
    bring_events(shop, clock)

    assert Payment.objects.get().state == PaymentState.SUCCEEDED
    assert Invoice.objects.get().state == InvoiceState.REFUNDED
    assert (balance(AccountKind.WALLET), balance(AccountKind.CLEARING)) == (800, -800)
    assert CreditNote.objects.filter(voided_at=None).count() == 1
    assert waiting.reload().status == OrderStatus.CANCELED
    item = UnexplainedItem.objects.get()
    assert (item.type, item.amount_minor, item.organization) == (UnexplainedType.FAILED_REFUND, 800, shop.organization)
    (told,) = [each for each in mail.outbox if each.subject == "Your refund did not arrive"]
    assert (told.to, "$8.00" in str(told.body)) == ([shop.customer.email], True)
    client.force_login(shop.customer)
    assert "refused our refund of $8.00, so $8.00 is in your wallet now" in str(told.body)
    said = "Your bank refused our refund, so $8.00 is in your wallet now."
    assert said in client.get(f"/orders/{waiting.pk}/").content.decode()
    client.force_login(make_user(is_staff=True, is_superuser=True))
    assert "Its money is in the customer&#x27;s wallet" in client.get("/admin/").content.decode()
