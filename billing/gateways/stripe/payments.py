"""Payments on Stripe: Checkout Sessions, and what arrived by PaymentIntents and by the invoices of subscriptions."""

import calendar
from dataclasses import replace
from datetime import date
from typing import Any
from uuid import UUID

from billing.gateways.base import (
    CUSTOMER_GONE,
    CheckoutRequest,
    CheckoutSession,
    CheckoutSessionStatus,
    GatewayPayment,
    Interval,
    LineItem,
    SavedCard,
    Transaction,
)
from billing.gateways.stripe.client import StripeClient
from billing.gateways.stripe.fields import (
    from_stripe_amount,
    id_of,
    instant,
    metadata_id,
    to_stripe_amount,
    value,
)
from billing.models import Period
from core.money import Money
from core.outside import Rejected

INTENT_EXPANDED = ["latest_charge", "payment_method"]
SESSION_EXPANDED = [
    "payment_intent.latest_charge",
    "payment_intent.payment_method",
    "invoice",
    "subscription",
    "line_items",
]
INTENT_OVER = frozenset({"canceled", "requires_payment_method"})
SUBSCRIPTION_NEVER_BEGAN = frozenset({"canceled", "incomplete_expired"})


class Payments(StripeClient):
    """Checkout Sessions and what they received."""

    def create_session(self, request: CheckoutRequest) -> CheckoutSession:
        """A new Checkout Session, or under the same key the same session."""
        metadata = {"payment": str(request.payment_id), "organization": str(request.organization_id)}
        params: Any = {
            "customer": request.customer,
            "client_reference_id": str(request.payment_id),
            "metadata": metadata,
            "line_items": [line_item(line) for line in request.lines],
            "success_url": request.success_url,
            "cancel_url": request.cancel_url,
            "expires_at": int(request.expires_at.timestamp()),
        }
        if request.subscription_id is None:
            params["mode"] = "payment"
            params["payment_intent_data"] = {"metadata": metadata}
            if request.saves_method:
                params["payment_intent_data"]["setup_future_usage"] = "off_session"
        else:
            metadata["subscription"] = str(request.subscription_id)
            params["mode"] = "subscription"
            params["subscription_data"] = {"metadata": metadata}
            params["expand"] = ["line_items"]
        options: Any = {"idempotency_key": request.idempotency_key}
        try:
            session = self.write("Stripe session", lambda stripe: stripe.v1.checkout.sessions.create(params, options))
        except Rejected as error:
            if error.code == "resource_missing" and str(error).endswith(" customer"):  # and not one of the prices
                error.code = CUSTOMER_GONE
            raise
        return self.open_session(session)

    def read_session(self, reference: str) -> CheckoutSession:
        """The session in its current state, with the payment where it was paid."""
        params: Any = {"expand": SESSION_EXPANDED}
        session: Any = self.read(
            "Stripe session", lambda stripe: stripe.v1.checkout.sessions.retrieve(reference, params)
        )
        status = session_status(session)
        if session.mode == "setup":  # it saves a method, which has events of its own
            return _session(session, status)
        if status is CheckoutSessionStatus.OPEN:
            return self.open_session(session)
        if status is not CheckoutSessionStatus.PAID:
            return _session(session, status)
        if session.mode == "subscription":
            return _session(session, status, self.payment_of_invoice(session.invoice))
        if session.payment_intent is None:
            raise Rejected(f"Stripe session {session.id}: complete without a payment")
        return _session(session, status, payment_of_intent(session.payment_intent))

    def open_session(self, session: Any) -> CheckoutSession:
        """An open session with what its page asks for. Its line items are expanded: the first of them, if many."""
        total = from_stripe_amount(session.amount_total, session.currency)
        lines: Any = []
        if session.mode == "subscription":
            lines = session.line_items.data
            if session.line_items.has_more:
                lines = self.read_all(
                    "Stripe line items",
                    lambda stripe, params: stripe.v1.checkout.sessions.line_items.list(session.id, params),
                )
        recurring: dict[Interval, Money] = {}
        for line in lines:
            if line.price.recurring:
                unit, count = line.price.recurring.interval, line.price.recurring.interval_count
                interval = Interval("month", 12 * count) if unit == "year" else Interval(unit, count)
                amount = from_stripe_amount(line.amount_total, line.currency)
                recurring[interval] = recurring.get(interval, Money.zero(amount.currency)) + amount
        return replace(_session(session, CheckoutSessionStatus.OPEN), total=total, recurring=recurring)

    def expire_session(self, reference: str) -> CheckoutSession:
        """Expire the session. Where it was paid in the same moment Stripe refuses, and the paid session is returned."""
        try:
            self.write("Stripe session expiry", lambda stripe: stripe.v1.checkout.sessions.expire(reference))
        except Rejected as error:
            if error.status != 400:
                raise
        return self.read_session(reference)

    def find_sessions(self, *, customer: str, payment_id: UUID, attempts: int) -> list[CheckoutSession]:
        """The customer's sessions with our payment's id; Stripe cannot search sessions by metadata."""
        sessions = self.read_all(
            "Stripe sessions", lambda stripe, params: stripe.v1.checkout.sessions.list(params), customer=customer
        )
        found = [session.id for session in sessions if metadata_id(session.metadata, "payment") == payment_id]
        return [self.read_session(reference) for reference in found]

    def read_transaction(self, reference: str) -> Transaction:
        """To whom a PaymentIntent belongs, and what it received."""
        intent = self.retrieve_intent(reference)
        received = payment_of_intent(intent) if intent.status == "succeeded" else None
        return Transaction(intent.id, metadata_id(intent.metadata, "payment"), id_of(intent.customer), received)

    def retrieve_intent(self, reference: str) -> Any:
        """A PaymentIntent with its charge and payment method."""
        params: Any = {"expand": INTENT_EXPANDED}
        return self.read("Stripe payment intent", lambda stripe: stripe.v1.payment_intents.retrieve(reference, params))

    def payment_of_invoice(self, invoice: Any) -> GatewayPayment:
        """What a subscription's paid invoice received. Over zero, the invoice itself is the transaction."""
        params: Any = {"invoice": invoice.id, "status": "paid"}
        listed = self.read("Stripe invoice payments", lambda stripe: stripe.v1.invoice_payments.list(params))
        intents = (row.payment.payment_intent for row in listed.data if row.payment.type == "payment_intent")
        intent = next(intents, None)
        if intent is not None:
            gateway_payment = payment_of_intent(self.retrieve_intent(id_of(intent)))
        else:  # free, or paid outside of Stripe
            amount = from_stripe_amount(invoice.amount_paid, invoice.currency)
            gateway_payment = GatewayPayment(transaction_id=invoice.id, amount=amount, is_live=bool(invoice.livemode))
        details = invoice.parent.subscription_details
        # One-time lines bill no time, and the longest period is the subscription's.
        spans = [(line.period.start, line.period.end) for line in invoice.lines.data]
        start, end = max(spans, key=lambda span: span[1] - span[0], default=(0, 0))
        return replace(
            gateway_payment,
            payment_id=metadata_id(details.metadata, "payment"),
            organization_id=metadata_id(details.metadata, "organization"),
            subscription_reference=id_of(details.subscription),
            period=Period(instant(start), instant(end)) if end > start else None,
        )


