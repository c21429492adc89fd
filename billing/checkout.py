"""The checkout session in which a payment is made. It is created at the gateway, so outside of any transaction."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from billing import customers, events, gateway_accounts, invoicing, payment_sync, payments
from billing.gateways.abilities import SessionExpiry, SessionLifetime
from billing.gateways.base import (
    CUSTOMER_GONE,
    MIN_SESSION_LIFETIME,
    NOT_AUTHORIZED,
    USED_KEYS,
    CheckoutRequest,
    CheckoutSession,
    Driver,
    LineItem,
    driver_of,
)
from billing.models import Invoice, InvoiceItem, InvoiceTax, ItemKind, Payment, PaymentState, Subscription
from core import outside, tenancy
from core.money import Money

# Longer than a request can still be under way whose answer was lost.
LOST_ANSWER_WAIT = timedelta(minutes=1)
TOP_UP = "Wallet balance"  # in no language: repeats are equal
MAX_EXTENSION = timedelta(minutes=15)  # a session that is created late may stay open this much past the payment


class CheckoutClosed(outside.Rejected):
    """The payment is not open; where money is still wanted, another payment is opened first."""


class SessionMismatch(outside.Rejected):
    """The gateway's page asks for something else than the payment; the text says what."""


def create_session(*, payment: Payment, success_url: str, cancel_url: str, at: datetime) -> str:
    """The address of the checkout session of an open payment; the same session however often it is called.

    The two addresses are stored at the first call, so that every repeat sends exactly the same request.
    Raises CheckoutClosed, `outside.Unavailable` and `Unknown` (both: try again) or `Rejected`, such as SessionMismatch
    (this payment is over).
    """
    with tenancy.as_worker(payment):
        payment = payments.lock_payment(payment.pk)
        check_is_open(payment, at)
        # The shortest session would outlive the payment, and the capacity reserved for it, by too much. It ends under
        # the same lock: else a saved card could be chosen for it meanwhile.
        is_short = payment.expires_at is None or at + MIN_SESSION_LIFETIME > payment.expires_at + MAX_EXTENSION
        is_too_late = payment.session_requested_at is None and is_short
        if is_too_late:
            payments.fail(payment_id=payment.pk, reason="too little time was left for a checkout session", at=at)
        elif not payment.success_url:
            payment.success_url, payment.cancel_url = success_url, cancel_url
            payment.save(update_fields=["success_url", "cancel_url"])
    if is_too_late:
        raise CheckoutClosed(f"payment {payment.pk} has too little time left")
    if payment.session_url:
        return str(payment.session_url)
    with tenancy.as_worker(payment):
        driver = driver_of(payment.gateway)
    customer = customers.ensure_customer(driver, organization=payment.organization, gateway=payment.gateway)
    with tenancy.acts_on(payment):
        session = request_session(driver, payment=payment, customer=customer, at=at)
        payment = payments.store_session(payment_id=payment.pk, session=session)
    if payment.state not in Payment.OPEN:
        if isinstance(driver, SessionExpiry):
            driver.expire_session(session.reference)  # it is stored nowhere, so it must not be paid
        raise CheckoutClosed(f"payment {payment.pk} ended while its session was created")
    if payment.failure:
        # An OutsideError: then the poller closes it, or waits for its end.
        with suppress(outside.OutsideError), tenancy.acts_on(payment):
            payment_sync.sync_payment(payment_id=payment.pk, at=at)
        raise SessionMismatch(payment.failure)
    return session.url


def check_is_open(payment: Payment, at: datetime) -> None:
    """Raise CheckoutClosed unless the locked payment can be made in a session."""
    is_charge = payment.payment_method_id is not None  # a saved method pays it, or its owner confirms that
    if is_charge or not payment.is_open(at) or payment.expires_at is None:
        raise CheckoutClosed(f"payment {payment.pk} is not open")
    if payment.invoice is not None and invoicing.has_money_under_way(payment.invoice):
        raise CheckoutClosed(f"another payment of invoice {payment.invoice_id} is under way")


