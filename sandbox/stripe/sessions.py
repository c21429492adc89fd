"""Checkout Sessions: created by the shop, completed by the buyer on the hosted page, or expired."""

import copy
from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe import errors
from sandbox.stripe.account import Account, merge_metadata, new_id
from sandbox.stripe.coupons import taken_off
from sandbox.stripe.customers import living
from sandbox.stripe.endpoints import Call, Endpoint, listing, page_of, read, reader, write
from sandbox.stripe.events import emit
from sandbox.stripe.line_items import build_lines, check_total
from sandbox.stripe.payment_intents import UNSETTLED, give_up
from sandbox.stripe.schema import Choice, Group, Instants, Metadata, Text
from sandbox.stripe.session_fields import CREATING, check_combination

SHORTEST, LONGEST = 30 * 60, 24 * 3600


def create(call: Call) -> JsonObject:
    """A new open session with a page to pay on."""
    given = call.params
    account = call.account
    check_combination(account, given)
    expires_at = _expiry(account, given)
    if "customer" in given:
        living(account, given["customer"])
    lines = build_lines(account, given)
    currency = lines[0]["currency"] if lines else given.get("currency")
    off = _discount(account, given, lines)
    check_total(given, lines, off)
    session = account.add(_session(account, given, expires_at, currency))
    _set_totals(session, lines, off)
    account.note(session["id"]).update(
        line_items=lines,
        payment_intent_data=given.get("payment_intent_data", {}),
        subscription_data=given.get("subscription_data", {}),
        setup_intent_data=given.get("setup_intent_data", {}),
        off=off,
    )
    return session


def _expiry(account: Account, given: dict[str, Any]) -> int:
    expires_at = int(given.get("expires_at", account.now() + LONGEST))
    if not account.now() + SHORTEST <= expires_at <= account.now() + LONGEST:
        message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise errors.invalid(message, param="expires_at")
    return expires_at


def _discount(account: Account, given: dict[str, Any], lines: list[JsonObject]) -> int:
    subtotal = sum(line["amount_subtotal"] for line in lines)
    off = 0
    for number, discount in enumerate(given.get("discounts", [])):
        coupon = account.find("coupon", discount["coupon"], f"discounts[{number}][coupon]")
        off += taken_off(coupon, subtotal, lines[0]["currency"])
    return min(off, int(subtotal))


def _set_totals(session: JsonObject, lines: list[JsonObject], off: int) -> None:
    if not lines:
        return
    subtotal = sum(line["amount_subtotal"] for line in lines)
    session.update(amount_subtotal=subtotal, amount_total=subtotal - off)
    session["total_details"] = {"amount_discount": off, "amount_shipping": 0, "amount_tax": 0}


FIXED: JsonObject = {
    "after_expiration": None,
    "amount_subtotal": None,
    "amount_total": None,
    "client_secret": None,
    "collected_information": None,
    "consent": None,
    "consent_collection": None,
    "currency_conversion": None,
    "custom_fields": [],
    "custom_text": {
        "after_submit": None,
        "shipping_address": None,
        "submit": None,
        "terms_of_service_acceptance": None,
    },
    "customer_account": None,
    "customer_details": None,
    "integration_identifier": None,
    "invoice": None,
    "livemode": False,
    "managed_payments": None,
    "origin_context": None,
    "payment_intent": None,
    "payment_link": None,
    "payment_method_configuration_details": None,
    "payment_method_options": {},
    "payment_method_types": ["card"],
    "permissions": None,
    "recovered_from": None,
    "saved_payment_method_options": None,
    "setup_intent": None,
    "shipping_address_collection": None,
    "shipping_cost": None,
    "shipping_options": [],
    "status": "open",
    "subscription": None,
    "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    "ui_mode": "hosted_page",
    "wallet_options": None,
}
"""What every new session starts with."""


