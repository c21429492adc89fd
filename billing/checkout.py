"""The hosted page where a payment is made. Every function here calls the gateway, so none runs in a transaction."""

from datetime import datetime, timedelta
from uuid import UUID

from billing import customers, payments
from billing.gateways import driver_of
from billing.gateways.base import (
    CUSTOMER_GONE,
    MIN_SESSION_LIFETIME,
    USED_KEYS,
    CheckoutRequest,
    CheckoutSession,
    LineItem,
)
from billing.models import BillingMode, InvoiceItem, ItemKind, Payment
from billing.rows import locked_payment
from core import outside, tenancy
from core.money import Money

FIRST_POLL = timedelta(seconds=30)
MAX_EXTENSION = timedelta(minutes=15)  # a page asked for late may stay open this much past the offer
NOT_ALLOWED = frozenset({401, 403})  # our key is wrong, which says nothing about the payment


class CheckoutClosed(outside.Rejected):
    """The payment is not open (any more); where money is still wanted, another payment is opened first."""


def create_session(*, payment_id: UUID, success_url: str, cancel_url: str, at: datetime) -> str:
    """The address of the hosted page for an open payment; the same page however often it is asked for.

    The two addresses are kept at the first call, so that every repeat asks for exactly the same.
    Raises CheckoutClosed, and `outside.Unavailable`, `Unknown` (both: try again, with the same key) or `Rejected` (this
    payment is over).
    """
    payment = _opened(payment_id, success_url, cancel_url, at)
    if payment.asked_at is None and _is_late(payment, at):
        payments.fail(payment_id=payment_id, reason="too little time was left for a page", at=at)
        raise CheckoutClosed(f"payment {payment_id} has too little time left")
    if payment.session_url:
        return str(payment.session_url)
    customer = customers.reference_of(organization=payment.organization, gateway=payment.gateway)
    payment = _asked(payment_id, at)
    page = _page(payment, customer, at)
    if not store_session(payment_id=payment_id, page=page, at=at):
        driver_of(payment.gateway).expire_session(page.reference)  # nobody would look at it again
        raise CheckoutClosed(f"payment {payment_id} ended while its page was made")
    return page.url


def _opened(payment_id: UUID, success_url: str, cancel_url: str, at: datetime) -> Payment:
    with tenancy.as_worker():
        payment = locked_payment(payment_id)
        if not payment.is_open(at):
            raise CheckoutClosed(f"payment {payment_id} is not open")
        if not payment.success_url:
            payment.success_url, payment.cancel_url = success_url, cancel_url
            payment.save(update_fields=["success_url", "cancel_url"])
    return payment


def _is_late(payment: Payment, at: datetime) -> bool:
    """Whether the shortest page would outlive the offer, and the room held for it, by too much."""
    return payment.expires_at is not None and at + MIN_SESSION_LIFETIME > payment.expires_at + MAX_EXTENSION


def _asked(payment_id: UUID, at: datetime) -> Payment:
    """Write down, before it happens, that the gateway is asked; from here on nothing that it is asked for changes."""
    with tenancy.as_worker():
        payment = locked_payment(payment_id)
        if payment.asked_at is None and payment.expires_at is not None:
            payment.asked_at, payment.poll_at = at, at + FIRST_POLL
            payment.expires_at = max(payment.expires_at, (at + MIN_SESSION_LIFETIME).replace(microsecond=0))
            payment.save(update_fields=["asked_at", "poll_at", "expires_at"])
    return payment


def _page(payment: Payment, customer: str, at: datetime) -> CheckoutSession:
    try:
        return driver_of(payment.gateway).create_session(_request(payment, customer))
    except (outside.Unknown, outside.Rejected) as error:
        return _after_refusal(payment, customer, error, at)


def _after_refusal(payment: Payment, customer: str, error: outside.OutsideError, at: datetime) -> CheckoutSession:
    """Whether the payment is over: only when it is certain that its key has made no page and never will."""
    if error.code in USED_KEYS:
        found = driver_of(payment.gateway).find_session(customer=customer, payment_id=payment.pk)
        if found is not None:
            return _still_open(payment, found, at)
    elif isinstance(error, outside.Unknown) or error.status in NOT_ALLOWED:
        raise error
    if error.code == CUSTOMER_GONE:
        customers.forget(organization=payment.organization, gateway=payment.gateway)
    payments.fail(payment_id=payment.pk, reason=str(error), at=at)
    raise outside.Rejected(f"the page was refused: {error}", status=error.status, code=error.code) from error


def _still_open(payment: Payment, found: CheckoutSession, at: datetime) -> CheckoutSession:
    """A page that can be paid; one that is over is left to the poller, because it may be over by having been paid."""
    if not found.url:
        store_session(payment_id=payment.pk, page=found, at=at)
        raise CheckoutClosed(f"the page of payment {payment.pk} is {found.status}")
    return found


def _request(payment: Payment, customer: str) -> CheckoutRequest:
    if payment.expires_at is None or payment.invoice_id is None:
        raise CheckoutClosed(f"payment {payment.pk} was not opened to be paid on a page")
    by_gateway = payment.billing_mode == BillingMode.GATEWAY
    items = list(
        InvoiceItem.objects.filter(invoice=payment.invoice_id).select_related(
            "subscription_item__plan_price", "subscription_item__addon_price"
        )
    )
    subscriptions = {item.subscription_id for item in items if item.subscription_id}
    return CheckoutRequest(
        idempotency_key=payment.idempotency_key,
        payment_id=payment.pk,
        organization_id=payment.organization_id,
        customer=customer,
        lines=[_line(item, payment.billing_mode) for item in items],
        success_url=payment.success_url,
        cancel_url=payment.cancel_url,
        expires_at=payment.expires_at,
        subscription_id=min(subscriptions) if by_gateway and subscriptions else None,
    )


def _line(item: InvoiceItem, billing_mode: str) -> LineItem:
    reference = ""
    if billing_mode == BillingMode.GATEWAY and item.kind != ItemKind.SETUP and item.subscription_item:
        price = item.subscription_item.plan_price or item.subscription_item.addon_price
        reference = price.stripe_price_id if price else ""
    return LineItem(item.description, Money(item.unit_minor, item.currency), item.quantity, reference)


def store_session(*, payment_id: UUID, page: CheckoutSession, at: datetime) -> bool:
    """Remember the page that was made for a payment; a page that is known already stays. False for an ended payment."""
    with tenancy.as_worker():
        payment = locked_payment(payment_id)
        is_open = payment.state in Payment.OPEN
        if payment.session_id is None and is_open:
            payment.session_id, payment.session_url = page.reference, page.url
            payment.save(update_fields=["session_id", "session_url"])
    return is_open
