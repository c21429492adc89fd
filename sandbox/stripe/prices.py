"""Prices, each with a product of its own."""

from sandbox.state import JsonObject
from sandbox.stripe import money
from sandbox.stripe.account import Account, new_id, null_fields
from sandbox.stripe.endpoints import Call
from sandbox.stripe.events import emit
from sandbox.stripe.schema import Choice, Group, Integer, Metadata, Spec, Text

FIELDS: dict[str, Spec] = {
    "currency": Text(3),
    "unit_amount": Integer(0),
    "product_data": Group({"name": Text(), "description": Text(), "metadata": Metadata()}, ("name",)),
    "recurring": Group(
        {"interval": Choice("day", "week", "month", "year"), "interval_count": Integer(1, 1095)}, ("interval",)
    ),
}
REQUIRED = ("currency", "unit_amount", "product_data")


def make(account: Account, given: JsonObject, param: str = "currency", *, is_active: bool = True) -> JsonObject:
    """A new price and its product; `param` names the currency in errors.

    Raises StripeError for an unknown currency.
    """
    code = money.currency(given["currency"], param)
    product = _make_product(account, given["product_data"])
    recurring = given.get("recurring")
    rhythm = {"interval_count": 1, "meter": None, "trial_period_days": None, "usage_type": "licensed"}
    price = account.add(
        {
            **null_fields("custom_unit_amount lookup_key nickname tiers_mode transform_quantity"),
            "id": new_id("price_"),
            "object": "price",
            "active": is_active,
            "billing_scheme": "per_unit",
            "created": account.now(),
            "currency": code,
            "livemode": False,
            "metadata": {},
            "product": product["id"],
            "recurring": rhythm | recurring if recurring else None,
            "tax_behavior": "unspecified",
            "type": "recurring" if recurring else "one_time",
            "unit_amount": given["unit_amount"],
            "unit_amount_decimal": str(given["unit_amount"]),
        }
    )
    emit(account, "price.created", price)
    return price


def _make_product(account: Account, given: JsonObject) -> JsonObject:
    product = account.add(
        {
            **null_fields("default_price package_dimensions shippable statement_descriptor tax_code tax_details"),
            **null_fields("unit_label url"),
            "id": new_id("prod_"),
            "object": "product",
            "active": True,
            "created": account.now(),
            "description": given.get("description"),
            "images": [],
            "livemode": False,
            "marketing_features": [],
            "metadata": given.get("metadata", {}),
            "name": given["name"],
            "type": "service",
            "updated": account.now(),
        }
    )
    emit(account, "product.created", product)
    return product


def create(call: Call) -> JsonObject:
    """A new price."""
    return make(call.account, call.params)
