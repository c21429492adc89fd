"""Renewals of subscriptions: a new period, its invoice, the charge, retries, the end."""

from sandbox.state import JsonObject
from sandbox.stripe import charging, invoices, payment_intents, subscriptions
from sandbox.stripe.account import Account
from sandbox.stripe.endpoints import Call
from sandbox.stripe.errors import StripeError, wrong_state
from sandbox.stripe.periods import period_end

RETRY_SECONDS = 3 * 86400
MAX_ATTEMPTS = 4
RENEWING = {"active", "trialing", "past_due"}


def renew_due(account: Account) -> None:
    """Bring every subscription up to the present, period by period, and try open invoices again."""
    for subscription in reversed(account.all("subscription")):
        while subscription["status"] in RENEWING:
            boundary = subscriptions.current_period_end(subscription)
            ends_at = subscription["cancel_at"]
            if min(boundary, ends_at or boundary) > account.now():
                break
            if ends_at is not None and ends_at <= account.now():
                subscriptions.end(account, subscription, "cancellation_requested")
            else:
                _renew(account, subscription)
    for invoice in reversed(account.all("invoice")):
        if invoice["status"] == "open" and (invoice["next_payment_attempt"] or account.now() + 1) <= account.now():
            _collect(account, invoice)


def _renew(account: Account, subscription: JsonObject) -> None:
    """Move to the next period, bill it and charge."""
    before = subscriptions.current_period_end(subscription)
    items = [dict(item) for item in subscription["items"]["data"]]
    for item in items:
        recurring = item["price"]["recurring"]
        anchor, interval, count = (
            subscription["billing_cycle_anchor"],
            recurring["interval"],
            recurring["interval_count"],
        )
        item.update(current_period_start=before, current_period_end=period_end(anchor, before, interval, count))
    status = "active" if subscription["status"] == "trialing" else subscription["status"]
    subscriptions.change(account, subscription, items={**subscription["items"], "data": items}, status=status)
    lines = [subscriptions.cycle_line(account, subscription, item) for item in items]
    invoice = invoices.make(account, subscription, "subscription_cycle", lines)
    subscriptions.change(account, subscription, latest_invoice=invoice["id"])
    _collect(account, invoice)


def _collect(account: Account, invoice: JsonObject) -> None:
    """Charge an open invoice off session; a refusal makes the subscription past due and is retried, then canceled."""
    if invoice["amount_due"] == 0:
        invoices.mark_paid(account, invoice, None)
        return
    try:
        _charge(account, invoice, _default_method(account, invoice))
    except StripeError:
        payment_failed(account, invoice)


def _charge(account: Account, invoice: JsonObject, method: JsonObject | None) -> None:
    intent = _intent_of(account, invoice)
    if method is None:
        raise wrong_state("This customer has no attached payment source or default payment method.")
    charging.confirm(account, intent, method, charging.Buyer.ABSENT)
    if intent["status"] == "succeeded":
        payment_succeeded(account, invoice, intent)
    else:
        invoice["next_payment_attempt"] = None  # a bank debit is under way


def _intent_of(account: Account, invoice: JsonObject) -> JsonObject:
    """The invoice's one intent, made for the first attempt."""
    for link in account.all("invoice_payment"):
        if link["invoice"] == invoice["id"]:
            return account.find("payment_intent", link["payment"]["payment_intent"])
    given = {"customer": invoice["customer"], "description": "Subscription update"}
    intent = payment_intents.make(account, invoice["amount_due"], invoice["currency"], given)
    invoices.record_payment(account, invoice, intent)
    return intent


def _default_method(account: Account, invoice: JsonObject) -> JsonObject | None:
    subscription = account.find("subscription", invoices.subscription_of(invoice))
    customer = account.find("customer", subscription["customer"])
    chosen = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    method = account.get("payment_method", chosen)
    return method if method is not None and method["customer"] == customer["id"] else None


def payment_succeeded(account: Account, invoice: JsonObject, intent: JsonObject) -> None:
    """Mark the invoice paid and its subscription active."""
    invoices.mark_paid(account, invoice, intent)
    subscription = account.find("subscription", invoices.subscription_of(invoice))
    if subscription["status"] in {"past_due", "incomplete"}:
        subscriptions.change(account, subscription, status="active")


def payment_failed(account: Account, invoice: JsonObject) -> None:
    """Count a failed attempt: past due with another try in three days, canceled after the last."""
    subscription = account.find("subscription", invoices.subscription_of(invoice))
    has_more = invoice["attempt_count"] + 1 < MAX_ATTEMPTS and subscription["status"] != "incomplete"
    invoices.mark_failed(account, invoice, account.now() + RETRY_SECONDS if has_more else None)
    if subscription["status"] == "incomplete":
        subscriptions.change(account, subscription, status="incomplete_expired")
    elif has_more:
        subscriptions.change(account, subscription, status="past_due")
    elif subscription["status"] not in subscriptions.ENDED:
        subscriptions.end(account, subscription, "payment_failed")


def pay(call: Call) -> JsonObject:
    """Try an open invoice again now, with its subscription's method or another of the customer's."""
    account, invoice = call.account, call.account.find("invoice", call.path["id"])
    if invoice["status"] != "open":
        raise wrong_state(f"Invoice is {invoice['status']} and cannot be paid.", code="invoice_not_editable")
    if "payment_method" in call.params:
        given = {**call.params, "off_session": True}
        method: JsonObject | None = payment_intents.usable_method(account, given, invoice["customer"])
    else:
        method = _default_method(account, invoice)
    payment_intents.require_unsettled(_intent_of(account, invoice), "confirm")
    try:
        _charge(account, invoice, method)
    except StripeError:
        invoices.mark_failed(account, invoice, invoice["next_payment_attempt"])
        raise
    return invoice
