"""Reading what was paid, from PaymentIntents and from the invoices of subscriptions."""

import calendar
from dataclasses import replace
from datetime import date
from typing import Any

from billing.gateways.base import GatewayPayment, SavedCard
from billing.gateways.stripe import client
from billing.gateways.stripe.amounts import from_stripe
from billing.gateways.stripe.fields import id_of, instant, ours, value
from billing.periods import Period

WITH_CARD = ["latest_charge", "payment_method"]


def of_intent(intent: Any) -> GatewayPayment:
    """The receipt of a succeeded PaymentIntent with its charge and method expanded."""
    return GatewayPayment(
        transaction_id=intent.id,
        amount=from_stripe(intent.amount_received, intent.currency),
        is_live=bool(intent.livemode),
        payment_id=ours(intent.metadata, "payment"),
        organization_id=ours(intent.metadata, "organization"),
        method_label=_label(intent),
        card=_card(intent),
    )


def _label(intent: Any) -> str:
    details = value(intent, "latest_charge", "payment_method_details")
    if details is None:
        return ""
    card = getattr(details, "card", None)
    if card is None:
        return str(details.type).replace("_", " ").capitalize()[:64]
    return f"{str(card.brand).capitalize()} ending {card.last4}"[:64]


def _card(intent: Any) -> SavedCard | None:
    """The method, where it was saved for later and is a card."""
    method = intent.payment_method
    if method is None or isinstance(method, str) or not intent.setup_future_usage or method.type != "card":
        return None
    card = method.card
    return SavedCard(method.id, str(card.brand)[:32], str(card.last4), _last_day(card.exp_year, card.exp_month))


def _last_day(year: int, month: int) -> date:
    return date(year, month, calendar.monthrange(year, month)[1])


def intent_of(reference: str) -> Any:
    """A PaymentIntent with its charge and method."""
    params: Any = {"expand": WITH_CARD}
    return client.ask("Stripe payment intent", lambda stripe: stripe.v1.payment_intents.retrieve(reference, params))


def of_invoice(invoice: Any) -> GatewayPayment:
    """The receipt of a paid invoice of a subscription; over nothing, the invoice itself is the transaction."""
    details = invoice.parent.subscription_details
    intent = _intent_behind(invoice.id)
    return replace(
        of_intent(intent) if intent else _without_intent(invoice),
        payment_id=ours(details.metadata, "payment"),
        organization_id=ours(details.metadata, "organization"),
        subscription_reference=id_of(details.subscription),
        period=_period(invoice),
    )


def _without_intent(invoice: Any) -> GatewayPayment:
    amount = from_stripe(invoice.amount_paid, invoice.currency)
    return GatewayPayment(transaction_id=invoice.id, amount=amount, is_live=bool(invoice.livemode))


def _intent_behind(invoice: str) -> Any:
    """The PaymentIntent that paid the invoice, None where it was free or paid outside of Stripe."""
    params: Any = {"invoice": invoice, "status": "paid"}
    payments = client.ask("Stripe invoice payments", lambda stripe: stripe.v1.invoice_payments.list(params))
    for payment in payments.data:
        if payment.payment.type == "payment_intent":
            return intent_of(id_of(payment.payment.payment_intent))
    return None


def _period(invoice: Any) -> Period | None:
    """The longest span that its lines bill: one-time lines span nothing."""
    spans = [(line.period.start, line.period.end) for line in invoice.lines.data if line.period.end > line.period.start]
    if not spans:
        return None
    start, end = max(spans, key=lambda span: span[1] - span[0])
    return Period(instant(start), instant(end))
