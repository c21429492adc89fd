"""Coupons: a share or an amount off a Checkout total."""

from sandbox.state import JsonObject
from sandbox.stripe import errors, money
from sandbox.stripe.account import Account, new_id
from sandbox.stripe.endpoints import Call, Endpoint, lister, listing, read, reader, write
from sandbox.stripe.schema import Choice, Integer, Metadata, Spec, Text

FIELDS: dict[str, Spec] = {
    "id": Text(),
    "name": Text(40),
    "percent_off": Integer(1, 100),
    "amount_off": Integer(1),
    "currency": Text(3),
    "duration": Choice("once", "forever"),
    "metadata": Metadata(),
}


def create(call: Call) -> JsonObject:
    """A new coupon, by whole percent or by amount."""
    given = call.params
    if ("percent_off" in given) == ("amount_off" in given):
        raise errors.invalid("Exactly one of percent_off and amount_off is needed.", param="percent_off")
    if "amount_off" in given and "currency" not in given:
        raise errors.missing_parameter("currency")
    identity = given.get("id") or new_id("")[:8].upper()
    if call.account.get("coupon", identity):
        raise errors.invalid(f"Coupon already exists: {identity}", param="id", code="resource_already_exists")
    return call.account.add(_coupon(call.account, identity, given))


def _coupon(account: Account, identity: str, given: JsonObject) -> JsonObject:
    return {
        "id": identity,
        "object": "coupon",
        "amount_off": given.get("amount_off"),
        "created": account.now(),
        "currency": money.currency(given["currency"]) if "currency" in given else None,
        "duration": given.get("duration", "once"),
        "duration_in_months": None,
        "livemode": False,
        "max_redemptions": None,
        "metadata": given.get("metadata", {}),
        "name": given.get("name"),
        "percent_off": given.get("percent_off"),
        "redeem_by": None,
        "times_redeemed": 0,
        "valid": True,
    }


def taken_off(coupon: JsonObject, subtotal: int, code: str) -> int:
    """How much the coupon takes off a subtotal, in the same minor unit; never more than there is.

    Raises StripeError when an amount is in another currency.
    """
    if coupon["percent_off"] is not None:
        return int((subtotal * coupon["percent_off"] + 50) // 100)
    if coupon["currency"] != code:
        raise errors.invalid(f"The coupon {coupon['id']} cannot be used with {code}.", param="discounts")
    return min(subtotal, int(coupon["amount_off"]))


ENDPOINTS: list[Endpoint] = [
    write("/v1/coupons", create, FIELDS),
    listing("/v1/coupons", lister("coupon")),
    read("/v1/coupons/{id}", reader("coupon")),
]