def request_session(driver: Driver, *, payment: Payment, customer: str, at: datetime) -> CheckoutSession:
    """The payment's session at the gateway, created once.

    A gateway without idempotency keys would create another one when asked again. So it is searched first, and asked
    again only when no earlier request can be under way any more.
    """
    # Stored before the call: from here on the request does not change, and the poller searches for its session.
    with tenancy.as_worker(payment):
        driver_is_for, payment = (payment.gateway, payment.channel), payments.lock_payment(payment.pk)
        check_is_open(payment, at)  # again: since the driver was made the customer may have chosen otherwise
        if (payment.gateway, payment.channel) != driver_is_for:
            raise outside.Unavailable(f"payment {payment.pk} is made by {payment.gateway} from now on")
        requested_at = payment.session_requested_at
        is_recent = requested_at is not None and at - requested_at < LOST_ANSWER_WAIT
        if requested_at is None or (not driver.HAS_IDEMPOTENCY_KEYS and not is_recent):
            plan_session(driver, payment, at=at)  # of several who ask again at once, one creates
    if requested_at is not None and not driver.HAS_IDEMPOTENCY_KEYS:
        found = find_session(driver, payment)
        if found is not None:
            return found
        if is_recent:
            raise outside.Unknown(f"the session of payment {payment.pk} may be about to be created")
    try:
        return driver.create_session(checkout_request(payment, customer))
    except (outside.Unknown, outside.Rejected) as error:
        return session_after_error(driver, payment, customer, error, at=at)


def plan_session(driver: Driver, payment: Payment, *, at: datetime) -> None:
    """Count a request for a session, and let the locked payment live as long as the session will be open."""
    lifetime = MIN_SESSION_LIFETIME
    if isinstance(driver, SessionLifetime):
        lifetime = driver.session_lifetime(payment.channel)
    before = payment.expires_at or at
    if payment.session_requested_at is None:
        payment.poll_at = at + payments.FIRST_POLL
    payment.session_requested_at = at
    payment.session_requests += 1
    payment.expires_at = max(before, (at + lifetime).replace(microsecond=0))
    payment.save(update_fields=["session_requested_at", "session_requests", "poll_at", "expires_at"])
    if payment.expires_at > before:
        events.payments_extended.send(Payment, payment_ids=[payment.pk], at=at)


def checkout_request(payment: Payment, customer: str) -> CheckoutRequest:
    """The request for a payment's session. Where the gateway renews, recurring items name the gateway's own prices."""
    if payment.expires_at is None:
        raise CheckoutClosed(f"payment {payment.pk} was not opened to be paid in a session")
    is_gateway_billed = gateway_accounts.gateway_billed(payment.invoice_id).exists()
    items = InvoiceItem.objects.filter(invoice=payment.invoice_id).select_related(
        "subscription_item__plan_price", "subscription_item__addon_price"
    )
    recurring = [item.subscription_item for item in items if item.subscription_item and item.kind != ItemKind.SETUP]
    prices = [price for item in recurring if (price := item.plan_price or item.addon_price)]
    references = gateway_accounts.prices_at(payment.gateway, prices) if is_gateway_billed else {}
    if is_gateway_billed and len(references) != len(prices):
        raise outside.Rejected(f"gateway {payment.gateway} does not know every price of payment {payment.pk}")
    subscriptions = {item.subscription_id for item in items if item.subscription_id}
    saves_method = Subscription.objects.filter(pk__in=subscriptions, is_auto_renewed=True).exists()
    return CheckoutRequest(
        idempotency_key=payment.idempotency_key,
        payment_id=payment.pk,
        organization_id=payment.organization_id,
        customer=customer,
        buyer_name=payment.organization.billing_name or payment.organization.name or payment.organization.billing_email,
        buyer_email=payment.organization.billing_email,
        channel=payment.channel,
        attempt=payment.session_requests,
        requested_at=payment.session_requested_at,
        lines=line_items(payment, items, references),
        success_url=payment.success_url,
        cancel_url=payment.cancel_url,
        expires_at=payment.expires_at,
        subscription_id=min(subscriptions) if is_gateway_billed and subscriptions else None,
        saves_method=saves_method and not is_gateway_billed,
    )


