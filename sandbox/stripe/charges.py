"""Charges and the balance transactions that book them."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe.account import Account, new_id, null_fields
from sandbox.stripe.cards import Decline
from sandbox.stripe.endpoints import Call
from sandbox.stripe.events import emit
from sandbox.stripe.money import fee

SETTLES_AFTER_SECONDS = 2 * 86400
NULL = (
    "application application_fee application_fee_amount balance_transaction failure_balance_transaction failure_code "
    "failure_message on_behalf_of outcome presentment_details receipt_email receipt_number review shipping source "
    "source_transfer statement_descriptor statement_descriptor_suffix transfer_data transfer_group"
)
METHOD_ONLY = (
    *("display_brand", "generated_from", "networks", "three_d_secure_usage"),
    *("financial_connections_account", "status_details"),
)
"""Fields of a saved card or bank account that a charge's copy of it lacks."""


def book(account: Account, source: JsonObject, kind: str, amount: int, fixed_fee: int | None = 0) -> JsonObject:
    """A balance transaction for a charge, refund, dispute or payout; money going out has a negative amount.

    It is in the currency that the source's is settled in. `fixed_fee` None takes the fee of a charge.
    """
    currency, rate = account.settings["settlement"].get(source["currency"], (source["currency"], None))
    amount = amount if rate is None else round(amount * rate)
    charged_fee = fee(amount, currency) if fixed_fee is None else fixed_fee
    details = {"amount": charged_fee, "application": None, "currency": currency, "type": "stripe_fee"}
    return account.add(
        {
            "id": new_id("txn_"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": account.now() + SETTLES_AFTER_SECONDS,
            "balance_type": "payments",
            "created": account.now(),
            "currency": currency,
            "description": None,
            "exchange_rate": rate,
            "fee": charged_fee,
            "fee_details": [{**details, "description": "Stripe processing fees"}] if charged_fee else [],
            "net": amount - charged_fee,
            "reporting_category": reporting_category(kind, source, amount),
            "source": source.get("id"),
            "status": "pending",
            "type": kind,
        }
    )


def balance(call: Call) -> JsonObject:
    """What the account holds: what settled is available, the rest is pending."""
    sums: dict[str, dict[str, int]] = {"available": {}, "pending": {}}
    for each in call.account.all("balance_transaction"):
        of = sums["available" if each["available_on"] <= call.account.now() else "pending"]
        of[each["currency"]] = of.get(each["currency"], 0) + each["net"]
    parts = {
        name: [
            {"amount": amount, "currency": currency, "source_types": {"card": amount}}
            for currency, amount in of.items()
        ]
        for name, of in sums.items()
    }
    return {"object": "balance", "livemode": False, **parts}


def reporting_category(kind: str, source: JsonObject, amount: int) -> str:
    """Stripe's coarser name of a balance transaction's type."""
    if source.get("object") == "dispute":
        return "dispute" if amount < 0 else "dispute_reversal"
    return {"payment": "charge", "payment_refund": "refund", "stripe_fee": "fee"}.get(kind, kind)


def make(account: Account, intent: JsonObject, method: JsonObject) -> JsonObject:
    """A pending charge for the intent's whole amount."""
    identity, kind = new_id("ch_"), method["type"]
    details = {name: copy.deepcopy(value) for name, value in method[kind].items() if name not in METHOD_ONLY}
    if kind == "card":
        details |= {
            **null_fields("authorization_code installments mandate network_transaction_id three_d_secure"),
            "amount_authorized": intent["amount"],
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "multicapture": {"status": "unavailable"},
            "network": details["brand"],
            "network_token": {"used": False},
            "overcapture": {"maximum_amount_capturable": intent["amount"], "status": "unavailable"},
        }
    return account.add(
        {
            **null_fields(NULL),
            "id": identity,
            "object": "charge",
            "amount": intent["amount"],
            "amount_captured": 0,
            "amount_refunded": 0,
            "billing_details": copy.deepcopy(method["billing_details"]),
            "calculated_statement_descriptor": "SANDBOX",
            "captured": False,
            "created": account.now(),
            "currency": intent["currency"],
            "customer": intent["customer"],
            "description": intent["description"],
            "disputed": False,
            "fraud_details": {},
            "livemode": False,
            "metadata": dict(intent["metadata"]),
            "paid": False,
            "payment_intent": intent["id"],
            "payment_method": method["id"],
            "payment_method_details": {"type": kind, kind: details},
            "radar_options": {},
            "receipt_url": f"{account.base_url}/receipts/{identity}",
            "refunded": False,
            "status": "pending",
        }
    )


def succeed(account: Account, charge: JsonObject) -> None:
    """Mark the charge as accepted by the bank, and book the money with the fee."""
    amount = charge["amount"]
    is_card = charge["payment_method_details"]["type"] == "card"
    entry = book(account, charge, "charge" if is_card else "payment", amount, None)
    charge.update(
        status="succeeded",
        paid=True,
        captured=True,
        amount_captured=amount,
        balance_transaction=entry["id"],
        outcome=_outcome("authorized", None, "Payment complete."),
    )


def fail(account: Account, charge: JsonObject, decline: Decline) -> None:
    """Mark the charge as refused and emit `charge.failed`."""
    charge.update(
        status="failed",
        failure_code=decline.code,
        failure_message=decline.message,
        outcome=_outcome("issuer_declined", decline, "The bank did not return any further details with this decline."),
    )
    emit(account, "charge.failed", charge)


def _outcome(kind: str, decline: Decline | None, message: str) -> JsonObject:
    return {
        "advice_code": decline.advice_code if decline else None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": (decline.decline_code or decline.code) if decline else None,
        "risk_level": "normal",
        "risk_score": 20,
        "seller_message": message,
        "type": kind,
    }
