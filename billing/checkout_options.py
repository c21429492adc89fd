"""How a payment can be made: by which gateway account, and where that has channels by which of them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from billing import gateway_accounts, payments
from billing.gateways.abilities import Channels
from billing.gateways.base import driver_for
from billing.models import GatewayAccount, Payment, PaymentState
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


def accounts_to_choose(payment: Payment) -> Sequence[GatewayAccount]:
    """The accounts by which the customer has yet to say how they pay.

    None where a checkout session was requested, or where there is only one way to pay.
    """
    is_decided = payment.session_requested_at is not None or payment.payment_method_id is not None
    if is_decided or payment.channel:
        return []
    if payment.invoice is None:  # a top-up
        accounts = gateway_accounts.accounts_for(currency=payment.currency)
    else:
        accounts = gateway_accounts.accounts_of(payment.invoice)
    is_choice = len(accounts) > 1 or any(isinstance(driver_for(account), Channels) for account in accounts)
    return accounts if is_choice else []


def options_of(payment: Payment, accounts: Sequence[GatewayAccount]) -> Sequence[CheckoutOption]:
    """The ways to make a payment. Gateways are asked, so the caller has no transaction open."""
    return options_for(payment.amount, accounts)


def options_for(amount: Money, accounts: Sequence[GatewayAccount]) -> Sequence[CheckoutOption]:
    """The ways to pay an amount, in the order of the accounts. One whose gateway does not answer now is left out.

    Gateways are asked, so the caller has no transaction open.
    """
    options = []
    for account in accounts:
        driver = driver_for(account)
        if not isinstance(driver, Channels):
            options.append(CheckoutOption(account.code, "", account.name, amount))
            continue
        try:
            channels = driver.list_channels(amount)
        except outside.OutsideError as error:
            log.warning("the channels of %s are not known: %s", account.code, error)
            continue
        options += [
            CheckoutOption(account.code, each.code, each.name, amount + each.fee, each.fee) for each in channels
        ]
    return options


def choose_option(*, payment: Payment, option: CheckoutOption) -> Payment:
    """Let the payment be made so. One whose session was requested already stays as it is."""
    with tenancy.as_worker(payment):
        is_live = gateway_accounts.mode_of(option.gateway)
        payment = payments.lock_payment(payment.pk)
        is_decided = payment.session_requested_at is not None or payment.payment_method_id is not None
        if payment.state == PaymentState.PENDING and not is_decided:
            payment.gateway, payment.channel = option.gateway, option.channel
            payment.is_live = is_live
            payment.save(update_fields=["gateway", "channel", "is_live"])
    return payment
