"""What a Checkout Session sells."""

from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe import errors, money
from sandbox.stripe.account import Account, new_id
from sandbox.stripe.products import PRICE_DATA, make_price
from sandbox.stripe.schema import Flag, Group, Integer, Many, Metadata, Text

MOST_LINES, MOST_RECURRING = 100, 20
LINE_ITEMS = Many(
    Group(
        {
            "price": Text(),
            "price_data": Group(PRICE_DATA, ("currency",)),
            "quantity": Integer(1, 999_999),
            "adjustable_quantity": Group({"enabled": Flag()}, ("enabled",)),
            "metadata": Metadata(),
        }
    ),
    most=MOST_LINES,
)


def build_lines(account: Account, given: dict[str, Any]) -> list[JsonObject]:
    """The session's line items, with inline prices made real.

    Raises StripeError for price and price_data together, no quantity, mixed currencies, or prices the mode forbids.
    """
    sent = given.get("line_items", [])
    for number, line in enumerate(sent):
        _check_shape(line, f"line_items[{number}]")
    lines = [_line(account, line, f"line_items[{number}]") for number, line in enumerate(sent)]
    if len({line["currency"] for line in lines}) > 1:
        raise errors.invalid("All line items must use the same currency.", param="line_items")
    _check_mode(given["mode"], lines)
    return lines


def _check_shape(line: dict[str, Any], param: str) -> None:
    if ("price" in line) == ("price_data" in line):
        if "price" in line:
            message = "You may only specify one of these parameters: price, price_data."
            raise errors.invalid(message, param=f"{param}[price]")
        raise errors.missing_parameter(f"{param}[price]")
    if "quantity" not in line:
        raise errors.invalid(
            f"Quantity is required. Add `quantity` to `{param}`.", param=f"{param}[quantity]", code="parameter_missing"
        )


def _line(account: Account, line: dict[str, Any], param: str) -> JsonObject:
    if "price" in line:
        price = account.find("price", line["price"], f"{param}[price]")
        if not price["active"]:
            message = "The price specified is inactive. This field only accepts active prices."
            raise errors.invalid(message, param=f"{param}[price]")
    else:
        price = make_price(account, {**line["price_data"], "active": False}, f"{param}[price_data]")
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
        "metadata": line.get("metadata", {}),
        "price": dict(price),
        "quantity": line["quantity"],
        "taxes": [],
    }


def _check_mode(mode: str, lines: list[JsonObject]) -> None:
    recurring = [line for line in lines if line["price"]["recurring"]]
    if mode == "payment" and recurring:
        message = (
            "You specified `payment` mode but passed a recurring price. Use `subscription` mode or one-time prices."
        )
        raise errors.invalid(message, param="line_items")
    if mode == "subscription" and not recurring:
        raise errors.invalid(
            "You must provide at least one recurring price in `subscription` mode.", param="line_items"
        )
    if len(recurring) > MOST_RECURRING:
        raise errors.invalid(f"At most {MOST_RECURRING} recurring prices are allowed.", param="line_items")
    rhythms = {
        (line["price"]["recurring"]["interval"], line["price"]["recurring"]["interval_count"]) for line in recurring
    }
    if len(rhythms) > 1:
        raise errors.invalid("All recurring prices must have the same billing interval.", param="line_items")


def check_total(given: dict[str, Any], lines: list[JsonObject], off: int) -> None:
    """Refuse totals Stripe cannot charge; nothing to pay is allowed.

    Raises StripeError `amount_too_small` or `amount_too_large`.
    """
    total = sum(line["amount_total"] for line in lines) - off
    if total > 0:
        money.check_amount(total, lines[0]["currency"], "line_items")
