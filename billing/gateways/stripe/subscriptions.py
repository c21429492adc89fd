"""Subscriptions that Stripe renews, and the invoices it issues for them."""

from typing import Any

from billing.gateways.base import GatewayInvoice, GatewayInvoiceStatus, GatewaySubscription, GatewaySubscriptionStatus
from billing.gateways.stripe.fields import id_of, metadata_id, value
from billing.gateways.stripe.payments import Payments
from core.outside import Rejected

SUBSCRIPTION_STATUSES = {
    "active": GatewaySubscriptionStatus.ACTIVE,
    "trialing": GatewaySubscriptionStatus.ACTIVE,
    "past_due": GatewaySubscriptionStatus.PAST_DUE,
    "unpaid": GatewaySubscriptionStatus.PAST_DUE,
    "canceled": GatewaySubscriptionStatus.ENDED,
    "incomplete_expired": GatewaySubscriptionStatus.ENDED,
}
INVOICE_STATUSES = {
    "paid": GatewayInvoiceStatus.PAID,
    "open": GatewayInvoiceStatus.UNPAID,
    "draft": GatewayInvoiceStatus.UNPAID,
}


class Subscriptions(Payments):
    """Subscriptions and their invoices."""

    def read_subscription(self, reference: str) -> GatewaySubscription:
        """The subscription in its current state.

        It cancels at period end by the flag, or by a day to cancel on that the current period reaches.
        """
        found: Any = self.read("Stripe subscription", lambda stripe: stripe.v1.subscriptions.retrieve(reference))
        period_end = max((item.current_period_end for item in found["items"].data), default=0)
        cancels_on_period_end = found.cancel_at is not None and found.cancel_at <= period_end
        return GatewaySubscription(
            reference=found.id,
            subscription_id=metadata_id(found.metadata, "subscription"),
            payment_id=metadata_id(found.metadata, "payment"),
            status=SUBSCRIPTION_STATUSES.get(str(found.status), GatewaySubscriptionStatus.OTHER),
            cancels_at_period_end=bool(found.cancel_at_period_end) or cancels_on_period_end,
            end_reason=str(value(found, "cancellation_details", "reason") or "")[:64],
        )

    def cancel_subscription(self, reference: str) -> None:
        """Cancel the subscription at once; one that has ended, or that Stripe never had, stays as it is."""
        try:
            self.write("Stripe subscription end", lambda stripe: stripe.v1.subscriptions.cancel(reference))
        except Rejected as error:
            if error.code != "resource_missing":
                raise

    def read_invoice(self, reference: str) -> GatewayInvoice | None:
        """The invoice in its current state, with the payment when it was paid; None where it bills no subscription."""
        invoice: Any = self.read("Stripe invoice", lambda stripe: stripe.v1.invoices.retrieve(reference))
        details = value(invoice, "parent", "subscription_details")
        if details is None:
            return None
        status = INVOICE_STATUSES.get(str(invoice.status), GatewayInvoiceStatus.CLOSED)
        return GatewayInvoice(
            reference=invoice.id,
            status=status,
            is_first=invoice.billing_reason == "subscription_create",
            is_renewal=invoice.billing_reason == "subscription_cycle",
            subscription_reference=id_of(details.subscription),
            subscription_id=metadata_id(details.metadata, "subscription"),
            payment_id=metadata_id(details.metadata, "payment"),
            payment=self.payment_of_invoice(invoice) if status is GatewayInvoiceStatus.PAID else None,
        )
