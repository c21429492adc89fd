"""The parameters of a Checkout Session and which of them exclude each other."""

from typing import Any

from sandbox.stripe import errors
from sandbox.stripe.line_items import LINE_ITEMS
from sandbox.stripe.payment_intents import USAGE
from sandbox.stripe.schema import Choice, Group, Integer, Metadata, Spec, Text, Url

FIELDS: dict[str, Spec] = {
    "mode": Choice("payment", "subscription", "setup"),
    "line_items": LINE_ITEMS,
    "success_url": Url(),
    "cancel_url": Url(),
    "client_reference_id": Text(200),
    "metadata": Metadata(),
    "customer": Text(),
    "customer_email": Text(800),
    "customer_creation": Choice("always", "if_required"),
    "currency": Text(3),
    "expires_at": Integer(0),
    "payment_intent_data": Group({"setup_future_usage": USAGE, "metadata": Metadata(), "description": Text(1000)}),
    "setup_intent_data": Group({"metadata": Metadata(), "description": Text(1000)}),
    "subscription_data": Group(
        {"metadata": Metadata(), "description": Text(500), "trial_period_days": Integer(1, 730)}
    ),
}
ONLY_IN = {"payment_intent_data": "payment", "subscription_data": "subscription", "setup_intent_data": "setup"}
EXCLUSIVE = (("customer", "customer_email"), ("customer", "customer_creation"))


def check_combination(given: dict[str, Any]) -> None:
    """Refuse parameters that do not go together.

    Raises StripeError naming one of them.
    """
    if "success_url" not in given:
        raise errors.missing_parameter("success_url")
    for one, other in EXCLUSIVE:
        if given.get(one) and given.get(other):
            message = f"You may only specify one of these parameters: {one}, {other}."
            raise errors.invalid(message, param=one)
    mode = given["mode"]
    for name, only in ONLY_IN.items():
        if name in given and mode != only:
            raise errors.invalid(f"You can not pass `{name}` in `{mode}` mode.", param=name)
    if "customer_creation" in given and mode == "subscription":
        raise errors.invalid(
            "`customer_creation` can only be used in `payment` and `setup` mode.", param="customer_creation"
        )
    if mode == "setup" and given.get("line_items"):
        raise errors.invalid("You can not pass `line_items` in `setup` mode.", param="line_items")
    required = "currency" if mode == "setup" else "line_items"
    if not given.get(required):
        raise errors.missing_parameter(required)
