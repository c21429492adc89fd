"""Payouts: Stripe sends what it holds to the shop's bank account."""

from sandbox.state import JsonObject
from sandbox.stripe import charges
from sandbox.stripe.account import Account, new_id, null_fields
from sandbox.stripe.events import emit

NULL = (
    "application_fee application_fee_amount description destination failure_balance_transaction failure_code "
    "failure_message original_payout payout_method reversed_by statement_descriptor trace_id"
)


def make(account: Account, currency: str, amount: int) -> JsonObject:
    """A payout that arrives at once."""
    payout = account.add(
        {
            **null_fields(NULL),
            "id": new_id("po_"),
            "object": "payout",
            "amount": amount,
            "arrival_date": account.now(),
            "automatic": True,
            "created": account.now(),
            "currency": currency,
            "livemode": False,
            "metadata": {},
            "method": "standard",
            "reconciliation_status": "completed",
            "source_type": "card",
            "status": "paid",
            "type": "bank_account",
        }
    )
    payout["balance_transaction"] = charges.book(account, payout, "payout", -amount)["id"]
    emit(account, "payout.created", payout)
    emit(account, "payout.paid", payout)
    return payout
