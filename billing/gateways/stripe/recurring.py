"""Subscriptions that Stripe collects, and the invoices it writes for them."""

from typing import Any

from billing.gateways.base import GatewayInvoice, GatewayInvoiceStatus, GatewaySubscription, GatewaySubscriptionStatus
from billing.gateways.stripe import client, receipts
from billing.gateways.stripe.fields import id_of, ours, value
from core.outside import Rejected

STATUSES = {
    "active": GatewaySubscriptionStatus.ACTIVE,
    "trialing": GatewaySubscriptionStatus.ACTIVE,
    "past_due": GatewaySubscriptionStatus.PAST_DUE,
    "unpaid": GatewaySubscriptionStatus.PAST_DUE,
    "canceled": GatewaySubscriptionStatus.ENDED,
    "incomplete_expired": GatewaySubscriptionStatus.ENDED,
}
BILLS = {"paid": GatewayInvoiceStatus.PAID, "open": GatewayInvoiceStatus.UNPAID, "draft": GatewayInvoiceStatus.UNPAID}


def read(reference: str) -> GatewaySubscription:
    """A subscription as it now stands."""
    found: Any = client.ask("Stripe subscription", lambda stripe: stripe.v1.subscriptions.retrieve(reference))
    return GatewaySubscription(
        reference=found.id,
        subscription_id=ours(found.metadata, "subscription"),
        status=STATUSES.get(str(found.status), GatewaySubscriptionStatus.OTHER),
        cancels_at_period_end=_ends_with_period(found),
        end_reason=str(value(found, "cancellation_details", "reason") or "")[:64],
    )


def _ends_with_period(subscription: Any) -> bool:
    """Either of the two ways to say it: the flag, or a day that the paid period reaches."""
    if subscription.cancel_at_period_end:
        return True
    ends = [item.current_period_end for item in subscription["items"].data]
    return subscription.cancel_at is not None and subscription.cancel_at <= max(ends, default=0)


def stop(reference: str) -> None:
    """Cancel a subscription at once; one that has ended, or that Stripe never had, stays as it is."""
    try:
        client.tell("Stripe subscription end", lambda stripe: stripe.v1.subscriptions.cancel(reference))
    except Rejected as error:
        if error.code != "resource_missing":
            raise


def bill(reference: str) -> GatewayInvoice | None:
    """An invoice as it now stands, with the receipt when it was paid; None where it bills no subscription."""
    invoice: Any = client.ask("Stripe invoice", lambda stripe: stripe.v1.invoices.retrieve(reference))
    details = value(invoice, "parent", "subscription_details")
    if details is None:
        return None
    status = BILLS.get(str(invoice.status), GatewayInvoiceStatus.OVER)
    return GatewayInvoice(
        reference=invoice.id,
        status=status,
        is_first=invoice.billing_reason == "subscription_create",
        is_renewal=invoice.billing_reason == "subscription_cycle",
        subscription_reference=id_of(details.subscription),
        subscription_id=ours(details.metadata, "subscription"),
        payment_id=ours(details.metadata, "payment"),
        receipt=receipts.of_invoice(invoice) if status is GatewayInvoiceStatus.PAID else None,
    )
