"""What a gateway has and no event told of gets its row; what can have none and concerns a customer is unexplained."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from billing import gateway_sync, unexplained
from billing.gateways.base import ObjectType
from billing.models import (
    BillingMode,
    Dispute,
    GatewayCustomer,
    PaymentState,
    Refund,
    SubscriptionStatus,
    UnexplainedItem,
)
from billing.reconciliation import sweep
from core.models import AuditEntry
from sandbox.client import Sandbox
from tests.billing.sales import Sale, make_sale, run_due, transactions
from tests.builders import make_price
from tests.shop import deliver_webhooks
from tests.stripe_dashboard import know_price, make_stripe_price, write

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def paid(stripe_sandbox: Sandbox) -> Sale:
    """An order that was paid and settled."""
    sale = make_sale(at=timezone.now())
    return settled(sale, stripe_sandbox)


def settled(sale: Sale, sandbox: Sandbox) -> Sale:
    """The sale after it was paid and its webhooks came."""
    sandbox.pay(sale.create_session())
    deliver_webhooks(sandbox)
    while run_due():
        pass
    return sale.reloaded()


def run_sweep(hours: float = 2) -> int:
    """Sweep as if after so many hours; how many items are open."""
    return sweep.sweep_objects(gateway="stripe", at=timezone.now() + timedelta(hours=hours))


def subscribe_at_gateway(customer: str, sandbox: Sandbox) -> str:
    """A subscription that was made at the gateway and not by us."""
    params: Any = {
        "customer": customer,
        "mode": "subscription",
        "line_items": [{"price": make_stripe_price(), "quantity": 1}],
        "success_url": "https://shop.example/done",
    }
    sandbox.pay(str(write("session", lambda stripe: stripe.v1.checkout.sessions.create(params)).url))
    return str(sandbox.stripe_state()["subscription"][-1]["id"])


def reference_of(sale: Sale) -> str:
    """The organization at the gateway."""
    return str(GatewayCustomer.objects.get(organization=sale.organization).reference)


def test_a_subscription_of_a_customer_that_no_row_follows_is_unexplained(paid: Sale, stripe_sandbox: Sandbox) -> None:
    reference = subscribe_at_gateway(reference_of(paid), stripe_sandbox)
    assert run_sweep(hours=0.5) == 0  # its event may be on its way

    assert [run_sweep(), run_sweep()] == [1, 1]

    item = UnexplainedItem.objects.get()
    assert (item.type, item.reference, item.organization) == ("subscription", reference, paid.organization)
    assert str(item.amount) == "$8.00"
    assert AuditEntry.objects.filter(action="reconciliation.unexplained").exists()


def test_what_concerns_no_customer_of_ours_is_not_listed(paid: Sale, stripe_sandbox: Sandbox) -> None:
    stranger: Any = {"name": "Somebody else"}
    subscribe_at_gateway(write("c", lambda stripe: stripe.v1.customers.create(stranger)).id, stripe_sandbox)
    assert run_sweep() == 0


def test_a_refund_and_a_dispute_that_no_event_reported_get_their_rows(paid: Sale, stripe_sandbox: Sandbox) -> None:
    other = settled(make_sale(at=timezone.now()), stripe_sandbox)
    refunded, disputed = transactions(stripe_sandbox)
    params: Any = {"payment_intent": refunded}
    write("by hand", lambda stripe: stripe.v1.refunds.create(params))
    stripe_sandbox.dispute(disputed)

    assert run_sweep() == 0

    assert Refund.objects.get().payment == paid.payment
    assert Dispute.objects.get().payment == other.payment
    assert paid.payment.reload().state == PaymentState.REFUNDED
    assert other.payment.reload().state == PaymentState.DISPUTED


def test_a_fault_of_ours_with_one_object_does_not_stop_the_sweep(
    paid: Sale, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = settled(make_sale(at=timezone.now()), stripe_sandbox)
    refunded, disputed = transactions(stripe_sandbox)
    params: Any = {"payment_intent": refunded}
    write("by hand", lambda stripe: stripe.v1.refunds.create(params))
    stripe_sandbox.dispute(disputed)

    def failing(*_arguments: Any) -> Any:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as patch:
        patch.setitem(gateway_sync.SYNC, ObjectType.REFUND, failing)
        assert run_sweep() == 1

    assert Dispute.objects.get().payment == other.payment
    assert UnexplainedItem.objects.get().note == "RuntimeError: a fault of ours"
    assert run_sweep() == 0
    assert Refund.objects.get().payment == paid.payment


def test_a_refund_of_money_that_we_never_recorded_is_unexplained(paid: Sale, stripe_sandbox: Sandbox) -> None:
    owner: Any = {"customer": reference_of(paid)}
    card = write("card", lambda stripe: stripe.v1.payment_methods.attach("pm_card_visa", owner))
    charge: Any = {
        "amount": 500,
        "currency": "usd",
        "customer": owner["customer"],
        "payment_method": card.id,
        "confirm": True,
        "off_session": True,
    }
    intent = write("by hand", lambda stripe: stripe.v1.payment_intents.create(charge)).id
    params: Any = {"payment_intent": intent}
    write("by hand", lambda stripe: stripe.v1.refunds.create(params))

    assert run_sweep() == 1

    item = UnexplainedItem.objects.get()
    assert (item.type, str(item.amount)) == ("refund", "$5.00")
    assert "not settled" in item.note


def test_an_item_closes_by_itself_when_a_row_accounts_for_it(paid: Sale, stripe_sandbox: Sandbox) -> None:
    params: Any = {"payment_intent": transactions(stripe_sandbox)[0]}
    write("by hand", lambda stripe: stripe.v1.refunds.create(params))
    stripe_sandbox.arm("stripe", "GET /v1/refunds/re_*", "status", status=503, times=0)
    assert run_sweep() == 1
    stripe_sandbox.clear_faults()

    assert run_sweep() == 0
    assert UnexplainedItem.objects.get().resolution == unexplained.FOUND_LATER


def test_what_staff_resolved_stays_resolved(paid: Sale, stripe_sandbox: Sandbox) -> None:
    subscribe_at_gateway(reference_of(paid), stripe_sandbox)
    run_sweep()
    item = UnexplainedItem.objects.get()
    now = timezone.now()

    assert unexplained.resolve(item=item, reason="canceled at the gateway", actor="test", at=now)
    assert not unexplained.resolve(item=item, reason="again", actor="test", at=now)

    assert run_sweep() == 0
    assert item.reload().resolution == "canceled at the gateway"


def test_a_subscription_that_ended_unnoticed_ends_here(stripe_sandbox: Sandbox) -> None:
    price = know_price(make_price())
    sale = make_sale(at=timezone.now(), price=price, billing_mode=BillingMode.GATEWAY)
    settled(sale, stripe_sandbox)
    reference = stripe_sandbox.stripe_state()["subscription"][0]["id"]
    run_sweep()
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE
    write("by hand", lambda stripe: stripe.v1.subscriptions.cancel(reference))

    assert run_sweep() == 0

    assert sale.subscription.reload().status == SubscriptionStatus.ENDED
