"""What happens when the buyer presses the button on the hosted page."""

from sandbox.state import JsonObject
from sandbox.stripe import charging, customers, invoices, payment_intents, setup_intents, subscriptions
from sandbox.stripe.account import Account, null_fields
from sandbox.stripe.cards import METHODS
from sandbox.stripe.errors import invalid, wrong_state
from sandbox.stripe.events import emit
from sandbox.stripe.payment_methods import make

DAY = 86400


def complete(account: Account, session: JsonObject, token: str, typed_email: str | None) -> None:
    """Pay, subscribe or save a card, and complete the session.

    Raises StripeError when the session is not open, the token is unknown, or (402) the card is refused; the session
    then stays open.
    """
    if session["status"] != "open":
        raise wrong_state(f"This Checkout Session has a status of {session['status']}.")
    if token not in METHODS:
        raise invalid(f"No such test payment method: {token}", param="card")
    owner = account.get("customer", session["customer"])
    email = (owner["email"] if owner else session["customer_email"]) or typed_email
    customer = _customer(account, session, email)
    method = make(account, METHODS[token])
    method["billing_details"]["email"] = email
    steps = {"payment": _complete_payment, "subscription": _complete_subscription, "setup": _complete_setup}
    steps[session["mode"]](account, session, customer, method)
    details = null_fields("address business_name individual_name name phone")
    session.update(
        status="complete",
        url=None,
        customer=customer,
        customer_details={**details, "email": email, "tax_exempt": "none", "tax_ids": []},
    )
    emit(account, "checkout.session.completed", session)


def _customer(account: Account, session: JsonObject, email: str | None) -> str | None:
    """The customer to charge; made on the first attempt where one is needed, and kept for the next."""
    note = account.note(session["id"])
    known = session["customer"] or note.get("customer")
    saves = note["payment_intent_data"].get("setup_future_usage") is not None
    needs_none = session["mode"] == "payment" and session["customer_creation"] != "always" and not saves
    if known is not None or needs_none:
        return known
    note["customer"] = customers.make(account, {"email": email})["id"]
    return str(note["customer"])


def _complete_payment(account: Account, session: JsonObject, customer: str | None, method: JsonObject) -> None:
    if session["amount_total"] == 0:
        session["payment_status"] = "no_payment_required"
        return
    data = account.note(session["id"])["payment_intent_data"]
    intent = _charge(account, session, session["amount_total"], {**data, "customer": customer}, method)
    session["payment_intent"] = intent["id"]
    session["payment_status"] = "unpaid" if intent["status"] == "processing" else "paid"


def _charge(account: Account, session: JsonObject, amount: int, given: JsonObject, method: JsonObject) -> JsonObject:
    """Charge the session's one intent, which refused attempts left behind or is made now."""
    note = account.note(session["id"])
    intent = account.get("payment_intent", note.get("intent"))
    if intent is None:
        wanted = {**given, "metadata": dict(given.get("metadata", {}))}
        intent = payment_intents.make(account, amount, session["currency"], wanted)
        note["intent"] = intent["id"]
    charging.confirm(account, intent, method, charging.Buyer.AUTHENTICATED)
    account.note(intent["id"])["session"] = session["id"]
    return intent


def _complete_subscription(account: Account, session: JsonObject, customer: str | None, method: JsonObject) -> None:
    """Charge what is due now and make the subscription with its first invoice."""
    note = account.note(session["id"])
    data = note["subscription_data"]
    is_trial = "trial_period_days" in data
    due_now = sum(line["amount_total"] for line in note["line_items"] if not (is_trial and line["price"]["recurring"]))
    intent = None
    if due_now:
        given = {"customer": customer, "setup_future_usage": "off_session", "description": "Subscription creation"}
        intent = _charge(account, session, due_now, given, method)
        session["payment_status"] = "paid" if intent["status"] == "succeeded" else "unpaid"
    else:
        setup = setup_intents.make(account, {"customer": customer})
        setup_intents.complete(account, setup, method)
        session["payment_status"] = "no_payment_required"
    order = subscriptions.Order(
        customer=str(customer),
        method=method["id"],
        lines=[(line["price"], line["quantity"]) for line in note["line_items"]],
        metadata=dict(data.get("metadata", {})),
        description=data.get("description"),
        trial_end=account.now() + data["trial_period_days"] * DAY if is_trial else None,
        is_paid=session["payment_status"] != "unpaid",
    )
    subscription, invoice = subscriptions.make(account, order)
    session.update(subscription=subscription["id"], invoice=invoice["id"])
    if intent is not None:
        invoices.record_payment(account, invoice, intent)
    if order.is_paid:
        invoices.mark_paid(account, invoice, intent)


def _complete_setup(account: Account, session: JsonObject, customer: str | None, method: JsonObject) -> None:
    note = account.note(session["id"])
    intent = account.get("setup_intent", note.get("setup_intent"))
    if intent is None:
        intent = setup_intents.make(account, {**note["setup_intent_data"], "customer": customer})
        note["setup_intent"] = intent["id"]
    setup_intents.complete(account, intent, method)
    session["setup_intent"] = intent["id"]


def clear(account: Account, session: JsonObject) -> None:
    """Mark a complete session paid by a bank debit that cleared."""
    session["payment_status"] = "paid"
    emit(account, "checkout.session.async_payment_succeeded", session)


def bounce(account: Account, session: JsonObject) -> None:
    """Announce that the bank debit of a complete session failed."""
    emit(account, "checkout.session.async_payment_failed", session)
