"""A customer pays an issued invoice from its page, in a checkout session and with credit first."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import Q

from billing import checkout_options, credit, gateway_accounts, invoicing, payment_sync, payments, saved_charges
from billing.checkout_options import CheckoutOption
from billing.models import GatewayAccount, Invoice, Payment, PaymentMethod, PaymentState
from billing.saved_charges import ChargeDecision
from core import tenancy
from core.money import Money

log = logging.getLogger(__name__)
SESSION_LIFETIME = timedelta(hours=1)
# A charge that waits for its method's owner.
UNCONFIRMED = Q(payment_method__isnull=False) & ~Q(failure_code="")


def accounts_of(invoice: Invoice) -> Sequence[GatewayAccount]:
    """The accounts by which the invoice can be paid; none where its gateway renews what it is for."""
    with tenancy.as_worker(invoice):
        is_renewed_there = gateway_accounts.gateway_billed(invoice.pk).exists()
    return [] if is_renewed_there else gateway_accounts.accounts_of(invoice)


def pay_with_credit(*, invoice: Invoice, at: datetime) -> bool:
    """Pay all of it with credit, unless it is withdrawn or being paid; False where the credit does not suffice.

    Calling it twice is harmless.
    """
    try:
        with tenancy.as_worker(invoice):
            if not payments.is_withdrawn(invoicing.lock_invoice(invoice.pk)):
                invoicing.pay_from_wallet(invoice=invoice, at=at)
                invoicing.expire_open_payments(invoice=invoice, at=at)
    except invoicing.InsufficientBalance:
        return False
    except invoicing.MoneyUnderWay:
        log.info("invoice %s is not paid with credit: money for it is under way", invoice.pk)
    return True


def charge_method(*, invoice: Invoice, method: PaymentMethod, at: datetime) -> ChargeDecision:
    """Have the saved method that the customer chose charged for it; another way to pay that is open is closed first.

    Raises the errors of `outside`.
    """
    close_waiting(invoice=invoice, which=~Q(payment_method=method, expires_at__gt=at), at=at)
    return saved_charges.charge_method(invoice=invoice, method=method, at=at)


def close_waiting(*, invoice: Invoice, which: Q, at: datetime) -> None:
    """Close the payment that waits for the customer, if it is one of these, so that they can pay otherwise.

    Raises the errors of `outside`.
    """
    with tenancy.as_worker(invoice):
        waiting = invoice.payments.filter(which, state=PaymentState.PENDING)
        payment = waiting.select_related("organization").first()
    if payment is not None:
        with tenancy.acts_on(payment):
            payment_sync.close_payment(payment_id=payment.pk, at=at)


def open_payment(*, invoice: Invoice, option: CheckoutOption, at_most: Money, at: datetime) -> Payment | None:
    """The invoice's payment in a checkout session, with what credit pays of it; None where credit paid all.

    Another way to pay that is open is closed first. Raises invoicing.MoneyUnderWay, ValueError where nothing
    is left to pay or it is withdrawn, and the errors of `outside`.
    """
    this_way = Q(payment_method=None, gateway=option.gateway, channel=option.channel)
    is_kept = (this_way | Q(payment_method=None, session_requested_at=None)) & Q(expires_at__gt=at)
    close_waiting(invoice=invoice, which=~is_kept, at=at)
    with tenancy.as_worker(invoice):
        payment = payments.open_payment(
            invoice=invoice, gateway=option.gateway, expires_at=at + SESSION_LIFETIME, at=at
        )
    if payment.payment_method_id is not None or payment.state != PaymentState.PENDING:
        raise invoicing.MoneyUnderWay(f"invoice {invoice.pk} is being paid")
    if credit.use_credit(payment=payment, at_most=at_most, at=at):
        return None
    return checkout_options.choose_option(payment=payment, option=option)