def line_item(line: LineItem) -> dict[str, Any]:
    """A line as Stripe's parameters: one of its own prices, or an amount of ours."""
    if line.price_reference:
        return {"price": line.price_reference, "quantity": line.quantity}
    price = {
        "currency": line.unit.currency.lower(),
        "unit_amount": to_stripe_amount(line.unit),
        "product_data": {"name": line.description},
    }
    return {"price_data": price, "quantity": line.quantity}


def session_status(session: Any) -> CheckoutSessionStatus:
    """Ours for Stripe's status, payment status, PaymentIntent and subscription together."""
    if session.status != "complete":
        return CheckoutSessionStatus.OPEN if session.status == "open" else CheckoutSessionStatus.EXPIRED
    # A debit that failed can be made again at Stripe; the session is then left unpaid.
    if session.payment_status != "unpaid" or value(session.payment_intent, "status") == "succeeded":
        return CheckoutSessionStatus.PAID
    is_refused = value(session.payment_intent, "status") in INTENT_OVER
    is_over = value(session.subscription, "status") in SUBSCRIPTION_NEVER_BEGAN
    return CheckoutSessionStatus.FAILED if is_refused or is_over else CheckoutSessionStatus.PROCESSING


def _session(
    session: Any, status: CheckoutSessionStatus, gateway_payment: GatewayPayment | None = None
) -> CheckoutSession:
    return CheckoutSession(
        reference=session.id,
        url=session.url or "",
        status=status,
        payment_id=metadata_id(session.metadata, "payment"),
        payment=gateway_payment,
        failure=str(value(session.payment_intent, "last_payment_error", "message") or "")[:191],
    )


def payment_of_intent(intent: Any) -> GatewayPayment:
    """What a succeeded PaymentIntent received; its charge and payment method are expanded."""
    method = intent.payment_method
    is_saved = method is not None and not isinstance(method, str) and intent.setup_future_usage
    return GatewayPayment(
        transaction_id=intent.id,
        amount=from_stripe_amount(intent.amount_received, intent.currency),
        is_live=bool(intent.livemode),
        payment_id=metadata_id(intent.metadata, "payment"),
        organization_id=metadata_id(intent.metadata, "organization"),
        method_label=method_label(intent),
        card_fingerprint=str(value(intent, "latest_charge", "payment_method_details", "card", "fingerprint") or "")[
            :64
        ],
        card=saved_card(method) if is_saved else None,
    )


def saved_card(method: Any) -> SavedCard | None:
    """Ours for a PaymentMethod; None for one that is no card."""
    if method.type != "card":
        return None
    card = method.card
    expires_on = date(card.exp_year, card.exp_month, calendar.monthrange(card.exp_year, card.exp_month)[1])
    return SavedCard(method.id, str(card.brand)[:32], str(card.last4), expires_on)


def method_label(intent: Any) -> str:
    """How the customer paid, such as "Visa ending 4242"."""
    details = value(intent, "latest_charge", "payment_method_details")
    if details is None:
        return ""
    card = getattr(details, "card", None)
    if card is None:
        return str(details.type).replace("_", " ").capitalize()[:64]
    return f"{str(card.brand).capitalize()} ending {card.last4}"[:64]
