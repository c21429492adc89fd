"""What time alone brings about: sessions expire, debits clear, refunds land, subscriptions renew."""

from sandbox.state import JsonObject
from sandbox.stripe import charging, checkout, refunds, renewals, sessions
from sandbox.stripe.account import Account
from sandbox.stripe.cards import Decline


def catch_up(account: Account) -> None:
    """Do everything due by the sandbox clock."""
    sessions.expire_due(account)
    for intent in list(account.tables.get("payment_intent", {}).values()):
        if account.notes.get(intent["id"], {}).get("clears_at", account.now() + 1) <= account.now():
            settle(account, intent, is_good=charging.clears_well(account, intent))
    for refund in list(account.tables.get("refund", {}).values()):
        note = account.notes.get(refund["id"], {})
        if note.get("due_at", account.now() + 1) <= account.now():
            _land(account, refund, note["outcome"])
    renewals.renew_due(account)


def settle(account: Account, intent: JsonObject, *, is_good: bool, decline: Decline | None = None) -> None:
    """End a bank debit under way, and tell the session and invoice that wait for it."""
    note = account.note(intent["id"])
    note.pop("clears_at", None)
    if is_good:
        charging.settle(account, intent)
    else:
        charging.bounce(account, intent, decline)
    session = account.get("checkout.session", note.get("session"))
    if session is not None:
        (checkout.clear if is_good else checkout.bounce)(account, session)
    invoice = account.get("invoice", note.get("invoice"))
    if invoice is None or invoice["status"] != "open":
        return
    if is_good:
        renewals.arrived(account, invoice, intent)
    else:
        renewals.bounced(account, invoice)


def _land(account: Account, refund: JsonObject, outcome: str) -> None:
    if outcome == "succeeded":
        refunds.finish(account, refund)
    else:
        refunds.fail(account, refund, "expired_or_canceled_card")
