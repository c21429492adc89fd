"""PaymentIntents: one amount, tried until it is paid or given up."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe import errors, money
from sandbox.stripe.account import Account, new_id, null_fields
from sandbox.stripe.charging import Buyer, confirm
from sandbox.stripe.endpoints import Call
from sandbox.stripe.events import emit
from sandbox.stripe.payment_methods import refuse_detached, resolve
from sandbox.stripe.schema import Choice, Flag, Integer, Metadata, Spec, Text, Url

UNSETTLED = {"requires_payment_method", "requires_confirmation", "requires_action"}
USAGE = Choice("off_session", "on_session")
CONFIRM_FIELDS: dict[str, Spec] = {
    "payment_method": Text(),
    "off_session": Flag(),
    "error_on_requires_action": Flag(),
    "return_url": Url(),
    "setup_future_usage": USAGE,
}
CREATE_FIELDS: dict[str, Spec] = {
    **CONFIRM_FIELDS,
    "amount": Integer(),
    "currency": Text(3),
    "customer": Text(),
    "description": Text(1000),
    "metadata": Metadata(),
    "confirm": Flag(),
}
CANCEL_FIELDS: dict[str, Spec] = {
    "cancellation_reason": Choice("abandoned", "duplicate", "fraudulent", "requested_by_customer")
}
NULL = (
    "allowed_payment_method_types application application_fee_amount canceled_at cancellation_reason customer_account "
    "excluded_payment_method_types last_payment_error latest_charge managed_payments next_action on_behalf_of "
    "payment_method_configuration_details processing receipt_email review shipping source statement_descriptor "
    "statement_descriptor_suffix transfer_data transfer_group"
)


def make(account: Account, amount: int, currency: str, given: JsonObject) -> JsonObject:
    """A new PaymentIntent, announced by `payment_intent.created`; amount and customer are already checked."""
    identity = new_id("pi_")
    intent = account.add(
        {
            **null_fields(NULL),
            "id": identity,
            "object": "payment_intent",
            "amount": amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
            "capture_method": "automatic_async",
            "client_secret": new_id(f"{identity}_secret_"),
            "confirmation_method": "automatic",
            "created": account.now(),
            "currency": currency,
            "customer": given.get("customer"),
            "description": given.get("description"),
            "livemode": False,
            "metadata": given.get("metadata", {}),
            "payment_method": given.get("payment_method"),
            "payment_method_options": {},
            "payment_method_types": ["card", "us_bank_account"] if currency == "usd" else ["card"],
            "setup_future_usage": given.get("setup_future_usage"),
            "status": "requires_confirmation" if given.get("payment_method") else "requires_payment_method",
        }
    )
    emit(account, "payment_intent.created", intent)
    return intent


def create(call: Call) -> JsonObject:
    """A new PaymentIntent, charged at once when `confirm` is sent."""
    account, given = call.account, dict(call.params)
    code = money.currency(given["currency"])
    money.check_amount(given["amount"], code)
    if "customer" in given:
        account.find("customer", given["customer"], "customer")
    if given.get("confirm") and "payment_method" not in given:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise errors.invalid(message, param="payment_method", code="parameter_missing")
    for name in ("off_session", "error_on_requires_action", "return_url"):
        if name in given and not given.get("confirm"):
            message = f"The parameter `{name}` can only be used together with `confirm=true`."
            raise errors.invalid(message, param=name)
    if "payment_method" in given:
        given["payment_method"] = usable_method(account, given, given.get("customer"))["id"]
    intent = make(account, given["amount"], code, given)
    if given.get("confirm"):
        _confirm(account, intent, given)
    return intent


def usable_method(account: Account, given: JsonObject, customer: str | None) -> JsonObject:
    """The payment method that the parameters name, where it may be charged for this customer.

    Raises StripeError when it belongs to another, or is charged off session without being attached.
    """
    method = resolve(account, given["payment_method"])
    refuse_detached(account, method)
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
    account.note(intent["id"]).update(
        fails_on_action=given.get("error_on_requires_action", False), return_url=given.get("return_url")
    )
    intent["setup_future_usage"] = given.get("setup_future_usage", intent["setup_future_usage"])
    method = account.find("payment_method", intent["payment_method"], "payment_method")
    confirm(account, intent, method, Buyer.ABSENT if given.get("off_session") else Buyer.PRESENT)


def confirm_call(call: Call) -> JsonObject:
    """Try to charge, with the intent's method or another."""
    intent = call.account.find("payment_intent", call.path["id"])
    require_unsettled(intent, "confirm")
    given = {"payment_method": intent["payment_method"], **call.params}
    if not given["payment_method"]:
        message = "You cannot confirm this PaymentIntent because it's missing a payment method."
        raise errors.invalid(message, param="payment_method", code="payment_intent_unexpected_state")
    intent["payment_method"] = usable_method(call.account, given, intent["customer"])["id"]
    _confirm(call.account, intent, given)
    return intent


def cancel_call(call: Call) -> JsonObject:
    """Give up an intent that has not been paid."""
    intent = call.account.find("payment_intent", call.path["id"])
    cancel(call.account, intent, call.params.get("cancellation_reason"))
    return intent


def cancel(account: Account, intent: JsonObject, reason: str | None) -> None:
    """Give up an intent.

    Raises StripeError `payment_intent_unexpected_state` when it is paid, under way or canceled already.
    """
    require_unsettled(intent, "cancel")
    intent.update(status="canceled", canceled_at=account.now(), cancellation_reason=reason, next_action=None)
    emit(account, "payment_intent.canceled", intent)


def require_unsettled(intent: JsonObject, verb: str) -> None:
    """Raises StripeError `payment_intent_unexpected_state` when the intent is paid, under way or canceled."""
    if intent["status"] not in UNSETTLED:
        raise errors.wrong_state(
            f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}.",
            code="payment_intent_unexpected_state",
            payment_intent=copy.deepcopy(intent),
        )
