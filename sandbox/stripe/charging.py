"""Confirming a PaymentIntent: what the bank answers, and what follows at once or later."""

from enum import StrEnum

from sandbox.state import JsonObject
from sandbox.stripe import charges, errors
from sandbox.stripe.account import ASYNC_SECONDS, Account
from sandbox.stripe.cards import BANK_FUNDS, Behaviour, Decline
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
    """Whether the buyer is present while we charge."""

    ABSENT = "absent"
    PRESENT = "present"
    AUTHENTICATED = "authenticated"


def confirm(account: Account, intent: JsonObject, method: JsonObject, buyer: Buyer) -> None:
    """Charge the intent with the method; it ends succeeded, processing or requires_action.

    Raises StripeError 402 when refused; the intent then has the reason in `last_payment_error`.
    """
    test = behaviour(account, method)
    intent.update(payment_method=method["id"], next_action=None, last_payment_error=None)
    is_set_up = account.note(method["id"])["is_set_up"]
    needs_buyer = test.authenticates == "always" or (test.authenticates == "unless_set_up" and not is_set_up)
    if needs_buyer and buyer is not Buyer.AUTHENTICATED:
        _ask_for_buyer(account, intent, method, buyer)
        return
    decline = test.later if buyer is Buyer.ABSENT else test.now
    if decline is not None:
        raise refuse(account, intent, method, decline)
    if intent["setup_future_usage"] is not None:
        if intent["customer"] is not None:
            attach(account, method, intent["customer"])
        account.note(method["id"])["is_set_up"] = intent["setup_future_usage"] == "off_session"
    charge = charges.make(account, intent, method)
    intent["latest_charge"] = charge["id"]
    if not test.is_bank:
        clear(account, intent)
        return
    intent["status"] = "processing"
    account.note(intent["id"])["clears_at"] = account.now() + ASYNC_SECONDS
    emit(account, "charge.pending", charge)
    emit(account, "payment_intent.processing", intent)


def _ask_for_buyer(account: Account, intent: JsonObject, method: JsonObject, buyer: Buyer) -> None:
    note = account.note(intent["id"])
    if buyer is Buyer.ABSENT or note.get("fails_on_action"):
        raise refuse(account, intent, method, AUTHENTICATION)
    if note.get("return_url"):
        target = {"return_url": note["return_url"], "url": f"{account.base_url}/c/authenticate/{intent['id']}"}
        intent["next_action"] = {"type": "redirect_to_url", "redirect_to_url": target}
    else:
        intent["next_action"] = {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    intent["status"] = "requires_action"
    emit(account, "payment_intent.requires_action", intent)


def authenticate(account: Account, intent: JsonObject, *, is_passed: bool) -> None:
    """Apply that the buyer passed or failed the bank's check; a refusal is recorded on the intent.

    Raises StripeError when the intent does not require action.
    """
    if intent["status"] != "requires_action":
        message = "This PaymentIntent does not wait for authentication."
        raise errors.wrong_state(message, code="payment_intent_unexpected_state")
    method = account.find("payment_method", intent["payment_method"])
    if not is_passed:
        refuse(account, intent, method, FAILED_AUTHENTICATION)
        return
    try:
        confirm(account, intent, method, Buyer.AUTHENTICATED)
    except errors.StripeError:
        return


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


def clear(account: Account, intent: JsonObject) -> None:
    """Take the money that the bank approved."""
    charge = account.find("charge", intent["latest_charge"])
    charges.succeed(account, charge)
    intent.update(status="succeeded", amount_received=intent["amount"], processing=None, next_action=None)
    emit(account, "charge.succeeded", charge)
    emit(account, "payment_intent.succeeded", intent)
    emit(account, "charge.updated", charge, {"balance_transaction": None})
    if behaviour_of(account, intent).has_dispute:
        open_dispute(account, charge, "fraudulent")


def bounce(account: Account, intent: JsonObject) -> None:
    """Record that a bank debit failed: the intent requires another method."""
    charge = account.find("charge", intent["latest_charge"])
    method = account.find("payment_method", intent["payment_method"])
    _record_failure(account, intent, charge, method, behaviour_of(account, intent).bounces or BANK_FUNDS)


def behaviour_of(account: Account, intent: JsonObject) -> Behaviour:
    """What the method of the intent's latest charge does."""
    charge = account.find("charge", intent["latest_charge"])
    return behaviour(account, account.find("payment_method", charge["payment_method"]))


def _record_failure(
    account: Account, intent: JsonObject, charge: JsonObject, method: JsonObject, decline: Decline
) -> None:
    charges.fail(account, charge, decline)
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
