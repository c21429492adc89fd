"""Stripe's balance transactions: each change of what it holds for us, with its fee, in the settlement currency."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from billing.gateways.reconciling import BalanceTransaction, BalanceType
from billing.gateways.stripe.client import StripeClient
from billing.gateways.stripe.fields import from_stripe_amount, id_of, instant, value
from core.money import Money, total

TYPES = {
    "charge": BalanceType.PAYMENT,
    "payment": BalanceType.PAYMENT,
    "refund": BalanceType.REFUND,
    "payment_refund": BalanceType.REFUND,
    "refund_failure": BalanceType.REFUND,
    "payout": BalanceType.PAYOUT,
    "payout_cancel": BalanceType.PAYOUT,
    "payout_failure": BalanceType.PAYOUT,
    "stripe_fee": BalanceType.FEE,
    "stripe_fx_fee": BalanceType.FEE,
}


class BalanceTransactions(StripeClient):
    """What changed the account's balance."""

    def list_balance_transactions(self, *, since: datetime, until: datetime) -> Iterator[BalanceTransaction]:
        """The balance transactions created from `since` until before `until`, newest first."""
        listed = self.read_all(
            "Stripe balance transactions",
            lambda stripe, params: stripe.v1.balance_transactions.list(params),
            created={"gte": int(since.timestamp()), "lt": int(until.timestamp())},
            expand=["data.source"],
        )
        return (_balance_transaction(found) for found in listed)

    def read_balances(self) -> Sequence[Money]:
        """What is available and what is pending of each currency."""
        found = self.read("Stripe balance", lambda stripe: stripe.v1.balance.retrieve())
        listed: Sequence[Any] = (*found.available, *found.pending)
        parts = [from_stripe_amount(part.amount, part.currency) for part in listed]
        currencies = dict.fromkeys(part.currency for part in parts)
        return [total([part for part in parts if part.currency == each], each) for each in currencies]

    def read_balance_transaction(self, reference: str) -> BalanceTransaction:
        """One balance transaction."""
        params: Any = {"expand": ["source"]}
        return _balance_transaction(
            self.read(
                "Stripe balance transaction", lambda stripe: stripe.v1.balance_transactions.retrieve(reference, params)
            )
        )


def _balance_transaction(found: Any) -> BalanceTransaction:
    balance_type = TYPES.get(str(found.type), BalanceType.OTHER)
    if found.type == "adjustment" and value(found.source, "object") == "dispute":
        balance_type = BalanceType.DISPUTE
    # A charge is known here by its PaymentIntent.
    source = id_of(value(found.source, "payment_intent") if balance_type is BalanceType.PAYMENT else found.source)
    return BalanceTransaction(
        reference=found.id,
        type=balance_type,
        amount=from_stripe_amount(found.amount, found.currency),
        fee=from_stripe_amount(found.fee, found.currency),
        source=source,
        customer=id_of(value(found.source, "customer")),
        created_at=instant(found.created),
    )
