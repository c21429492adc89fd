"""PaymentIntents: one amount, tried until it is paid or given up."""

import copy
from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe import charges, errors, money
from sandbox.stripe.account import Account, merge_metadata, new_id
from sandbox.stripe.charging import Buyer, confirm, new_secret
from sandbox.stripe.customers import living
from sandbox.stripe.endpoints import Call, Endpoint, lister, listing, read, reader, write
from sandbox.stripe.events import emit
from sandbox.stripe.payment_methods import resolve
from sandbox.stripe.schema import (
    Choice,
    Clearable,
    Flag,
    Group,
    Instants,
    Integer,
    Many,
    Metadata,
    Spec,
    Text,
    Url,
)

UNSETTLED = {"requires_payment_method", "requires_confirmation", "requires_action"}
USAGE = Choice("off_session", "on_session")
KINDS = Many(Choice("card", "us_bank_account", "sepa_debit", "link"))
CHANGEABLE: dict[str, Spec] = {
    "amount": Integer(),
    "currency": Text(3),
    "customer": Text(),
    "payment_method": Clearable(Text()),
    "description": Clearable(Text(1000)),
    "metadata": Metadata(),
    "receipt_email": Clearable(Text(512)),
    "setup_future_usage": Clearable(USAGE),
    "statement_descriptor": Clearable(Text(22)),
    "statement_descriptor_suffix": Clearable(Text(22)),
}
CONFIRMING: dict[str, Spec] = {
    "payment_method": Text(),
    "off_session": Flag(),
    "error_on_requires_action": Flag(),
    "return_url": Url(),
    "receipt_email": Clearable(Text(512)),
    "setup_future_usage": USAGE,
}
CREATING: dict[str, Spec] = {
    **CHANGEABLE,
    **CONFIRMING,
    "confirm": Flag(),
    "capture_method": Choice("automatic", "automatic_async", "manual"),
    "confirmation_method": Choice("automatic", "manual"),
    "automatic_payment_methods": Group({"enabled": Flag(), "allow_redirects": Choice("always", "never")}, ("enabled",)),
    "allowed_payment_method_types": KINDS,
    "excluded_payment_method_types": KINDS,
}


FIXED: JsonObject = {
    "amount_capturable": 0,
    "amount_details": {"tip": {}},
    "amount_received": 0,
    "application": None,
    "application_fee_amount": None,
    "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
    "canceled_at": None,
    "cancellation_reason": None,
    "customer_account": None,
    "last_payment_error": None,
    "latest_charge": None,
    "livemode": False,
    "managed_payments": None,
    "next_action": None,
    "on_behalf_of": None,
    "payment_method_configuration_details": None,
    "payment_method_options": {},
    "processing": None,
    "review": None,
    "shipping": None,
    "source": None,
    "transfer_data": None,
    "transfer_group": None,
}
"""What every new intent starts with."""


def make(account: Account, amount: int, currency: str, given: JsonObject) -> JsonObject:
    """A new PaymentIntent, announced by `payment_intent.created`; amount and customer are already checked."""
    identity = new_id("pi_")
    intent = account.add(
        {
            **copy.deepcopy(FIXED),
            "id": identity,
            "object": "payment_intent",
            "allowed_payment_method_types": given.get("allowed_payment_method_types"),
            "amount": amount,
            "capture_method": given.get("capture_method", "automatic_async"),
            "client_secret": new_secret(identity),
            "confirmation_method": given.get("confirmation_method", "automatic"),
            "created": account.now(),
            "currency": currency,
            "customer": given.get("customer"),
            "description": given.get("description"),
            "excluded_payment_method_types": given.get("excluded_payment_method_types"),
            "metadata": given.get("metadata", {}),
            "payment_method": given.get("payment_method"),
            "payment_method_types": ["card", "us_bank_account"] if currency == "usd" else ["card"],
            "receipt_email": given.get("receipt_email"),
            "setup_future_usage": given.get("setup_future_usage"),
            "statement_descriptor": given.get("statement_descriptor"),
            "statement_descriptor_suffix": given.get("statement_descriptor_suffix"),
            "status": "requires_confirmation" if given.get("payment_method") else "requires_payment_method",
        }
    )
    emit(account, "payment_intent.created", intent)
    return intent


def create(call: Call) -> JsonObject:
    """A new PaymentIntent, charged at once when `confirm` is sent."""
    given = dict(call.params)
    code = money.currency(given["currency"])
    money.check_amount(given["amount"], code)
    if "customer" in given:
        living(call.account, given["customer"])
    _check_confirming(given)
    if given.get("payment_method"):
        given["payment_method"] = _usable_method(call.account, given, given.get("customer"))["id"]
    intent = make(call.account, given["amount"], code, given)
    if given.get("confirm"):
        _confirm(call.account, intent, given)
    return intent


def _check_confirming(given: dict[str, Any]) -> None:
    if given.get("confirm"):
        if not given.get("payment_method"):
            message = "You cannot confirm this PaymentIntent because it's missing a payment method."
            raise errors.invalid(message, param="payment_method", code="parameter_missing")
        return
    for name in ("off_session", "error_on_requires_action", "return_url"):
        if name in given:
            message = f"The parameter `{name}` can only be used together with `confirm=true`."
            raise errors.invalid(message, param=name)


