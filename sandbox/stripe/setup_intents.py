"""SetupIntents: saving a method without charging it."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, merge_metadata, new_id
from sandbox.stripe.charging import new_secret
from sandbox.stripe.customers import living
from sandbox.stripe.endpoints import Call, Endpoint, lister, listing, read, reader, write
from sandbox.stripe.events import emit
from sandbox.stripe.payment_intents import KINDS, USAGE
from sandbox.stripe.payment_methods import attach, behaviour, resolve
from sandbox.stripe.schema import Choice, Clearable, Flag, Group, Instants, Metadata, Spec, Text, Url

FIELDS: dict[str, Spec] = {
    "customer": Text(),
    "payment_method": Text(),
    "description": Clearable(Text()),
    "metadata": Metadata(),
    "usage": USAGE,
    "confirm": Flag(),
    "return_url": Url(),
    "automatic_payment_methods": Group({"enabled": Flag(), "allow_redirects": Choice("always", "never")}, ("enabled",)),
    "allowed_payment_method_types": KINDS,
    "excluded_payment_method_types": KINDS,
}


FIXED: JsonObject = {
    "application": None,
    "automatic_payment_methods": {"allow_redirects": "always", "enabled": True},
    "cancellation_reason": None,
    "customer_account": None,
    "flow_directions": None,
    "last_setup_error": None,
    "latest_attempt": None,
    "livemode": False,
    "managed_payments": None,
    "mandate": None,
    "next_action": None,
    "on_behalf_of": None,
    "payment_method": None,
    "payment_method_configuration_details": None,
    "payment_method_options": {},
    "payment_method_types": ["card"],
    "single_use_mandate": None,
    "status": "requires_payment_method",
}
"""What every new intent starts with."""


def make(account: Account, given: JsonObject) -> JsonObject:
    """A new SetupIntent, announced by `setup_intent.created`."""
    identity = new_id("seti_")
    intent = account.add(
        {
            **copy.deepcopy(FIXED),
            "id": identity,
            "object": "setup_intent",
            "allowed_payment_method_types": given.get("allowed_payment_method_types"),
            "client_secret": new_secret(identity),
            "created": account.now(),
            "customer": given.get("customer"),
            "description": given.get("description"),
            "excluded_payment_method_types": given.get("excluded_payment_method_types"),
            "metadata": given.get("metadata", {}),
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
    given = call.params
    if "customer" in given:
        living(call.account, given["customer"])
    if given.get("confirm") and "payment_method" not in given:
        raise errors.missing_parameter("payment_method")
    method = resolve(call.account, given["payment_method"]) if "payment_method" in given else None
    intent = make(call.account, given)
    if method is not None:
        intent.update(status="requires_confirmation", payment_method=method["id"])
    if given.get("confirm") and method is not None:
        complete(call.account, intent, method)
    return intent


def confirm(call: Call) -> JsonObject:
    """Complete with the intent's method or another."""
    intent = call.account.find("setup_intent", call.path["id"])
    _require_open(intent)
    chosen = call.params.get("payment_method", intent["payment_method"])
    if chosen is None:
        raise errors.missing_parameter("payment_method")
    complete(call.account, intent, resolve(call.account, chosen))
    return intent


def update(call: Call) -> JsonObject:
    """Change metadata or description."""
    intent = call.account.find("setup_intent", call.path["id"])
    intent["description"] = call.params.get("description", intent["description"])
    merge_metadata(intent, call.params.get("metadata"))
    return intent


def cancel(call: Call) -> JsonObject:
    """Give up an intent that has not succeeded."""
    intent = call.account.find("setup_intent", call.path["id"])
    _require_open(intent)
    intent.update(status="canceled", cancellation_reason=call.params.get("cancellation_reason"))
    emit(call.account, "setup_intent.canceled", intent)
    return intent


def _require_open(intent: JsonObject) -> None:
    if intent["status"] in {"succeeded", "canceled"}:
        message = f"This SetupIntent has a status of {intent['status']}."
        raise errors.wrong_state(message, code="setup_intent_unexpected_state")


ENDPOINTS: list[Endpoint] = [
    write("/v1/setup_intents", create, FIELDS),
    listing(
        "/v1/setup_intents",
        lister("setup_intent", "customer", "payment_method"),
        customer=Text(),
        payment_method=Text(),
        created=Instants(),
    ),
    read("/v1/setup_intents/{id}", reader("setup_intent")),
    write("/v1/setup_intents/{id}", update, {"metadata": Metadata(), "description": Clearable(Text())}),
    write("/v1/setup_intents/{id}/confirm", confirm, {"payment_method": Text(), "return_url": Url()}),
    write(
        "/v1/setup_intents/{id}/cancel",
        cancel,
        {"cancellation_reason": Choice("abandoned", "duplicate", "requested_by_customer")},
    ),
]
