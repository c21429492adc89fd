"""Saved cards and bank accounts."""

import hashlib

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, new_id, null_fields
from sandbox.stripe.cards import METHODS, Behaviour
from sandbox.stripe.endpoints import Call, page_of
from sandbox.stripe.events import emit

EXPIRY_YEAR = 2034


def resolve(account: Account, identity: str) -> JsonObject:
    """The saved method with this id; a test token such as `pm_card_visa` becomes a new method.

    Raises StripeError `resource_missing`.
    """
    if identity in METHODS:
        return make(account, METHODS[identity])
    return account.find("payment_method", identity, "payment_method")


def make(account: Account, test: Behaviour) -> JsonObject:
    """A new, unattached method that behaves as the test token does."""
    kind = "us_bank_account" if test.is_bank else "card"
    address = null_fields("city country line1 line2 postal_code state")
    method = account.add(
        {
            "id": new_id("pm_"),
            "object": "payment_method",
            "allow_redisplay": "unspecified",
            "billing_details": {"address": address, **null_fields("email name phone tax_id")},
            "created": account.now(),
            "customer": None,
            "customer_account": None,
            "livemode": False,
            "metadata": {},
            "radar_options": {},
            "type": kind,
            kind: _details(test),
        }
    )
    account.note(method["id"]).update(token=test.token, is_set_up=False)
    return method


def _details(test: Behaviour) -> JsonObject:
    """The facts of the card or bank account."""
    fingerprint = hashlib.sha256(f"{test.brand}{test.last4}".encode()).hexdigest()[:16]  # equal for equal numbers
    if test.is_bank:
        return {
            "account_holder_type": "individual",
            "account_type": "checking",
            "bank_name": "STRIPE TEST BANK",
            "financial_connections_account": None,
            "fingerprint": fingerprint,
            "last4": test.last4,
            "networks": {"preferred": "ach", "supported": ["ach"]},
            "routing_number": "110000000",
            "status_details": {},
        }
    return {
        "brand": test.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": "US",
        "display_brand": test.brand,
        "exp_month": 12,
        "exp_year": EXPIRY_YEAR,
        "fingerprint": fingerprint,
        "funding": "credit",
        "generated_from": None,
        "last4": test.last4,
        "networks": {"available": [test.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def behaviour(account: Account, method: JsonObject) -> Behaviour:
    """What the method does when charged."""
    return METHODS[account.note(method["id"])["token"]]


def attach(account: Account, method: JsonObject, customer: str) -> None:
    """Save the method on the customer; saving it there again changes nothing.

    Raises StripeError when another customer owns it.
    """
    account.find("customer", customer, "customer")
    refuse_detached(account, method)
    if method["customer"] == customer:
        return
    if method["customer"] is not None:
        raise errors.wrong_state(
            "The payment method you provided has already been attached to a customer.",
            code="payment_method_unexpected_state",
        )
    method["customer"] = customer
    emit(account, "payment_method.attached", method)


def refuse_detached(account: Account, method: JsonObject) -> None:
    """Raises StripeError for a method that was taken off a customer: it can never be used again."""
    if account.note(method["id"]).get("is_detached"):
        raise errors.invalid(
            "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared "
            "with a connected account without Customer attachment, or was detached from a Customer. It may not be used "
            "again. To use a PaymentMethod multiple times, you must attach it to a Customer first.",
            param="payment_method",
        )


def detach(account: Account, method: JsonObject) -> None:
    """Take the method off its customer, who then has no default where it was the default.

    Raises StripeError when it is not attached.
    """
    if method["customer"] is None:
        raise errors.wrong_state(
            "The payment method you provided is not attached to a customer so detachment is impossible."
        )
    owner = account.find("customer", method["customer"])
    if owner["invoice_settings"]["default_payment_method"] == method["id"]:
        owner["invoice_settings"]["default_payment_method"] = None
    method["customer"] = None
    account.note(method["id"])["is_detached"] = True
    emit(account, "payment_method.detached", method, {"customer": owner["id"]})


def attach_call(call: Call) -> JsonObject:
    """Save on a customer."""
    method = resolve(call.account, call.path["id"])
    attach(call.account, method, call.params["customer"])
    return method


def detach_call(call: Call) -> JsonObject:
    """Take off its customer."""
    method = call.account.find("payment_method", call.path["id"])
    detach(call.account, method)
    return method


def list_of_customer(call: Call) -> JsonObject:
    """A customer's methods, newest first."""
    owner, kind = call.account.find("customer", call.path["id"])["id"], call.params.get("type")
    saved = [each for each in call.account.all("payment_method") if each["customer"] == owner]
    return page_of(call, (each for each in saved if kind in {None, each["type"]}))
