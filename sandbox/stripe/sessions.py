"""Checkout Sessions: created by the shop, completed by the buyer on the hosted page, or expired."""

from typing import Any

from sandbox.state import JsonObject
from sandbox.stripe import errors, money, payment_intents
from sandbox.stripe.account import Account, new_id, null_fields
from sandbox.stripe.endpoints import Call, page_of
from sandbox.stripe.events import emit
from sandbox.stripe.line_items import build_lines
from sandbox.stripe.schema import Choice, Spec, Text
from sandbox.stripe.session_fields import check_combination

MIN_SECONDS, MAX_SECONDS = 30 * 60, 24 * 3600
FILTERS: dict[str, Spec] = {
    "customer": Text(),
    "payment_intent": Text(),
    "subscription": Text(),
    "status": Choice("open", "complete", "expired"),
}
NULL = (
    "after_expiration allow_promotion_codes allowed_payment_method_types amount_subtotal amount_total "
    "billing_address_collection client_secret collected_information consent consent_collection currency_conversion "
    "customer_account customer_details excluded_payment_method_types integration_identifier invoice locale "
    "managed_payments origin_context payment_intent payment_link payment_method_configuration_details permissions "
    "recovered_from saved_payment_method_options setup_intent shipping_address_collection shipping_cost submit_type "
    "subscription wallet_options"
)


def create(call: Call) -> JsonObject:
    """A new open session with a page to pay on."""
    account, given = call.account, call.params
    check_combination(given)
    expires_at = given.get("expires_at", account.now() + MAX_SECONDS)
    if not account.now() + MIN_SECONDS <= expires_at <= account.now() + MAX_SECONDS:
        message = "The `expires_at` timestamp must be between 30 minutes and 24 hours from Checkout Session creation."
        raise errors.invalid(message, param="expires_at")
    if "customer" in given:
        account.find("customer", given["customer"], "customer")
    currency = money.currency(given["currency"]) if "currency" in given else None
    lines = build_lines(account, given)
    session = account.add(_new_session(account, given, expires_at))
    session["currency"] = currency
    if lines:
        total = sum(line["amount_total"] for line in lines)
        session.update(currency=lines[0]["currency"], amount_subtotal=total, amount_total=total)
    data = ("payment_intent_data", "subscription_data", "setup_intent_data")
    account.note(session["id"]).update(line_items=lines, **{name: given.get(name, {}) for name in data})
    return session


def _new_session(account: Account, given: dict[str, Any], expires_at: int) -> JsonObject:
    identity, mode = new_id("cs_test_"), given["mode"]
    invoice_data = null_fields("account_tax_ids custom_fields description footer issuer rendering_options")
    makes_customer = "customer" not in given and mode != "subscription"
    return {
        **null_fields(NULL),
        "id": identity,
        "object": "checkout.session",
        "adaptive_pricing": {"enabled": False},
        "automatic_tax": {"enabled": False, **null_fields("liability provider status")},
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "created": account.now(),
        "custom_fields": [],
        "custom_text": null_fields("after_submit shipping_address submit terms_of_service_acceptance"),
        "customer": given.get("customer"),
        "customer_creation": given.get("customer_creation", "if_required") if makes_customer else None,
        "customer_email": given.get("customer_email"),
        "discounts": [],
        "expires_at": expires_at,
        "invoice_creation": (
            {"enabled": False, "invoice_data": {**invoice_data, "metadata": {}}} if mode == "payment" else None
        ),
        "livemode": False,
        "metadata": given.get("metadata", {}),
        "mode": mode,
        "payment_method_collection": "always" if mode == "subscription" else "if_required",
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "payment_status": "no_payment_required" if mode == "setup" else "unpaid",
        "phone_number_collection": {"enabled": False},
        "shipping_options": [],
        "status": "open",
        "success_url": given["success_url"],
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        "ui_mode": "hosted_page",
        "url": f"{account.base_url}/c/pay/{identity}",
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
    if intent is not None and intent["status"] in payment_intents.UNSETTLED:
        payment_intents.cancel(account, intent, "abandoned")
    session.update(status="expired", url=None)
    emit(account, "checkout.session.expired", session)


def list_line_items(call: Call) -> JsonObject:
    """What the session sells."""
    session = call.account.find("checkout.session", call.path["id"])
    return page_of(call, call.account.note(session["id"])["line_items"])
