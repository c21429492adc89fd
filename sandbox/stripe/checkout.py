"""What happens when the buyer presses the button on the hosted page."""

from sandbox.state import JsonObject
from sandbox.stripe import charging, customers, invoices, payment_intents, setup_intents, subscriptions
from sandbox.stripe.account import Account
from sandbox.stripe.cards import METHODS
from sandbox.stripe.charging import Buyer
from sandbox.stripe.errors import invalid, wrong_state
from sandbox.stripe.events import emit
from sandbox.stripe.payment_methods import attach, make

DAY = 86400


def complete(account: Account, session: JsonObject, token: str, email: str | None) -> None:
    """Pay, subscribe or save a card, and complete the session.

    Raises StripeError when the session is not open, the token is unknown, or (402) the card is refused; the session
    then stays open.
    """
    if session["status"] != "open":
        raise wrong_state(f"This Checkout Session has a status of {session['status']}.")
    if token not in METHODS:
        raise invalid(f"No such test payment method: {token}", param="card")
    buyer_email = _email(account, session, email)
    customer = _customer(account, session, buyer_email)
    method = make(account, METHODS[token])
    method["billing_details"]["email"] = buyer_email
    steps = {"payment": _complete_payment, "subscription": _complete_subscription, "setup": _complete_setup}
    steps[session["mode"]](account, session, customer, method)
    _close(account, session, customer, buyer_email)


def _email(account: Account, session: JsonObject, typed: str | None) -> str | None:
    owner = account.get("customer", session["customer"])
    known = owner["email"] if owner else session["customer_email"]
    return known or typed or None


def _customer(account: Account, session: JsonObject, email: str | None) -> str | None:
    """The customer to charge; made on the first attempt where one is needed, and kept for the next."""
    note = account.note(session["id"])
    known = session["customer"] or note.get("customer")
    if known is not None:
        return str(known)
    saves = note["payment_intent_data"].get("setup_future_usage") is not None
    if session["mode"] == "payment" and session["customer_creation"] != "always" and not saves:
        return None
    note["customer"] = customers.make(account, email=email)["id"]
    return str(note["customer"])


def _complete_payment(account: Account, session: JsonObject, customer: str | None, method: JsonObject) -> None:
    if session["amount_total"] == 0:
        session["payment_status"] = "no_payment_required"
        return
    intent = _charge(account, session, customer, method, account.note(session["id"])["payment_intent_data"])
    session["payment_intent"] = intent["id"]
    session["payment_status"] = "unpaid" if intent["status"] == "processing" else "paid"


def _charge(
    account: Account, session: JsonObject, customer: str | None, method: JsonObject, given: JsonObject
) -> JsonObject:
    """Charge the session's one intent, which refused attempts left behind or is made now."""
    note = account.note(session["id"])
    intent = account.get("payment_intent", note.get("intent"))
    if intent is None:
        wanted = {**given, "customer": customer, "metadata": dict(given.get("metadata", {}))}
        intent = payment_intents.make(account, _due_now(account, session), session["currency"], wanted)
        note["intent"] = intent["id"]
    charging.confirm(account, intent, method, Buyer.AUTHENTICATED)
    account.note(intent["id"])["session"] = session["id"]
    return intent


def _due_now(account: Account, session: JsonObject) -> int:
    if not _trial_end(account, session):
        return int(session["amount_total"])
    lines = account.note(session["id"])["line_items"]
    return sum(line["amount_total"] for line in lines if line["price"]["recurring"] is None)


def _trial_end(account: Account, session: JsonObject) -> int | None:
    wanted = account.note(session["id"])["subscription_data"]
    if "trial_period_days" in wanted:
        return int(account.now() + wanted["trial_period_days"] * DAY)
    return int(wanted["trial_end"]) if "trial_end" in wanted else None


def _complete_subscription(account: Account, session: JsonObject, customer: str | None, method: JsonObject) -> None:
    if _due_now(account, session) == 0:
        _subscribe_free(account, session, str(customer), method)
        return
    given = {"setup_future_usage": "off_session", "description": "Subscription creation"}
    intent = _charge(account, session, customer, method, given)
    is_paid = intent["status"] == "succeeded"
    status = "trialing" if _trial_end(account, session) else "active" if is_paid else "incomplete"
    _subscription, invoice = subscriptions.make(account, _order(account, session, str(customer), method), status)
    session.update(subscription=_subscription["id"], invoice=invoice["id"])
    invoices.record_payment(account, invoice, intent)
    if is_paid:
        invoices.mark_paid(account, invoice, intent)
    session["payment_status"] = "paid" if is_paid else "unpaid"


def _subscribe_free(account: Account, session: JsonObject, customer: str, method: JsonObject) -> None:
    intent = setup_intents.make(account, {"customer": customer, "usage": "off_session"})
    setup_intents.complete(account, intent, method)
    status = "trialing" if _trial_end(account, session) else "active"
    subscription, invoice = subscriptions.make(account, _order(account, session, customer, method), status)
    invoices.mark_paid(account, invoice, None)
    session.update(
        subscription=subscription["id"],
        invoice=invoice["id"],
        payment_status="no_payment_required",
    )


def _order(account: Account, session: JsonObject, customer: str, method: JsonObject) -> subscriptions.Order:
    note = account.note(session["id"])
    lines = [(line["price"], line["quantity"]) for line in note["line_items"]]
    return subscriptions.Order(
        customer=customer,
        method=method["id"],
        lines=[line for line in lines if line[0]["recurring"]],
        once=[line for line in lines if not line[0]["recurring"]],
        off=0 if _trial_end(account, session) else note["off"],
        metadata=dict(note["subscription_data"].get("metadata", {})),
        description=note["subscription_data"].get("description"),
        trial_end=_trial_end(account, session),
    )


def _complete_setup(account: Account, session: JsonObject, customer: str | None, method: JsonObject) -> None:
    note = account.note(session["id"])
    intent = account.get("setup_intent", note.get("setup_intent"))
    if intent is None:
        given = note["setup_intent_data"]
        intent = setup_intents.make(account, {**given, "customer": customer, "usage": "off_session"})
        note["setup_intent"] = intent["id"]
    setup_intents.complete(account, intent, method)
    if customer is not None:
        attach(account, method, customer)
    session["setup_intent"] = intent["id"]


def _close(account: Account, session: JsonObject, customer: str | None, email: str | None) -> None:
    session.update(
        status="complete",
        url=None,
        customer=customer,
        customer_details={
            "address": None,
            "business_name": None,
            "email": email,
            "individual_name": None,
            "name": None,
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
    )
    emit(account, "checkout.session.completed", session)


def clear(account: Account, session: JsonObject) -> None:
    """A bank debit arrived after the session was complete."""
    session["payment_status"] = "paid"
    emit(account, "checkout.session.async_payment_succeeded", session)


def bounce(account: Account, session: JsonObject) -> None:
    """A bank debit came back after the session was complete."""
    emit(account, "checkout.session.async_payment_failed", session)
