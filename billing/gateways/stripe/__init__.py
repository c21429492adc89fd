"""Stripe: the only package that knows its library."""

from uuid import UUID

from billing.gateways.base import (
    CheckoutRequest,
    CheckoutSession,
    CustomerRequest,
    GatewayDispute,
    GatewayInvoice,
    GatewayRefund,
    GatewaySubscription,
    News,
    RefundRequest,
    Transaction,
)
from billing.gateways.stripe import client, customers, disputes, events, pages, receipts, recurring, refunds
from billing.gateways.stripe.fields import id_of, ours


class StripeDriver:
    """`billing.gateways.base.Driver` over Stripe's API."""

    def is_live(self) -> bool:
        """Whether the configured key moves real money."""
        return client.is_live()

    def ensure_customer(self, request: CustomerRequest) -> str:
        """The customer's id."""
        return customers.ensure(request)

    def create_session(self, request: CheckoutRequest) -> CheckoutSession:
        """A Checkout Session."""
        return pages.create(request)

    def find_session(self, *, customer: str, payment_id: UUID) -> CheckoutSession | None:
        """The session that carries our mark."""
        return pages.find(customer=customer, payment_id=payment_id)

    def read_session(self, reference: str) -> CheckoutSession:
        """The session as it now stands."""
        return pages.read(reference)

    def expire_session(self, reference: str) -> CheckoutSession:
        """Expire the session, unless it is complete."""
        return pages.close(reference)

    def ask_refund(self, request: RefundRequest) -> GatewayRefund:
        """A refund of a PaymentIntent."""
        return refunds.create(request)

    def find_refund(self, request: RefundRequest) -> GatewayRefund | None:
        """The refund that carries our mark."""
        return refunds.find(request)

    def refund(self, reference: str) -> GatewayRefund:
        """The refund as it now stands."""
        return refunds.read(reference)

    def dispute(self, reference: str) -> GatewayDispute:
        """The dispute as it now stands."""
        return disputes.read(reference)

    def bill(self, reference: str) -> GatewayInvoice | None:
        """The invoice as it now stands."""
        return recurring.bill(reference)

    def recurring(self, reference: str) -> GatewaySubscription:
        """The subscription as it now stands."""
        return recurring.read(reference)

    def cancel_subscription(self, reference: str) -> None:
        """Cancel the subscription at once."""
        recurring.stop(reference)

    def transaction(self, reference: str) -> Transaction:
        """Whose a PaymentIntent says it is."""
        intent = receipts.intent_of(reference)
        return Transaction(intent.id, ours(intent.metadata, "payment"), id_of(intent.customer))

    def news_of(self, event_type: str, content: dict[str, object]) -> News | None:
        """What an event is about."""
        return events.news_of(event_type, content)


DRIVER = StripeDriver()
