"""Confirming a PaymentIntent: what the bank says, and what follows at once or later."""

from enum import StrEnum

from sandbox.state import JsonObject
from sandbox.stripe import charges, errors
from sandbox.stripe.account import Account, new_id
from sandbox.stripe.cards import ACCOUNT_CLOSED, Behaviour, Decline
from sandbox.stripe.disputes import open_dispute
from sandbox.stripe.events import emit
from sandbox.stripe.payment_methods import attach, behaviour

AUTHENTICATION = Decline(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)
FAILED_AUTHENTICATION = Decline(
    "payment_intent_authentication_failure",
    None,
    "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
)


class Buyer(StrEnum):
    """Where the buyer is while we charge."""

    ABSENT = "absent"
    PRESENT = "present"
    AUTHENTICATED = "authenticated"


def confirm(account: Account, intent: JsonObject, method: JsonObject, buyer: Buyer) -> None:
    """Charge the intent with the method; it ends succeeded, processing, requires_action or requires_capture.

    Raises StripeError 402 when refused; the intent is then `requires_payment_method` and carries the reason.
    """
    test = behaviour(account, method)
    intent.update(payment_method=method["id"], next_action=None, last_payment_error=None)
    if _needs_buyer(account, method, test) and buyer is not Buyer.AUTHENTICATED:
        _ask_for_buyer(account, intent, method, buyer)
        return
    decline = test.later if buyer is Buyer.ABSENT else test.now
    if decline is not None:
        raise refuse(account, intent, method, decline)
    _save_method(account, intent, method)
    charge = charges.make(account, intent, method)
    intent["latest_charge"] = charge["id"]
    if test.is_bank:
        _wait_for_bank(account, intent, charge)
    else:
        settle(account, intent)


def refuse(account: Account, intent: JsonObject, method: JsonObject, decline: Decline) -> errors.StripeError:
    """Record a refused attempt and return the 402 for it."""
    charge = charges.make(account, intent, method)
    intent["latest_charge"] = charge["id"]
    _record_failure(account, intent, charge, method, decline)
    return errors.card(
        decline.message,
        code=decline.code,
        decline_code=decline.decline_code,
        charge=charge["id"],
        advice_code=decline.advice_code,
        payment_intent=dict(intent),
        payment_method=dict(method),
    )


def settle(account: Account, intent: JsonObject) -> None:
    """The bank agreed: take the money, or hold it when capture is manual."""
    charge = account.find("charge", intent["latest_charge"])
    charges.approve(charge)
    intent.update(processing=None, next_action=None)
    if intent["capture_method"] == "manual":
        intent.update(status="requires_capture", amount_capturable=intent["amount"])
        emit(account, "charge.succeeded", charge)
        emit(account, "payment_intent.amount_capturable_updated", intent)
        return
    charges.capture(account, charge, charge["amount"])
    intent.update(status="succeeded", amount_received=intent["amount"])
    emit(account, "charge.succeeded", charge)
    emit(account, "payment_intent.succeeded", intent)
    emit(account, "charge.updated", charge, {"balance_transaction": None})
    if _test_of(account, intent).has_dispute:
        open_dispute(account, charge, "fraudulent")


def bounce(account: Account, intent: JsonObject, decline: Decline | None = None) -> None:
    """A bank debit came back: the intent wants another method."""
    test = _test_of(account, intent)
    reason = decline or (test.clears if isinstance(test.clears, Decline) else ACCOUNT_CLOSED)
    charge = account.find("charge", intent["latest_charge"])
    method = account.find("payment_method", intent["payment_method"])
    _record_failure(account, intent, charge, method, reason)


def clears_well(account: Account, intent: JsonObject) -> bool:
    """Whether a bank debit under way will arrive."""
    return _test_of(account, intent).clears == "succeed"


def _test_of(account: Account, intent: JsonObject) -> Behaviour:
    charge = account.find("charge", intent["latest_charge"])
    return behaviour(account, account.find("payment_method", charge["payment_method"]))


def _needs_buyer(account: Account, method: JsonObject, test: Behaviour) -> bool:
    is_set_up = account.note(method["id"]).get("is_set_up", False)
    return test.authenticates == "always" or (test.authenticates == "unless_set_up" and not is_set_up)


def _ask_for_buyer(account: Account, intent: JsonObject, method: JsonObject, buyer: Buyer) -> None:
    if buyer is Buyer.ABSENT or account.note(intent["id"]).get("fails_on_action"):
        raise refuse(account, intent, method, AUTHENTICATION)
    return_url = account.note(intent["id"]).get("return_url")
    if return_url:
        target = {"return_url": return_url, "url": f"{account.base_url}/c/authenticate/{intent['id']}"}
        intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": target}
    else:
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    intent["status"] = "requires_action"
    emit(account, "payment_intent.requires_action", intent)


def _wait_for_bank(account: Account, intent: JsonObject, charge: JsonObject) -> None:
    intent["status"] = "processing"
    account.note(intent["id"])["clears_at"] = account.now() + account.settings["async_seconds"]
    emit(account, "charge.pending", charge)
    emit(account, "payment_intent.processing", intent)


def _save_method(account: Account, intent: JsonObject, method: JsonObject) -> None:
    if intent["setup_future_usage"] is None:
        return
    if intent["customer"] is not None:
        attach(account, method, intent["customer"])
    account.note(method["id"])["is_set_up"] = intent["setup_future_usage"] == "off_session"


def _record_failure(
    account: Account, intent: JsonObject, charge: JsonObject, method: JsonObject, decline: Decline
) -> None:
    charges.fail(account, charge, decline)
    account.note(intent["id"]).pop("clears_at", None)
    intent.update(
        status="requires_payment_method",
        payment_method=None,
        processing=None,
        next_action=None,
        last_payment_error={
            "advice_code": decline.advice_code,
            "charge": charge["id"],
            "code": decline.code,
            "decline_code": decline.decline_code,
            "doc_url": errors.DOCS + decline.code.replace("_", "-"),
            "message": decline.message,
            "payment_method": dict(method),
            "type": "card_error" if method["type"] == "card" else "invalid_request_error",
        },
    )
    emit(account, "payment_intent.payment_failed", intent)


def new_secret(identity: str) -> str:
    """A client secret for an intent."""
    return new_id(f"{identity}_secret_")