def line_items(payment: Payment, items: Iterable[InvoiceItem], references: Mapping[UUID | None, str]) -> list[LineItem]:
    """What the session shows of the invoice's items; `references` are the gateway's prices by those of the catalog."""
    if payment.invoice_id is None:
        return [LineItem(TOP_UP, payment.amount, 1)]
    # A page shows no negative line, so what is left is one; in no language: repeats are equal.
    if payment.credit_minor or any(item.amount_minor < 0 for item in items):
        names = ", ".join(item.description for item in items)[:200]
        used = f": {payment.amount + payment.credit} - {payment.credit}" if payment.credit_minor else ""
        return [LineItem(f"{names}{used}", payment.amount, 1)]
    lines = []
    for item in items:
        sold = item.subscription_item if item.kind != ItemKind.SETUP else None
        price_id = (sold.plan_price_id or sold.addon_price_id) if sold else None
        is_whole = item.unit_minor == int(item.unit_minor) and item.quantity == int(item.quantity)
        unit = Money(int(item.unit_minor), item.currency) if is_whole else item.amount
        reference = references.get(price_id, "") if price_id else ""
        lines.append(LineItem(item.description, unit, int(item.quantity) if is_whole else 1, reference))
    taxes = InvoiceTax.objects.filter(invoice=payment.invoice_id, invoice__is_tax_inclusive=False, tax_minor__gt=0)
    return lines + [LineItem(str(row), Money(row.tax_minor, row.currency), 1) for row in taxes]


def find_session(driver: Driver, payment: Payment) -> CheckoutSession | None:
    """What an earlier call created. Raises CheckoutClosed where that is over, perhaps by having been paid."""
    sessions = payment_sync.find_sessions(driver, payment)
    if not sessions:
        return None
    if not sessions[0].url:  # left to the poller
        payments.store_session(payment_id=payment.pk, session=sessions[0])
        raise CheckoutClosed(f"the session of payment {payment.pk} is {sessions[0].status}")
    return sessions[0]


def is_payable_until_expiry(invoice: Invoice) -> bool:
    """Whether it can be paid in a session that its gateway cannot close before its time is over."""
    payments_of = invoice.payments.all()  # a page has read them already
    requested = [row for row in payments_of if row.state == PaymentState.PENDING and row.session_requested_at]
    if not requested:
        return False
    with tenancy.as_worker(invoice):
        return not isinstance(driver_of(requested[0].gateway), SessionExpiry)


def page_left_open(invoice: Invoice, at: datetime) -> Payment | None:
    """The payment whose session the customer may still pay, although they choose or chose another way to pay."""
    rows = invoice.payments.filter(
        state__in=[PaymentState.PENDING, PaymentState.EXPIRED], session_requested_at__isnull=False, expires_at__gt=at
    )
    with tenancy.as_worker(invoice):
        return next((row for row in rows if not isinstance(driver_of(row.gateway), SessionExpiry)), None)


def session_after_error(
    driver: Driver, payment: Payment, customer: str, error: outside.OutsideError, *, at: datetime
) -> CheckoutSession:
    """The session that was created nevertheless; without one the error is raised.

    The payment fails only when it is certain that its key has created no session and never will.
    """
    is_key_used, is_unknown = error.code in USED_KEYS, isinstance(error, outside.Unknown)
    if is_key_used or (is_unknown and not driver.HAS_IDEMPOTENCY_KEYS):
        found = find_session(driver, payment)
        if found is not None:
            return found
    if not is_key_used and (is_unknown or error.status in NOT_AUTHORIZED):
        raise error
    if error.code == CUSTOMER_GONE:
        customers.forget_customer(organization=payment.organization, gateway=payment.gateway)
    payments.fail(payment_id=payment.pk, reason=str(error), at=at)
    raise outside.Rejected(f"the session was refused: {error}", status=error.status, code=error.code) from error
