"""Stripe: the only package that knows its library."""

from uuid import UUID

from billing.gateways.base import (
    Bill,
    CustomerRequest,
    DisputeReport,
    News,
    Page,
    PageRequest,
    Recurring,
    RefundReport,
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

    def open_page(self, request: PageRequest) -> Page:
        """A Checkout Session."""
        return pages.create(request)

    def find_page(self, *, customer: str, payment_id: UUID) -> Page | None:
        """The session that carries our mark."""
        return pages.find(customer=customer, payment_id=payment_id)

    def page(self, reference: str) -> Page:
        """The session as it now stands."""
        return pages.read(reference)

    def close_page(self, reference: str) -> Page:
        """Expire the session, unless it is complete."""
        return pages.close(reference)

    def ask_refund(self, request: RefundRequest) -> RefundReport:
        """A refund of a PaymentIntent."""
        return refunds.create(request)

    def find_refund(self, request: RefundRequest) -> RefundReport | None:
        """The refund that carries our mark."""
        return refunds.find(request)

    def refund(self, reference: str) -> RefundReport:
        """The refund as it now stands."""
        return refunds.read(reference)

    def dispute(self, reference: str) -> DisputeReport:
        """The dispute as it now stands."""
        return disputes.read(reference)

    def bill(self, reference: str) -> Bill | None:
        """The invoice as it now stands."""
        return recurring.bill(reference)

    def recurring(self, reference: str) -> Recurring:
        """The subscription as it now stands."""
        return recurring.read(reference)

    def stop_recurring(self, reference: str) -> None:
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
