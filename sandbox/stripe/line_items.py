"""What a Checkout Session sells."""

from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe import errors, money, prices
from sandbox.stripe.account import Account, new_id
from sandbox.stripe.schema import Group, Integer, Many, Text

MAX_LINES, MAX_RECURRING = 100, 20
LINE_ITEMS = Many(
    Group(
        {"price": Text(), "price_data": Group(prices.FIELDS, prices.REQUIRED), "quantity": Integer(1, 999_999)},
    ),
    most=MAX_LINES,
)


def build_lines(account: Account, given: dict[str, Any]) -> list[JsonObject]:
    """The session's line items, with inline prices made real.

    Raises StripeError for price and price_data together, no quantity, mixed currencies, prices the mode forbids, or a
    total that cannot be charged; nothing to pay is allowed.
    """
    sent = given.get("line_items", [])
    for number, line in enumerate(sent):
        param = f"line_items[{number}]"
        if "price" in line and "price_data" in line:
            message = "You may only specify one of these parameters: price, price_data."
            raise errors.invalid(message, param=f"{param}[price]")
        if "price" not in line and "price_data" not in line:
            raise errors.missing_parameter(f"{param}[price]")
        if "quantity" not in line:
            message = f"Quantity is required. Add `quantity` to `{param}`."
            raise errors.invalid(message, param=f"{param}[quantity]", code="parameter_missing")
    lines = [_line(account, line, f"line_items[{number}]") for number, line in enumerate(sent)]
    if len({line["currency"] for line in lines}) > 1:
        raise errors.invalid("All line items must use the same currency.", param="line_items")
    _check_mode(given["mode"], [line["price"]["recurring"] for line in lines])
    total = sum(line["amount_total"] for line in lines)
    if total > 0:
        money.check_amount(total, lines[0]["currency"], "line_items")
    return lines


def _line(account: Account, line: dict[str, Any], param: str) -> JsonObject:
    if "price" in line:
        price = account.find("price", line["price"], f"{param}[price]")
        if not price["active"]:
            message = "The price specified is inactive. This field only accepts active prices."
            raise errors.invalid(message, param=f"{param}[price]")
    else:
        price = prices.make(account, line["price_data"], f"{param}[price_data][currency]", is_active=False)
    amount = price["unit_amount"] * line["quantity"]
    return {
        "id": new_id("li_"),
        "object": "item",
        "adjustable_quantity": None,
        "amount_discount": 0,
        "amount_subtotal": amount,
        "amount_tax": 0,
        "amount_total": amount,
        "currency": price["currency"],
        "description": account.find("product", price["product"])["name"],
        "discounts": [],
        "metadata": {},
        "price": dict(price),
        "quantity": line["quantity"],
        "taxes": [],
    }


def _check_mode(mode: str, rhythms: list[JsonObject | None]) -> None:
    recurring = [rhythm for rhythm in rhythms if rhythm]
    if mode == "payment" and recurring:
        problem = (
            "You specified `payment` mode but passed a recurring price. Use `subscription` mode or one-time prices."
        )
    elif mode == "subscription" and not recurring:
        problem = "You must provide at least one recurring price in `subscription` mode."
    elif len(recurring) > MAX_RECURRING:
        problem = f"At most {MAX_RECURRING} recurring prices are allowed."
    elif len({(rhythm["interval"], rhythm["interval_count"]) for rhythm in recurring}) > 1:
        problem = "All recurring prices must have the same billing interval."
    else:
        return
    raise errors.invalid(problem, param="line_items")
