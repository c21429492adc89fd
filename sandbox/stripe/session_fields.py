"""The parameters of a Checkout Session and which of them exclude each other."""

from typing import Any

from sandbox.stripe import errors, money
from sandbox.stripe.account import Account
from sandbox.stripe.line_items import LINE_ITEMS
from sandbox.stripe.payment_intents import KINDS, USAGE
from sandbox.stripe.schema import Choice, Flag, Group, Integer, Loose, Many, Metadata, Spec, Text, Url

ENABLED = Group({"enabled": Flag()}, ("enabled",))
SHORTEST_TRIAL = 48 * 3600
CREATING: dict[str, Spec] = {
    "mode": Choice("payment", "subscription", "setup"),
    "ui_mode": Choice("hosted_page"),
    "line_items": LINE_ITEMS,
    "success_url": Url(),
    "cancel_url": Url(),
    "client_reference_id": Text(200),
    "metadata": Metadata(),
    "customer": Text(),
    "customer_email": Text(800),
    "customer_creation": Choice("always", "if_required"),
    "customer_update": Group({name: Choice("auto", "never") for name in ("address", "name", "shipping")}),
    "currency": Text(3),
    "expires_at": Integer(0),
    "allow_promotion_codes": Flag(),
    "discounts": Many(Group({"coupon": Text()}, ("coupon",)), most=1),
    "automatic_tax": ENABLED,
    "adaptive_pricing": ENABLED,
    "billing_address_collection": Choice("auto", "required"),
    "invoice_creation": Group({"enabled": Flag(), "invoice_data": Loose()}, ("enabled",)),
    "phone_number_collection": ENABLED,
    "tax_id_collection": ENABLED,
    "locale": Text(10),
    "submit_type": Choice("auto", "book", "donate", "pay", "subscribe"),
    "allowed_payment_method_types": KINDS,
    "excluded_payment_method_types": KINDS,
    "payment_intent_data": Group(
        {
            "setup_future_usage": USAGE,
            "metadata": Metadata(),
            "description": Text(1000),
            "receipt_email": Text(512),
            "statement_descriptor": Text(22),
            "statement_descriptor_suffix": Text(22),
            "capture_method": Choice("automatic", "automatic_async", "manual"),
        }
    ),
    "setup_intent_data": Group({"metadata": Metadata(), "description": Text(1000)}),
    "subscription_data": Group(
        {
            "metadata": Metadata(),
            "description": Text(500),
            "trial_period_days": Integer(1, 730),
            "trial_end": Integer(0),
        }
    ),
}
ONLY_IN = {
    "payment_intent_data": "payment",
    "invoice_creation": "payment",
    "submit_type": "payment",
    "subscription_data": "subscription",
    "setup_intent_data": "setup",
}
EXCLUSIVE = (
    ("customer", "customer_email"),
    ("customer", "customer_creation"),
    ("allow_promotion_codes", "discounts"),
    ("allowed_payment_method_types", "excluded_payment_method_types"),
)


def check_combination(account: Account, given: dict[str, Any]) -> None:
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
    if "customer_update" in given and "customer" not in given:
        raise errors.invalid("`customer_update` can only be used with `customer`.", param="customer_update")
    if "currency" in given:
        given["currency"] = money.currency(given["currency"])
    if "customer_creation" in given and mode == "subscription":
        raise errors.invalid(
            "`customer_creation` can only be used in `payment` and `setup` mode.", param="customer_creation"
        )
    _check_lines(given, mode)
    _check_trial(account, given.get("subscription_data", {}))


def _check_lines(given: dict[str, Any], mode: str) -> None:
    if mode != "setup" and not given.get("line_items"):
        raise errors.missing_parameter("line_items")
    if mode != "setup":
        return
    if given.get("line_items"):
        raise errors.invalid("You can not pass `line_items` in `setup` mode.", param="line_items")
    if "currency" not in given and "allowed_payment_method_types" not in given:
        raise errors.missing_parameter("currency")


def _check_trial(account: Account, subscription: dict[str, Any]) -> None:
    if "trial_end" not in subscription:
        return
    if "trial_period_days" in subscription:
        message = "You may only specify one of these parameters: trial_end, trial_period_days."
        raise errors.invalid(message, param="subscription_data[trial_end]")
    if subscription["trial_end"] < account.now() + SHORTEST_TRIAL:
        message = "The `trial_end` date has to be at least 2 days in the future."
        raise errors.invalid(message, param="subscription_data[trial_end]")
