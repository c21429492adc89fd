"""Why what a gateway says of a payment is not what was asked for."""

from billing import gateway_accounts, invoicing
from billing.gateways.base import CheckoutSession, GatewayPayment, Interval
from billing.models import InvoiceState, Payment
from catalog.models import Term
from core.money import Money

INVOICE_OVER = "the invoice is {} already"


def session_reason(payment: Payment, session: CheckoutSession) -> str:
    """Why the customer may not pay in this open session; empty when they may."""
    recurring: dict[Interval, Money] = {}
    for subscription in gateway_accounts.gateway_billed(payment.invoice_id):
        interval = Interval.of(Term(subscription.term))
        recurring[interval] = recurring.get(interval, Money.zero(subscription.currency)) + subscription.amount
    total = payment.amount if session.total is None else session.total
    if (total, session.recurring) == (payment.amount, recurring):
        return ""
    asked, wanted = (
        " and ".join(
            [f"{now.amount} {now.currency}", *sorted(f"{each.amount} {each.currency} {i}" for i, each in again.items())]
        )
        for now, again in ((total, session.recurring), (payment.amount, recurring))
    )
    return f"the payment page asks for {asked}, the payment for {wanted}"


def payment_reason(payment: Payment, gateway_payment: GatewayPayment) -> str:
    """Why this money may not pay this payment's invoice; empty when it may."""
    is_others = gateway_payment.organization_id not in {None, payment.organization_id}
    if gateway_payment.payment_id != payment.pk or is_others:
        return "the gateway names another payment or organization"
    if gateway_payment.is_live is not payment.is_live:
        return "test money, or live money in test mode"
    if gateway_payment.amount.currency != payment.currency:
        return f"asked for {payment.currency}, got {gateway_payment.amount.currency}"
    if gateway_payment.amount.minor != payment.amount_minor:
        got = gateway_payment.amount.minor
        return f"asked for {payment.amount_minor}, got {got} minor units of {payment.currency}"
    # What we charged ourselves for an invoice that was paid meanwhile is simply the customer's credit.
    is_ours = payment.payment_method_id is not None
    if payment.invoice is not None and payment.invoice.state not in invoicing.UNPAID and not is_ours:
        return INVOICE_OVER.format(payment.invoice.state)
    return ""


def is_paid_otherwise(payment: Payment) -> bool:
    """Whether a payment is under review for nothing else than that its invoice had been paid otherwise."""
    return payment.review_reason == INVOICE_OVER.format(InvoiceState.PAID)
