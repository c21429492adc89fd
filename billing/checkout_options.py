"""How a payment can be made: by a saved method, or by which gateway account and which of its channels."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from billing import gateway_accounts, payments, saved_charges
from billing.gateways.abilities import Channels
from billing.gateways.base import driver_for
from billing.models import GatewayAccount, Payment, PaymentMethod, PaymentState
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


@dataclass(frozen=True)
class Choice:
    """What a customer chooses from who has yet to say how they pay."""

    methods: Sequence[PaymentMethod]
    accounts: Sequence[GatewayAccount]

    def method(self, value: str) -> PaymentMethod | None:
        """The saved method that a form sent; None where it sent another way to pay."""
        return chosen_method(self.methods, value)


def choice_of(payment: Payment) -> Choice | None:
    """How the customer can pay; None where a session or a charge was requested, or there is only one way."""
    is_decided = payment.session_requested_at is not None or payment.payment_method_id is not None
    if is_decided or payment.channel or payment.state != PaymentState.PENDING:
        return None
    if payment.invoice is None:  # a top-up
        accounts = gateway_accounts.accounts_for(currency=payment.currency)
    else:
        accounts = gateway_accounts.accounts_of(payment.invoice)
    methods = saved_charges.methods_for(payment)
    is_choice = len(accounts) > 1 or any(isinstance(driver_for(account), Channels) for account in accounts)
    return Choice(methods, accounts) if methods or is_choice else None


def chosen_method(methods: Sequence[PaymentMethod], value: str) -> PaymentMethod | None:
    """Of these saved methods the one that a form sent, or None."""
    return next((each for each in methods if value == f"method:{each.pk}"), None)


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