def _session(account: Account, given: dict[str, Any], expires_at: int, currency: str | None) -> JsonObject:
    identity = new_id("cs_test_")
    mode = given["mode"]
    tax = given.get("automatic_tax", {}).get("enabled", False)
    return {
        **copy.deepcopy(FIXED),
        "id": identity,
        "object": "checkout.session",
        "adaptive_pricing": given.get("adaptive_pricing", {"enabled": False}),
        "allow_promotion_codes": given.get("allow_promotion_codes"),
        "allowed_payment_method_types": given.get("allowed_payment_method_types"),
        "automatic_tax": {
            "enabled": tax,
            "liability": {"type": "self"} if tax else None,
            "provider": "stripe" if tax else None,
            "status": "complete" if tax else None,
        },
        "billing_address_collection": given.get("billing_address_collection"),
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "created": account.now(),
        "currency": currency,
        "customer": given.get("customer"),
        "customer_creation": _customer_creation(given),
        "customer_email": given.get("customer_email"),
        "discounts": [{"coupon": each["coupon"], "promotion_code": None} for each in given.get("discounts", [])],
        "excluded_payment_method_types": given.get("excluded_payment_method_types"),
        "expires_at": expires_at,
        "invoice_creation": _invoice_creation(given) if mode == "payment" else None,
        "locale": given.get("locale"),
        "metadata": given.get("metadata", {}),
        "mode": mode,
        "payment_method_collection": "always" if mode == "subscription" else "if_required",
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "phone_number_collection": {"enabled": given.get("phone_number_collection", {}).get("enabled", False)},
        "submit_type": given.get("submit_type"),
        "success_url": given["success_url"],
        "url": f"{account.base_url}/c/pay/{identity}",
    }


def _customer_creation(given: dict[str, Any]) -> str | None:
    if "customer" in given or given["mode"] == "subscription":
        return None
    return str(given.get("customer_creation", "if_required"))


def _invoice_creation(given: dict[str, Any]) -> JsonObject:
    data = dict.fromkeys(("account_tax_ids", "custom_fields", "description", "footer", "issuer", "rendering_options"))
    return {
        "enabled": given.get("invoice_creation", {}).get("enabled", False),
        "invoice_data": {**data, "metadata": {}},
    }


def expire_call(call: Call) -> JsonObject:
    """Close an open session before its time."""
    session = call.account.find("checkout.session", call.path["id"])
    if session["status"] != "open":
        raise errors.wrong_state(
            'Only Checkout Sessions with a status in ["open"] can be expired. '
            f"This Checkout Session has a status of {session['status']}."
        )
    expire(call.account, session)
    return session


def expire(account: Account, session: JsonObject) -> None:
    """Close the session; an intent left by refused attempts is canceled."""
    intent = account.get("payment_intent", account.note(session["id"]).get("intent"))
    if intent is not None and intent["status"] in UNSETTLED:
        give_up(account, intent, "abandoned")
    session.update(status="expired", url=None)
    emit(account, "checkout.session.expired", session)


def expire_due(account: Account) -> None:
    """Close every open session whose time is over."""
    for session in list(account.tables.get("checkout.session", {}).values()):
        if session["status"] == "open" and session["expires_at"] <= account.now():
            expire(account, session)


def update(call: Call) -> JsonObject:
    """Change metadata."""
    session = call.account.find("checkout.session", call.path["id"])
    merge_metadata(session, call.params.get("metadata"))
    return session


def list_sessions(call: Call) -> JsonObject:
    """Sessions, newest first; there is no filter by reference or metadata."""
    wanted = {
        name: call.params[name]
        for name in ("customer", "payment_intent", "subscription", "status")
        if name in call.params
    }
    email = call.params.get("customer_details", {}).get("email")
    return page_of(
        call,
        (
            session
            for session in call.account.all("checkout.session")
            if all(session[name] == value for name, value in wanted.items())
            and (email is None or (session["customer_details"] or {}).get("email") == email)
        ),
    )


def list_line_items(call: Call) -> JsonObject:
    """What the session sells."""
    session = call.account.find("checkout.session", call.path["id"])
    return page_of(call, call.account.note(session["id"])["line_items"])


ENDPOINTS: list[Endpoint] = [
    write("/v1/checkout/sessions", create, CREATING, "mode"),
    listing(
        "/v1/checkout/sessions",
        list_sessions,
        customer=Text(),
        payment_intent=Text(),
        subscription=Text(),
        status=Choice("open", "complete", "expired"),
        created=Instants(),
        customer_details=Group({"email": Text()}, ("email",)),
    ),
    read("/v1/checkout/sessions/{id}", reader("checkout.session")),
    write("/v1/checkout/sessions/{id}", update, {"metadata": Metadata()}),
    write("/v1/checkout/sessions/{id}/expire", expire_call, {}),
    listing("/v1/checkout/sessions/{id}/line_items", list_line_items),
]
