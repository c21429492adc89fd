"""How a payment can be made: by which gateway account, and where that has channels by which of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from billing import gateway_accounts, payments
from billing.gateways.abilities import Channels
from billing.gateways.base import driver_for
from billing.models import Payment, PaymentState
from core import outside, tenancy
from core.money import Money

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CheckoutOption:
    """One way to pay: the customer pays `total`, in which `fee` is on top of the payment's amount."""

    gateway: str
    channel: str
    name: str
    total: Money
    fee: Money | None = None

    @property
    def value(self) -> str:
        """As a form sends it."""
        return f"{self.gateway}:{self.channel}"


def is_choice_needed(payment: Payment) -> bool:
    """Whether the customer has yet to say how they pay: there are several ways, and no checkout session is open."""
    if payment.session_requested_at is not None or payment.channel or payment.invoice is None:
        return False
    accounts = gateway_accounts.accounts_of(payment.invoice)
    return len(accounts) > 1 or any(isinstance(driver_for(account), Channels) for account in accounts)


def options_of(payment: Payment) -> Sequence[CheckoutOption]:
    """The ways to pay, in the order of the accounts. One whose gateway does not answer now is left out.

    Gateways are asked, so it wants no transaction to be open.
    """
    if payment.invoice is None:
        return []
    options = []
    for account in gateway_accounts.accounts_of(payment.invoice):
        driver = driver_for(account)
        if not isinstance(driver, Channels):
            options.append(CheckoutOption(account.code, "", account.name, payment.amount))
            continue
        try:
            channels = driver.list_channels(payment.amount)
        except outside.OutsideError as error:
            log.warning("the channels of %s are not known: %s", account.code, error)
            continue
        options += [
            CheckoutOption(account.code, each.code, each.name, payment.amount + each.fee, each.fee) for each in channels
        ]
    return options


def choose_option(*, payment_id: UUID, option: CheckoutOption) -> Payment:
    """Let the payment be made so. One whose session was requested already stays as it is."""
    with tenancy.as_worker():
        is_live = gateway_accounts.mode_of(option.gateway)
    with tenancy.as_worker():
        payment = payments.lock_payment(payment_id)
        if payment.state == PaymentState.PENDING and payment.session_requested_at is None:
            payment.gateway, payment.channel, payment.is_live = option.gateway, option.channel, is_live
            payment.save(update_fields=["gateway", "channel", "is_live"])
    return payment
