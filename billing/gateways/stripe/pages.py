"""Checkout Sessions: Stripe's hosted payment pages."""

from typing import Any
from uuid import UUID

from billing.gateways.base import (
    CUSTOMER_GONE,
    CheckoutRequest,
    CheckoutSession,
    CheckoutSessionStatus,
    GatewayPayment,
    LineItem,
)
from billing.gateways.stripe import client, receipts
from billing.gateways.stripe.amounts import to_stripe
from billing.gateways.stripe.fields import ours, value
from core.outside import Rejected

EXPANDED = ["payment_intent.latest_charge", "payment_intent.payment_method", "invoice", "subscription"]
GIVEN_UP = frozenset({"canceled", "requires_payment_method"})
NEVER_BEGAN = frozenset({"canceled", "incomplete_expired"})


def create(request: CheckoutRequest) -> CheckoutSession:
    """A new page, or under the same key the same page."""
    params: Any = _params(request)
    options: Any = {"idempotency_key": request.idempotency_key}
    try:
        made = client.tell("Stripe page", lambda stripe: stripe.v1.checkout.sessions.create(params, options))
    except Rejected as error:
        if error.code == "resource_missing" and str(error).endswith(" customer"):  # and not one of the prices
            error.code = CUSTOMER_GONE
        raise
    return _page(made, receipt=None, status=CheckoutSessionStatus.OPEN)


def _params(request: CheckoutRequest) -> dict[str, Any]:
    marks = {"payment": str(request.payment_id), "organization": str(request.organization_id)}
    params: dict[str, Any] = {
        "customer": request.customer,
        "client_reference_id": str(request.payment_id),
        "metadata": marks,
        "line_items": [_line(line) for line in request.lines],
        "success_url": request.success_url,
        "cancel_url": request.cancel_url,
        "expires_at": int(request.expires_at.timestamp()),
    }
    if request.subscription_id is None:
        saved = {"setup_future_usage": "off_session", "metadata": marks}
        return params | {"mode": "payment", "payment_intent_data": saved}
    marks = marks | {"subscription": str(request.subscription_id)}
    return params | {"mode": "subscription", "metadata": marks, "subscription_data": {"metadata": marks}}


def _line(line: LineItem) -> dict[str, Any]:
    if line.price_reference:
        return {"price": line.price_reference, "quantity": line.quantity}
    price = {
        "currency": line.unit.currency.lower(),
        "unit_amount": to_stripe(line.unit),
        "product_data": {"name": line.description},
    }
    return {"price_data": price, "quantity": line.quantity}


def read(reference: str) -> CheckoutSession:
    """The page as it now stands, with the receipt when it was paid."""
    params: Any = {"expand": EXPANDED}
    session = client.ask("Stripe page", lambda stripe: stripe.v1.checkout.sessions.retrieve(reference, params))
    status = _status(session)
    return _page(session, status=status, receipt=_receipt(session) if status is CheckoutSessionStatus.PAID else None)


def _status(session: Any) -> CheckoutSessionStatus:
    if session.status != "complete":
        return CheckoutSessionStatus.OPEN if session.status == "open" else CheckoutSessionStatus.EXPIRED
    if session.payment_status != "unpaid":
        return CheckoutSessionStatus.PAID
    is_refused = value(session.payment_intent, "status") in GIVEN_UP
    is_over = value(session.subscription, "status") in NEVER_BEGAN
    return CheckoutSessionStatus.FAILED if is_refused or is_over else CheckoutSessionStatus.CLEARING


def _receipt(session: Any) -> GatewayPayment:
    if session.mode == "subscription":
        return receipts.of_invoice(session.invoice)
    if session.payment_intent is None:
        raise Rejected(f"Stripe page {session.id}: complete without a payment")
    return receipts.of_intent(session.payment_intent)


def _page(session: Any, *, status: CheckoutSessionStatus, receipt: GatewayPayment | None) -> CheckoutSession:
    error = value(session.payment_intent, "last_payment_error", "message")
    return CheckoutSession(
        reference=session.id,
        url=session.url or "",
        status=status,
        payment_id=ours(session.metadata, "payment"),
        receipt=receipt,
        failure=str(error or "")[:191],
    )


def close(reference: str) -> CheckoutSession:
    """Expire the page; where it was paid in the same moment, Stripe refuses and the paid page is returned."""
    try:
        client.tell("Stripe page expiry", lambda stripe: stripe.v1.checkout.sessions.expire(reference))
    except Rejected as error:
        if error.status != 400:
            raise
    return read(reference)


def find(*, customer: str, payment_id: UUID) -> CheckoutSession | None:
    """The customer's page for our payment, found by its mark: sessions cannot be searched by it."""
    listed = client.ask_all(
        "Stripe pages", lambda stripe, params: stripe.v1.checkout.sessions.list(params), customer=customer
    )
    for session in listed:
        if ours(session.metadata, "payment") == payment_id:
            return read(session.id)
    return None
