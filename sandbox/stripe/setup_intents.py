"""SetupIntents: saving a method without charging it."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, new_id, null_fields
from sandbox.stripe.endpoints import Call
from sandbox.stripe.events import emit
from sandbox.stripe.payment_intents import USAGE
from sandbox.stripe.payment_methods import attach, behaviour, resolve
from sandbox.stripe.schema import Flag, Metadata, Spec, Text

FIELDS: dict[str, Spec] = {
    "customer": Text(),
    "payment_method": Text(),
    "description": Text(),
    "metadata": Metadata(),
    "usage": USAGE,
    "confirm": Flag(),
}
NULL = (
    "allowed_payment_method_types application cancellation_reason customer_account excluded_payment_method_types "
    "flow_directions last_setup_error latest_attempt managed_payments mandate next_action on_behalf_of payment_method "
    "payment_method_configuration_details single_use_mandate"
)


def make(account: Account, given: JsonObject) -> JsonObject:
    """A new SetupIntent, announced by `setup_intent.created`."""
    identity = new_id("seti_")
    intent = account.add(
        {
            **null_fields(NULL),
            "id": identity,
            "object": "setup_intent",
            "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
            "client_secret": new_id(f"{identity}_secret_"),
            "created": account.now(),
            "customer": given.get("customer"),
            "description": given.get("description"),
            "livemode": False,
            "metadata": given.get("metadata", {}),
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "status": "requires_payment_method",
            "usage": given.get("usage", "off_session"),
        }
    )
    emit(account, "setup_intent.created", intent)
    return intent


def complete(account: Account, intent: JsonObject, method: JsonObject) -> None:
    """Save the method on the intent's customer.

    Raises StripeError 402 when the card is refused.
    """
    decline = behaviour(account, method).now
    if decline is not None:
        intent["last_setup_error"] = {
            "code": decline.code,
            "decline_code": decline.decline_code,
            "message": decline.message,
            "payment_method": dict(method),
            "type": "card_error",
        }
        emit(account, "setup_intent.setup_failed", intent)
        raise errors.card(
            decline.message, code=decline.code, decline_code=decline.decline_code, setup_intent=copy.deepcopy(intent)
        )
    if intent["customer"] is not None:
        attach(account, method, intent["customer"])
    account.note(method["id"])["is_set_up"] = True
    intent.update(status="succeeded", payment_method=method["id"], last_setup_error=None)
    emit(account, "setup_intent.succeeded", intent)


def create(call: Call) -> JsonObject:
    """A new SetupIntent, completed at once when `confirm` is sent with a method."""
    account, given = call.account, call.params
    if "customer" in given:
        account.find("customer", given["customer"], "customer")
    if given.get("confirm") and "payment_method" not in given:
        raise errors.missing_parameter("payment_method")
    method = resolve(account, given["payment_method"]) if "payment_method" in given else None
    intent = make(account, given)
    if method is not None:
        intent.update(status="requires_confirmation", payment_method=method["id"])
    if given.get("confirm") and method is not None:
        complete(account, intent, method)
    return intent


def confirm(call: Call) -> JsonObject:
    """Complete with the intent's method or another."""
    intent = call.account.find("setup_intent", call.path["id"])
    if intent["status"] == "succeeded":
        message = f"This SetupIntent has a status of {intent['status']}."
        raise errors.wrong_state(message, code="setup_intent_unexpected_state")
    chosen = call.params.get("payment_method", intent["payment_method"])
    if chosen is None:
        raise errors.missing_parameter("payment_method")
    complete(call.account, intent, resolve(call.account, chosen))
    return intent
