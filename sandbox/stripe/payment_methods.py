"""Saved cards and bank accounts."""

import hashlib

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, merge_metadata, new_id
from sandbox.stripe.cards import METHODS, Behaviour
from sandbox.stripe.endpoints import Call, Endpoint, listing, page_of, read, reader, write
from sandbox.stripe.events import emit
from sandbox.stripe.schema import Choice, Loose, Metadata, Text

EXPIRY_YEAR = 2034


def resolve(account: Account, identity: str, param: str = "payment_method") -> JsonObject:
    """The saved method with this id; a test token such as `pm_card_visa` becomes a new method.

    Raises StripeError `resource_missing`.
    """
    if identity in METHODS:
        return make(account, METHODS[identity])
    return account.find("payment_method", identity, param)


def make(account: Account, test: Behaviour) -> JsonObject:
    """A new, unattached method that behaves as the test token does."""
    kind = "us_bank_account" if test.is_bank else "card"
    method = account.add(
        {
            "id": new_id("pm_"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": no_billing_details(),
            "created": account.now(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": {},
            "radar_options": {},
            "type": kind,
            kind: _bank(test) if test.is_bank else _card(test),
        }
    )
    account.note(method["id"]).update(token=test.token, is_set_up=False)
    return method


def behaviour(account: Account, method: JsonObject) -> Behaviour:
    """What the method does when charged."""
    return METHODS[account.note(method["id"])["token"]]


def attach(account: Account, method: JsonObject, customer: str, *, param: str = "customer") -> None:
    """Save the method on the customer; saving it there again changes nothing.

    Raises StripeError when another customer owns it.
    """
    account.find("customer", customer, param)
    if method["customer"] == customer:
        return
    if method["customer"] is not None:
        raise errors.wrong_state(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    method["customer"] = customer
    emit(account, "payment_method.attached", method)


def no_billing_details() -> JsonObject:
    """Billing details nobody filled in."""
    address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {"address": address, "email": None, "name": None, "phone": None, "tax_id": None}


def fingerprint(test: Behaviour) -> str:
    """The same for equal numbers, as outside."""
    return hashlib.sha256(f"{test.brand}{test.last4}".encode()).hexdigest()[:16]


def _card(test: Behaviour) -> JsonObject:
    return {
        "brand": test.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": test.brand,
        "exp_month": 12,
        "exp_year": EXPIRY_YEAR,
        "fingerprint": fingerprint(test),
        "funding": "credit",
        "generated_from": None,
        "last4": test.last4,
        "networks": {"available": [test.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _bank(test: Behaviour) -> JsonObject:
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": fingerprint(test),
        "last4": test.last4,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": "110000000",
        "status_details": {},
    }


def attach_call(call: Call) -> JsonObject:
    """Save on a customer."""
    method = resolve(call.account, call.path["id"], "payment_method")
    attach(call.account, method, call.params["customer"])
    return method


def detach_call(call: Call) -> JsonObject:
    """Take off its customer, for good."""
    method = call.account.find("payment_method", call.path["id"])
    if method["customer"] is None:
        raise errors.wrong_state(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    before = {"customer": method["customer"]}
    owner = call.account.find("customer", method["customer"])
    if owner["invoice_settings"]["default_payment_method"] == method["id"]:
        owner["invoice_settings"]["default_payment_method"] = None
    method["customer"] = None
    emit(call.account, "payment_method.detached", method, before)
    return method


def update_call(call: Call) -> JsonObject:
    """Change metadata, billing details or redisplay."""
    method = call.account.find("payment_method", call.path["id"])
    merge_metadata(method, call.params.get("metadata"))
    method["billing_details"] |= call.params.get("billing_details", {})
    method["allow_redisplay"] = call.params.get("allow_redisplay", method["allow_redisplay"])
    emit(call.account, "payment_method.updated", method, {})
    return method


def list_call(call: Call) -> JsonObject:
    """A customer's methods, newest first; the customer is in the path or a filter."""
    owner = call.path.get("id") or call.params.get("customer")
    if owner is None:
        raise errors.missing_parameter("customer")
    call.account.find("customer", owner, None if "id" in call.path else "customer")
    kind = call.params.get("type")
    return page_of(
        call,
        (
            each
            for each in call.account.all("payment_method")
            if each["customer"] == owner and kind in {None, each["type"]}
        ),
    )


def read_of_customer(call: Call) -> JsonObject:
    """One method, if it belongs to the customer in the path."""
    method = call.account.find("payment_method", call.path["method"])
    if method["customer"] != call.path["id"]:
        raise errors.missing_resource("PaymentMethod", method["id"], None)
    return method


KIND = Choice("card", "us_bank_account")
REDISPLAY = Choice("always", "limited", "unspecified")
ENDPOINTS: list[Endpoint] = [
    read("/v1/payment_methods/{id}", reader("payment_method")),
    listing("/v1/payment_methods", list_call, customer=Text(), type=KIND),
    listing("/v1/customers/{id}/payment_methods", list_call, type=KIND, allow_redisplay=REDISPLAY),
    read("/v1/customers/{id}/payment_methods/{method}", read_of_customer),
    write("/v1/payment_methods/{id}/attach", attach_call, {"customer": Text()}, "customer"),
    write("/v1/payment_methods/{id}/detach", detach_call, {}),
    write(
        "/v1/payment_methods/{id}",
        update_call,
        {"metadata": Metadata(), "billing_details": Loose(), "allow_redisplay": REDISPLAY},
    ),
]
