"""A customer pays an issued invoice from its page, in a checkout session and with credit first."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from billing import charge_sync, checkout_options, credit, gateway_accounts, invoicing, payments
from billing.checkout_options import CheckoutOption
from billing.models import GatewayAccount, Invoice, Payment, PaymentState
from core import tenancy
from core.money import Money

log = logging.getLogger(__name__)
SESSION_LIFETIME = timedelta(hours=1)


def accounts_of(invoice: Invoice) -> Sequence[GatewayAccount]:
    """The accounts by which the invoice can be paid; none where its gateway renews what it is for."""
    with tenancy.as_worker(invoice):
        is_renewed_there = gateway_accounts.gateway_billed(invoice.pk).exists()
    return [] if is_renewed_there else gateway_accounts.accounts_of(invoice)


def pay_with_credit(*, invoice: Invoice, at: datetime) -> bool:
    """Pay all of it with credit, unless money for it is under way; False where the credit does not suffice.

    Calling it twice is harmless.
    """
    try:
        with tenancy.as_worker(invoice):
            invoicing.pay_from_wallet(invoice=invoice, at=at)
            invoicing.expire_open_payments(invoice=invoice, at=at)
    except invoicing.InsufficientBalance:
        return False
    except invoicing.MoneyUnderWay:
        log.info("invoice %s is not paid with credit: money for it is under way", invoice.pk)
    return True


def open_payment(*, invoice: Invoice, option: CheckoutOption, at_most: Money, at: datetime) -> Payment | None:
    """The invoice's payment in a checkout session, with what credit pays of it; None where credit paid all.

    A charge that waits for its card's owner is closed first. Raises invoicing.MoneyUnderWay, ValueError where nothing
    is left to pay, and the errors of `outside`.
    """
    with tenancy.as_worker(invoice):
        charges = invoice.payments.filter(state__in=Payment.OPEN, payment_method__isnull=False)
        charge = charges.select_related("organization").first()
    if charge is not None:
        with tenancy.acts_on(charge):
            charge_sync.close_charge(payment_id=charge.pk, at=at)
    with tenancy.as_worker(invoice):
        payment = payments.open_payment(
            invoice=invoice, gateway=option.gateway, expires_at=at + SESSION_LIFETIME, at=at
        )
    if payment.payment_method_id is not None or payment.state != PaymentState.PENDING:
        raise invoicing.MoneyUnderWay(f"invoice {invoice.pk} is being paid")
    if credit.use_credit(payment=payment, at_most=at_most, at=at):
        return None
    return checkout_options.choose_option(payment=payment, option=option)