def _usable_method(account: Account, given: JsonObject, customer: str | None) -> JsonObject:
    method = resolve(account, given["payment_method"])
    if method["customer"] is not None and method["customer"] != customer:
        message = (
            f"The provided PaymentMethod ({method['id']}) belongs to another customer or is used without its customer."
        )
        raise errors.invalid(message, param="payment_method")
    if given.get("off_session") and (customer is None or method["customer"] != customer):
        message = "An off-session payment needs a PaymentMethod that is attached to the customer."
        raise errors.invalid(message, param="payment_method")
    return method


def _confirm(account: Account, intent: JsonObject, given: JsonObject) -> None:
    note = account.note(intent["id"])
    note["fails_on_action"] = given.get("error_on_requires_action", False)
    note["return_url"] = given.get("return_url")
    for name in ("receipt_email", "setup_future_usage"):
        if name in given:
            intent[name] = given[name]
    method = account.find("payment_method", intent["payment_method"], "payment_method")
    confirm(account, intent, method, Buyer.ABSENT if given.get("off_session") else Buyer.PRESENT)


def confirm_call(call: Call) -> JsonObject:
    """Try to charge, with the intent's method or another."""
    intent = call.account.find("payment_intent", call.path["id"])
    _require(intent, UNSETTLED, "confirm")
    given = {"payment_method": intent["payment_method"], **call.params}
    if not given["payment_method"]:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise errors.invalid(message, param="payment_method", code="payment_intent_unexpected_state")
    intent["payment_method"] = _usable_method(call.account, given, intent["customer"])["id"]
    _confirm(call.account, intent, given)
    return intent


def update(call: Call) -> JsonObject:
    """Change an intent that is not settled; afterwards only its metadata and description."""
    intent = call.account.find("payment_intent", call.path["id"])
    given = dict(call.params)
    if set(given) - {"metadata", "description", "expand"}:
        _require(intent, UNSETTLED, "update")
    code = money.currency(given["currency"]) if "currency" in given else intent["currency"]
    if "amount" in given or "currency" in given:
        wanted = int(given["amount"] if "amount" in given else intent["amount"])
        money.check_amount(wanted, code)
    if "customer" in given:
        living(call.account, given["customer"])
    if given.get("payment_method"):
        owner = given.get("customer", intent["customer"])
        given["payment_method"] = _usable_method(call.account, given, owner)["id"]
        intent["status"] = "requires_confirmation"
    intent.update({name: given[name] for name in CHANGEABLE if name in given and name != "metadata"}, currency=code)
    merge_metadata(intent, given.get("metadata"))
    return intent


def cancel(call: Call) -> JsonObject:
    """Give up an intent that has not been paid."""
    intent = call.account.find("payment_intent", call.path["id"])
    give_up(call.account, intent, call.params.get("cancellation_reason"))
    return intent


def give_up(account: Account, intent: JsonObject, reason: str | None) -> None:
    """Cancel, releasing held money.

    Raises StripeError `payment_intent_unexpected_state` when it is paid, under way or canceled already.
    """
    _require(intent, UNSETTLED | {"requires_capture"}, "cancel")
    intent.update(
        status="canceled",
        canceled_at=account.now(),
        cancellation_reason=reason,
        amount_capturable=0,
        next_action=None,
    )
    emit(account, "payment_intent.canceled", intent)


def capture(call: Call) -> JsonObject:
    """Take money held by a manual capture, all of it or less."""
    intent = call.account.find("payment_intent", call.path["id"])
    _require(intent, {"requires_capture"}, "capture")
    amount = int(({"amount_to_capture": intent["amount_capturable"]} | call.params)["amount_to_capture"])
    if amount > intent["amount_capturable"]:
        message = "The amount to capture is greater than the amount you authorized."
        raise errors.invalid(message, param="amount_to_capture", code="amount_too_large")
    charge = call.account.find("charge", intent["latest_charge"])
    charges.capture(call.account, charge, amount)
    intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
    emit(call.account, "charge.captured", charge)
    emit(call.account, "payment_intent.succeeded", intent)
    return intent


def _require(intent: JsonObject, states: set[str], verb: str) -> None:
    if intent["status"] not in states:
        raise errors.wrong_state(
            f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
            payment_intent=copy.deepcopy(intent),
        )


REASON = Choice("abandoned", "duplicate", "fraudulent", "requested_by_customer")
ENDPOINTS: list[Endpoint] = [
    write("/v1/payment_intents", create, CREATING, "amount", "currency"),
    listing("/v1/payment_intents", lister("payment_intent", "customer"), customer=Text(), created=Instants()),
    read("/v1/payment_intents/{id}", reader("payment_intent")),
    write("/v1/payment_intents/{id}", update, CHANGEABLE),
    write("/v1/payment_intents/{id}/confirm", confirm_call, CONFIRMING),
    write("/v1/payment_intents/{id}/cancel", cancel, {"cancellation_reason": REASON}),
    write("/v1/payment_intents/{id}/capture", capture, {"amount_to_capture": Integer(1)}),
]
