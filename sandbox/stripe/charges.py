"""Charges and the balance transactions that book them."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe.account import Account, changed_fields, merge_metadata, new_id
from sandbox.stripe.cards import Decline
from sandbox.stripe.endpoints import Call, Endpoint, lister, listing, read, reader, write
from sandbox.stripe.events import emit
from sandbox.stripe.money import fee
from sandbox.stripe.payment_methods import no_billing_details
from sandbox.stripe.schema import Clearable, Instants, Metadata, Text

SETTLES_AFTER = 2 * 86400


def book(account: Account, source: JsonObject, kind: str, amount: int, charged_fee: int = 0) -> JsonObject:
    """A balance transaction for a charge, refund or dispute; money going out has a negative amount."""
    details = {"amount": charged_fee, "application": None, "currency": source["currency"], "type": "stripe_fee"}
    return account.add(
        {
            "id": new_id("txn_"),
            "object": "balance_transaction",
            "amount": amount,
            "available_on": account.now() + SETTLES_AFTER,
            "balance_type": "payments",
            "created": account.now(),
            "currency": source["currency"],
            "description": None,
            "exchange_rate": None,
            "fee": charged_fee,
            "fee_details": [{**details, "description": "Stripe processing fees"}] if charged_fee else [],
            "net": amount - charged_fee,
            "reporting_category": kind,
            "source": source["id"],
            "status": "pending",
            "type": kind,
        }
    )


FIXED: JsonObject = {
    "amount_captured": 0,
    "amount_refunded": 0,
    "application": None,
    "application_fee": None,
    "application_fee_amount": None,
    "balance_transaction": None,
    "calculated_statement_descriptor": "SANDBOX",
    "captured": False,
    "disputed": False,
    "failure_balance_transaction": None,
    "failure_code": None,
    "failure_message": None,
    "fraud_details": {},
    "livemode": False,
    "on_behalf_of": None,
    "outcome": None,
    "paid": False,
    "presentment_details": None,
    "radar_options": {},
    "receipt_number": None,
    "refunded": False,
    "review": None,
    "shipping": None,
    "source": None,
    "source_transfer": None,
    "status": "pending",
    "transfer_data": None,
    "transfer_group": None,
}
"""What every new charge starts with."""


def make(account: Account, intent: JsonObject, method: JsonObject) -> JsonObject:
    """A pending charge for the intent's whole amount."""
    identity = new_id("ch_")
    billing = copy.deepcopy(method["billing_details"]) or no_billing_details()
    charge: JsonObject = {
        **copy.deepcopy(FIXED),
        "id": identity,
        "object": "charge",
        "amount": intent["amount"],
        "billing_details": billing,
        "created": account.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "metadata": dict(intent["metadata"]),
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": _details(method, intent),
        "receipt_email": intent["receipt_email"],
        "receipt_url": f"{account.base_url}/receipts/{identity}",
        "statement_descriptor": intent["statement_descriptor"],
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
    }
    return account.add(charge)


def _details(method: JsonObject, intent: JsonObject) -> JsonObject:
    kind = method["type"]
    facts = copy.deepcopy(method[kind])
    if kind == "card":
        for name in ("display_brand", "generated_from", "networks", "three_d_secure_usage"):
            facts.pop(name)
        facts |= {
            "amount_authorized": intent["amount"],
            "authorization_code": None,
            "extended_authorization": {"status": "disabled"},
            "incremental_authorization": {"status": "unavailable"},
            "installments": None,
            "mandate": None,
            "multicapture": {"status": "unavailable"},
            "network": facts["brand"],
            "network_token": {"used": False},
            "network_transaction_id": None,
            "overcapture": {"maximum_amount_capturable": intent["amount"], "status": "unavailable"},
            "three_d_secure": None,
        }
    return {"type": kind, kind: facts}


def capture(account: Account, charge: JsonObject, amount: int) -> None:
    """Take the money: book it with the fee."""
    charge.update(captured=True, amount_captured=amount)
    entry = book(account, charge, "charge", amount, fee(amount, charge["currency"]))
    charge["balance_transaction"] = entry["id"]


def approve(charge: JsonObject) -> None:
    """Mark the charge as accepted by the bank."""
    charge.update(status="succeeded", paid=True, outcome=_outcome("authorized", None, "Payment complete."))


def fail(account: Account, charge: JsonObject, decline: Decline) -> None:
    """Mark the charge as refused and say so."""
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


def update(call: Call) -> JsonObject:
    """Change what is only remembered: metadata, description, receipt address."""
    charge = call.account.find("charge", call.path["id"])
    before = copy.deepcopy(charge)
    for name in ("description", "receipt_email"):
        if name in call.params:
            charge[name] = call.params[name]
    merge_metadata(charge, call.params.get("metadata"))
    emit(call.account, "charge.updated", charge, changed_fields(before, charge))
    return charge


ENDPOINTS: list[Endpoint] = [
    read("/v1/charges/{id}", reader("charge")),
    listing(
        "/v1/charges",
        lister("charge", "customer", "payment_intent"),
        customer=Text(),
        payment_intent=Text(),
        created=Instants(),
    ),
    write(
        "/v1/charges/{id}",
        update,
        {"metadata": Metadata(), "description": Clearable(Text()), "receipt_email": Clearable(Text())},
    ),
    read("/v1/balance_transactions/{id}", reader("balance_transaction")),
    listing(
        "/v1/balance_transactions",
        lister("balance_transaction", "currency", "source", "type"),
        currency=Text(3),
        source=Text(),
        type=Text(),
        created=Instants(),
    ),
]
