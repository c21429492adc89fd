"""The turn of a subscription's period: bill, charge, try again, give up."""

from sandbox.state import JsonObject
from sandbox.stripe import charging, invoices, payment_intents, subscriptions
from sandbox.stripe.account import Account
from sandbox.stripe.endpoints import Call, Endpoint, write
from sandbox.stripe.errors import StripeError, wrong_state
from sandbox.stripe.periods import period_end
from sandbox.stripe.schema import Flag, Text

RETRY_SECONDS = 3 * 86400
MOST_ATTEMPTS = 4
RENEWING = {"active", "trialing", "past_due"}


def renew_due(account: Account) -> None:
    """Bring every subscription up to the present, period by period."""
    for subscription in list(account.tables.get("subscription", {}).values()):
        while subscription["status"] in RENEWING and _is_due(account, subscription):
            _turn(account, subscription)
    for invoice in list(account.tables.get("invoice", {}).values()):
        if invoice["status"] == "open" and (invoice["next_payment_attempt"] or account.now() + 1) <= account.now():
            collect(account, invoice)


def _is_due(account: Account, subscription: JsonObject) -> bool:
    boundary = subscriptions.current_period_end(subscription)
    return min(boundary, subscription["cancel_at"] or boundary) <= account.now()


def _turn(account: Account, subscription: JsonObject) -> None:
    if subscription["cancel_at"] is not None and subscription["cancel_at"] <= account.now():
        subscriptions.end(account, subscription, "cancellation_requested")
        return
    _move_period(account, subscription)
    lines = [subscriptions.cycle_line(account, subscription, item) for item in subscription["items"]["data"]]
    invoice = invoices.make(account, subscription, "subscription_cycle", lines)
    subscriptions.change(account, subscription, latest_invoice=invoice["id"])
    collect(account, invoice)


def _move_period(account: Account, subscription: JsonObject) -> None:
    anchor = subscription["billing_cycle_anchor"]
    before = subscriptions.current_period_end(subscription)
    items = [dict(item) for item in subscription["items"]["data"]]
    for item in items:
        recurring = item["price"]["recurring"]
        item["current_period_start"] = before
        item["current_period_end"] = period_end(anchor, before, recurring["interval"], recurring["interval_count"])
    status = "active" if subscription["status"] == "trialing" else subscription["status"]
    subscriptions.change(account, subscription, items={**subscription["items"], "data": items}, status=status)


def collect(account: Account, invoice: JsonObject) -> None:
    """Charge an open invoice off session; a refusal makes the subscription past due and is retried, then canceled."""
    subscription = account.find("subscription", invoices.subscription_of(invoice))
    if invoice["amount_due"] == 0:
        invoices.mark_paid(account, invoice, None)
        return
    intent = _intent_of(account, invoice, subscription)
    try:
        _charge(account, intent, _method_of(account, subscription))
    except StripeError:
        bounced(account, invoice)
        return
    if intent["status"] == "succeeded":
        arrived(account, invoice, intent)


def arrived(account: Account, invoice: JsonObject, intent: JsonObject) -> None:
    """The money is there: the invoice is paid and its subscription active."""
    invoices.mark_paid(account, invoice, intent)
    subscription = account.find("subscription", invoices.subscription_of(invoice))
    if subscription["status"] in {"past_due", "incomplete", "unpaid"}:
        subscriptions.change(account, subscription, status="active")


def bounced(account: Account, invoice: JsonObject) -> None:
    """An attempt failed: past due with another try in three days, canceled after the last."""
    subscription = account.find("subscription", invoices.subscription_of(invoice))
    has_more = invoice["attempt_count"] + 1 < MOST_ATTEMPTS and subscription["status"] != "incomplete"
    invoices.mark_failed(account, invoice, account.now() + RETRY_SECONDS if has_more else None)
    if subscription["status"] == "incomplete":
        subscriptions.change(account, subscription, status="incomplete_expired")
    elif has_more:
        subscriptions.change(account, subscription, status="past_due")
    elif subscription["status"] not in subscriptions.ENDED:
        subscriptions.end(account, subscription, "payment_failed")


def _intent_of(account: Account, invoice: JsonObject, subscription: JsonObject) -> JsonObject:
    for payment in account.all("invoice_payment"):
        if payment["invoice"] == invoice["id"]:
            return account.find("payment_intent", payment["payment"]["payment_intent"])
    given = {"customer": subscription["customer"], "description": "Subscription update", "metadata": {}}
    intent = payment_intents.make(account, invoice["amount_due"], invoice["currency"], given)
    invoices.record_payment(account, invoice, intent)
    return intent


def _method_of(account: Account, subscription: JsonObject) -> JsonObject | None:
    customer = account.find("customer", subscription["customer"])
    chosen = subscription["default_payment_method"] or customer["invoice_settings"]["default_payment_method"]
    method = account.get("payment_method", chosen)
    return method if method is not None and method["customer"] == customer["id"] else None


def _charge(account: Account, intent: JsonObject, method: JsonObject | None) -> None:
    if method is None:
        raise wrong_state("This customer has no attached payment source or default payment method.")
    charging.confirm(account, intent, method, charging.Buyer.ABSENT)


def pay(call: Call) -> JsonObject:
    """Try an open invoice again now, with its subscription's method or another of the customer's."""
    account = call.account
    invoice = account.find("invoice", call.path["id"])
    if invoice["status"] != "open":
        raise wrong_state(f"Invoice is {invoice['status']} and cannot be paid.", code="invoice_not_editable")
    subscription = account.find("subscription", invoices.subscription_of(invoice))
    if "payment_method" in call.params:
        method: JsonObject | None = account.find("payment_method", call.params["payment_method"], "payment_method")
    else:
        method = _method_of(account, subscription)
    intent = _intent_of(account, invoice, subscription)
    try:
        _charge(account, intent, method)
    except StripeError:
        invoices.mark_failed(account, invoice, invoice["next_payment_attempt"])
        raise
    if intent["status"] == "succeeded":
        arrived(account, invoice, intent)
    return invoice


ENDPOINTS: list[Endpoint] = [
    write("/v1/invoices/{id}/pay", pay, {"payment_method": Text(), "off_session": Flag()}),
]
