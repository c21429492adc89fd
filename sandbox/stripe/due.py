"""What time alone brings about: sessions expire, debits clear, refunds land, subscriptions renew."""

from sandbox.state import JsonObject
from sandbox.stripe import charging, checkout, refunds, renewals, sessions
from sandbox.stripe.account import Account


def catch_up(account: Account) -> None:
    """Do everything due by the sandbox clock, oldest first."""
    now = account.now()
    for session in reversed(account.all("checkout.session")):
        if session["status"] == "open" and session["expires_at"] <= now:
            sessions.expire(account, session)
    for intent in reversed(account.all("payment_intent")):
        if account.notes.get(intent["id"], {}).get("clears_at", now + 1) <= now:
            settle_debit(account, intent, is_good=charging.behaviour_of(account, intent).bounces is None)
    for refund in reversed(account.all("refund")):
        note = account.notes.get(refund["id"], {})
        if note.get("due_at", now + 1) > now:
            continue
        del note["due_at"]
        if note["fails"]:
            refunds.fail(account, refund, "expired_or_canceled_card")
        else:
            refunds.finish(account, refund)
    renewals.renew_due(account)


def settle_debit(account: Account, intent: JsonObject, *, is_good: bool) -> None:
    """End a bank debit under way, and the session and invoice that wait for it."""
    note = account.note(intent["id"])
    note.pop("clears_at", None)
    (charging.clear if is_good else charging.bounce)(account, intent)
    # A session that a debit failed stays unpaid, also where its intent is confirmed again and succeeds.
    session = account.get("checkout.session", note.get("session") if is_good else note.pop("session", None))
    if session is not None:
        (checkout.clear if is_good else checkout.bounce)(account, session)
    invoice = account.get("invoice", note.get("invoice"))
    if invoice is not None and invoice["status"] == "open":
        if is_good:
            renewals.payment_succeeded(account, invoice, intent)
        else:
            renewals.payment_failed(account, invoice)
