"""Products and prices."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe import errors, money
from sandbox.stripe.account import Account, changed_fields, merge_metadata, new_id
from sandbox.stripe.endpoints import Call, Endpoint, lister, listing, read, reader, write
from sandbox.stripe.events import emit
from sandbox.stripe.schema import (
    Choice,
    Clearable,
    Decimal,
    Flag,
    Group,
    Instants,
    Integer,
    Many,
    Metadata,
    Spec,
    Text,
)

PRODUCT_DATA: dict[str, Spec] = {
    "name": Text(),
    "description": Clearable(Text()),
    "images": Many(Text(), most=8),
    "metadata": Metadata(),
    "tax_code": Text(),
    "unit_label": Text(),
}
PRODUCT_FIELDS: dict[str, Spec] = {**PRODUCT_DATA, "active": Flag(), "statement_descriptor": Text(22), "url": Text()}
RECURRING = Group(
    {
        "interval": Choice("day", "week", "month", "year"),
        "interval_count": Integer(1, 1095),
        "usage_type": Choice("licensed"),
    },
    ("interval",),
)
TAX_BEHAVIOR = Choice("inclusive", "exclusive", "unspecified")
PRICE_DATA: dict[str, Spec] = {
    "currency": Text(3),
    "unit_amount": Integer(0),
    "unit_amount_decimal": Decimal(),
    "product": Text(),
    "product_data": Group(PRODUCT_DATA, ("name",)),
    "recurring": RECURRING,
    "tax_behavior": TAX_BEHAVIOR,
}
PRICE_FIELDS: dict[str, Spec] = {
    **PRICE_DATA,
    "active": Flag(),
    "nickname": Clearable(Text()),
    "metadata": Metadata(),
    "lookup_key": Text(200),
}


def make_product(account: Account, given: JsonObject) -> JsonObject:
    """A new product from its parameters."""
    product = account.add(
        {
            "id": new_id("prod_"),
            "object": "product",
            "active": given.get("active", True),
            "created": account.now(),
            "default_price": None,
            "description": given.get("description"),
            "images": given.get("images", []),
            "livemode": False,
            "marketing_features": [],
            "metadata": given.get("metadata", {}),
            "name": given["name"],
            "package_dimensions": None,
            "shippable": None,
            "statement_descriptor": given.get("statement_descriptor"),
            "tax_code": given.get("tax_code"),
            "tax_details": None,
            "type": "service",
            "unit_label": given.get("unit_label"),
            "updated": account.now(),
            "url": given.get("url"),
        }
    )
    emit(account, "product.created", product)
    return product


def make_price(account: Account, given: JsonObject, param: str = "") -> JsonObject:
    """A new price, and its product when `product_data` describes one; `param` prefixes names in errors.

    Raises StripeError for a missing or doubled amount or product, or an unknown currency.
    """
    code = money.currency(given["currency"], _named(param, "currency"))
    unit_amount = _unit_amount(given, param)
    product = _product_of(account, given, param)
    price = account.add(_price(account, given, code, unit_amount, product))
    emit(account, "price.created", price)
    return price


def _price(account: Account, given: JsonObject, code: str, unit_amount: int, product: JsonObject) -> JsonObject:
    recurring = given.get("recurring")
    return {
        "id": new_id("price_"),
        "object": "price",
        "active": given.get("active", True),
        "billing_scheme": "per_unit",
        "created": account.now(),
        "currency": code,
        "custom_unit_amount": None,
        "livemode": False,
        "lookup_key": given.get("lookup_key"),
        "metadata": given.get("metadata", {}),
        "nickname": given.get("nickname"),
        "product": product["id"],
        "recurring": None if recurring is None else _recurring(recurring),
        "tax_behavior": given.get("tax_behavior", "unspecified"),
        "tiers_mode": None,
        "transform_quantity": None,
        "type": "one_time" if recurring is None else "recurring",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }


def _recurring(given: JsonObject) -> JsonObject:
    return {
        "interval": given["interval"],
        "interval_count": given.get("interval_count", 1),
        "meter": None,
        "trial_period_days": None,
        "usage_type": "licensed",
    }


def _unit_amount(given: JsonObject, param: str) -> int:
    whole, exact = given.get("unit_amount"), given.get("unit_amount_decimal")
    if (whole is None) == (exact is None):
        if whole is None:
            raise errors.missing_parameter(_named(param, "unit_amount"))
        message = "You may only specify one of these parameters: unit_amount, unit_amount_decimal."
        raise errors.invalid(message, param=_named(param, "unit_amount_decimal"))
    if whole is not None:
        return int(whole)
    number, _, rest = str(exact).partition(".")
    if rest.strip("0") or number.startswith("-"):
        message = "This stand-in charges whole, positive minor units only."
        raise errors.invalid(message, param=_named(param, "unit_amount_decimal"))
    return int(number)


def _product_of(account: Account, given: JsonObject, param: str) -> JsonObject:
    if ("product" in given) == ("product_data" in given):
        if "product" in given:
            message = "You may only specify one of these parameters: product, product_data."
            raise errors.invalid(message, param=_named(param, "product_data"))
        raise errors.missing_parameter(_named(param, "product"))
    if "product" in given:
        return account.find("product", given["product"], _named(param, "product"))
    return make_product(account, given["product_data"])


def _named(param: str, name: str) -> str:
    return f"{param}[{name}]" if param else name


def create_product(call: Call) -> JsonObject:
    """A new product."""
    return make_product(call.account, call.params)


def update_product(call: Call) -> JsonObject:
    """Change a product."""
    product = call.account.find("product", call.path["id"])
    before = copy.deepcopy(product)
    for name in (*PRODUCT_FIELDS, "default_price"):
        if name in call.params and name != "metadata":
            product[name] = call.params[name]
    merge_metadata(product, call.params.get("metadata"))
    product["updated"] = call.account.now()
    emit(call.account, "product.updated", product, changed_fields(before, product))
    return product


def create_price(call: Call) -> JsonObject:
    """A new price."""
    return make_price(call.account, call.params)


def update_price(call: Call) -> JsonObject:
    """Change what may change on a price: never its amount."""
    price = call.account.find("price", call.path["id"])
    before = copy.deepcopy(price)
    for name in ("active", "nickname", "lookup_key", "tax_behavior"):
        if name in call.params:
            price[name] = call.params[name]
    merge_metadata(price, call.params.get("metadata"))
    emit(call.account, "price.updated", price, changed_fields(before, price))
    return price


CHANGEABLE_PRICE: dict[str, Spec] = {
    name: PRICE_FIELDS[name] for name in ("active", "nickname", "metadata", "lookup_key", "tax_behavior")
}
ENDPOINTS: list[Endpoint] = [
    write("/v1/products", create_product, PRODUCT_FIELDS, "name"),
    listing("/v1/products", lister("product", "active"), active=Flag(), created=Instants()),
    read("/v1/products/{id}", reader("product")),
    write("/v1/products/{id}", update_product, {**PRODUCT_FIELDS, "default_price": Text()}),
    write("/v1/prices", create_price, PRICE_FIELDS, "currency"),
    listing(
        "/v1/prices",
        lister("price", "active", "product", "currency", "type"),
        active=Flag(),
        product=Text(),
        currency=Text(3),
        type=Choice("one_time", "recurring"),
        created=Instants(),
    ),
    read("/v1/prices/{id}", reader("price")),
    write("/v1/prices/{id}", update_price, CHANGEABLE_PRICE),
]
