"""Paying an order: the payment that it begins with, and another one after a failure, while its capacity is kept."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast

from billing import gateway_accounts, invoice_payment, payments
from billing.models import GatewayAccount, Invoice, Payment
from core import site_settings, tenancy
from orders import limits, transitions
from orders.models import Order, OrderStatus
from servers import capacity
from servers.models import Reservation

# Capacity stays reserved this much longer than the order can be paid, for a payment made in the last second.
GRACE = timedelta(minutes=15)


class OrderClosed(Exception):
    """No payment can be begun: the order is paid or canceled, one is under review, or too many were begun."""


def open_payment(order: Order, accounts: Sequence[GatewayAccount], at: datetime) -> Payment:
    """The payment of the order's invoice, to be made until the order expires. Raises NoGateway where no account is."""
    if not accounts:
        raise gateway_accounts.NoGateway(f"no active gateway account takes {order.currency}")
    return payments.open_payment(
        invoice=order.invoice,
        gateway=accounts[0].code,
        is_live=accounts[0].is_live,
        expires_at=order.expires_at,
        at=at,
    )


def reopen_payment(*, order: Order, at: datetime) -> Payment:
    """The payment a customer can make now: the open one, or a new one after a failure. Capacity stays reserved.

    A charge that waits for its card's owner is closed first. Raises OrderClosed, gateway_accounts.NoGateway, and
    the errors of `outside`.
    """
    with tenancy.as_worker(order):
        invoice = Invoice.objects.get(order=order.pk)
    invoice_payment.close_waiting(invoice=invoice, which=invoice_payment.UNCONFIRMED, at=at)
    accounts = gateway_accounts.accounts_of(invoice)  # their keys are decrypted: before anything is locked
    with tenancy.as_worker(order):
        order = transitions.lock_order(order.pk)
        if order.status != OrderStatus.PENDING_PAYMENT:
            raise OrderClosed(order.status)
        if order.is_payment_under_review:
            raise OrderClosed("a payment is under review")
        current = order.invoice.payments.filter(state__in=Payment.OPEN).first()
        if current is not None:
            return current
        if not limits.can_renew_hold(order):
            raise OrderClosed("too many payments were begun")
        extend_reservations(order, until=at + timedelta(minutes=site_settings.get("orders.reservation_minutes")))
        return open_payment(order, accounts, at)


def extend_reservations(order: Order, *, until: datetime) -> None:
    """Let a locked order that is not paid, and what it reserved, last until then."""
    order.expires_at = until
    order.save(update_fields=["expires_at"])
    for item in order.items.filter(reservation__isnull=False).select_related("reservation").order_by("reservation"):
        capacity.extend(reservation_id=cast("Reservation", item.reservation).pk, expires_at=until + GRACE)
