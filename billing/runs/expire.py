"""`expire`: what is not paid when the time to pay is over ends, what has been over for long is deleted, and promotional
credit expires.

Nothing is deleted that a reminder has not told of some days before, nor while a payment is on its way.
"""

from datetime import datetime
from typing import Any

from billing import events, metering
from billing.models import DELETION_NOTICE, EntryKind, JournalEntry, Posting, Subscription
from billing.runs import batches, dun
from billing.runs.batches import OF_INVOICE, OF_RANGE, OF_SUBSCRIPTION, OrganizationRange
from billing.runs.renew import tax_params
from core import bulk

# The whole invoice: none of its subscriptions has paid time left.
UNPAID = """
    FROM billing_invoice invoice
    WHERE invoice.state = 'overdue' AND invoice.due_at <= %(deleted_due)s
        AND NOT EXISTS (SELECT FROM billing_payment payment WHERE payment.invoice_id = invoice.id
            AND payment.state IN ('pending', 'processing', 'under_review'))
        AND EXISTS (SELECT FROM billing_reminder told WHERE told.invoice_id = invoice.id
            AND told.sent_at <= %(told_before)s)
        AND NOT EXISTS (SELECT FROM billing_reminder told WHERE told.invoice_id = invoice.id
            AND told.deletes_at > %(at)s)
        AND NOT EXISTS (SELECT FROM billing_invoiceitem item
            LEFT JOIN billing_subscription subscription ON subscription.id = item.subscription_id
            WHERE item.invoice_id = invoice.id AND (subscription.id IS NULL OR subscription.billing_mode <> 'self'
                OR subscription.current_period_end > %(at)s OR item.period_end <= subscription.current_period_end))"""
# Billed by the hour, and the wallet was not filled until the day that its owner was told when it was suspended: not
# where it pays its next hour, which `meter` has not done yet, nor while money is on its way that was asked for before
# that day: one attempt after the other would keep the server for ever.
UNFILLED = """
    FROM billing_subscription subscription
    WHERE subscription.metered_from IS NOT NULL AND subscription.status = 'suspended'
        AND subscription.unpaid_deletes_at <= %(at)s
        AND EXISTS (SELECT FROM billing_ledgeraccount wallet
            WHERE wallet.kind = 'wallet' AND wallet.gateway = ''
                AND wallet.organization_id = subscription.organization_id AND wallet.currency = subscription.currency
                AND wallet.balance_minor + wallet.promotional_minor < (
                    SELECT coalesce(sum(item.quantity * item.unit_minor), 0)
                    FROM billing_subscriptionitem item WHERE item.subscription_id = subscription.id
                        AND item.kind IN ('plan', 'addon') AND item.valid_from <= %(at)s
                        AND (item.valid_until IS NULL OR item.valid_until > %(at)s))
                    * (1 + (NOT %(is_inclusive)s)::integer * (SELECT coalesce(max(tax.rate), 0) / 100
                        FROM accounts_organization buyer CROSS JOIN LATERAL billing_tax_of(%(tax_status)s,
                            %(tax_country)s, buyer.country, buyer.region, buyer.has_vat_id, %(at)s) tax
                        WHERE buyer.id = subscription.organization_id))
                AND NOT EXISTS (SELECT FROM billing_payment payment
                    WHERE payment.organization_id = wallet.organization_id AND payment.currency = wallet.currency
                        AND payment.invoice_id IS NULL AND payment.created_at < subscription.unpaid_deletes_at
                        AND (payment.state IN ('processing', 'under_review')
                            OR payment.is_automatic AND payment.state = 'pending' AND payment.failure_code = ''
                                AND payment.created_at > %(awaited_since)s)))"""
TO_DELETE = "FROM billing_subscription subscription WHERE subscription.deletion_due_at <= %(at)s"
LOCK_INVOICES = f"SELECT invoice.id {UNPAID}{OF_INVOICE} ORDER BY invoice.id FOR NO KEY UPDATE OF invoice"
SUBSCRIPTIONS = """FROM billing_subscription WHERE status IN ('active', 'past_due', 'suspended') AND id IN (
    SELECT subscription_id FROM billing_invoiceitem WHERE invoice_id = ANY (%(invoices)s))"""
STILL_UNPAID = f"SELECT invoice.id {UNPAID} AND invoice.id = ANY (%(locked)s)"
LOCK_SUBSCRIPTIONS = f"""SELECT id FROM billing_subscription WHERE id IN (
        SELECT id {SUBSCRIPTIONS} UNION ALL SELECT id {UNFILLED}{OF_SUBSCRIPTION}
        UNION ALL SELECT id {TO_DELETE}{OF_SUBSCRIPTION}) ORDER BY id FOR NO KEY UPDATE"""
END_ITEMS = """UPDATE billing_subscriptionitem SET valid_until = %(at)s
    WHERE subscription_id = ANY (%(ids)s) AND valid_until IS NULL AND valid_from < %(at)s"""
VOID = "UPDATE billing_invoice SET state = 'void', voided_at = %(at)s WHERE id = ANY (%(invoices)s)"
END = """UPDATE billing_subscription SET status = 'ended', ended_at = %(at)s, deletion_due_at = %(at)s,
        pauses_until = NULL
    WHERE id = ANY (%(ids)s)"""

EXPIRED = "FROM billing_creditgrant given WHERE given.remaining_minor > 0 AND given.expires_at <= %(at)s"
EXPIRED_OF_RANGE = EXPIRED + OF_RANGE.format(table="given")
LOCK_WALLETS = f"""SELECT id FROM billing_ledgeraccount WHERE kind = 'wallet' AND (organization_id, currency) IN (
    SELECT organization_id, currency {EXPIRED_OF_RANGE}) ORDER BY id FOR NO KEY UPDATE"""
# What comes back to a grant that has expired expires again.
EXPIRY = {
    "kind": "%(kind)s",
    "reference": """'credit_expired:' || given.id || ':' || (
        SELECT count(*) FROM billing_journalentry before WHERE before.creditgrant_id = given.id)""",
    "organization_id": "given.organization_id",
    "creditgrant_id": "given.id",
    "note": "given.reason",
    "at": "%(at)s",
}
EXPIRY_POSTING = {
    "entry_id": "entry.id",
    "account_id": "account.id",
    "organization_id": "account.organization_id",
    "amount_minor": "CASE account.kind WHEN 'promotions' THEN given.remaining_minor ELSE -given.remaining_minor END",
    "currency": "given.currency",
}
EXPIRY_POSTINGS = f"""FROM (SELECT creditgrant_id, (array_agg(id ORDER BY id DESC))[1] AS id FROM billing_journalentry
        WHERE kind = %(kind)s AND at = %(at)s GROUP BY creditgrant_id) entry
    JOIN (SELECT * {EXPIRED_OF_RANGE}) given ON given.id = entry.creditgrant_id
    JOIN billing_ledgeraccount account ON account.currency = given.currency AND account.gateway = ''
        AND (account.kind = 'promotions'
            OR account.kind = 'promotional_credit' AND account.organization_id = given.organization_id)"""
NOTE_EXPIRED = f"""INSERT INTO billing_fact SELECT 'expired credit', organization_id, reason, expires_at,
    remaining_minor, currency {EXPIRED_OF_RANGE}"""


def due(at: datetime) -> tuple[str, dict[str, Any]]:
    """What ends or is deleted at `at`, as a query of organizations' ids and its parameters."""
    query = f"""SELECT invoice.organization_id {UNPAID} UNION ALL SELECT subscription.organization_id {UNFILLED}
        UNION ALL SELECT subscription.organization_id {TO_DELETE}
        UNION ALL SELECT given.organization_id {EXPIRED}"""
    return query, settings_of(at)


def settings_of(at: datetime) -> dict[str, Any]:
    """The parameters of this module's statements."""
    times = {"deleted_due": at - dun.settings_of(at)["delete_after"], "told_before": at - DELETION_NOTICE}
    return {"at": at, "awaited_since": at - metering.AWAITED_FOR} | times | tax_params()


def perform(of: OrganizationRange, at: datetime) -> None:
    """End what is not paid in the range, and ask for the deletions; the caller holds a transaction."""
    params = settings_of(at) | of.params(at)
    locked = batches.ids(LOCK_INVOICES, params)
    params["invoices"] = batches.ids(STILL_UNPAID, params | {"locked": locked}) if locked else []
    params["subscriptions"] = subscriptions = batches.ids(LOCK_SUBSCRIPTIONS, params)
    ended = end_unpaid(params, at) if subscriptions else []
    if batches.execute(LOCK_WALLETS, params):
        expire_credit(params)
    deleted = batches.ids(f"SELECT id {TO_DELETE} AND id = ANY (%(locked)s)", {"locked": subscriptions, "at": at})
    if deleted:  # with what has just ended: its servers are locked in one round
        batches.execute(batches.NOTE, {"what": "deletion", "ids": deleted, "at": at})
        Subscription.objects.filter(pk__in=deleted).update(deletion_due_at=None)
        events.subscriptions_expired.send(Subscription, subscription_ids=deleted, at=at)
    if ended:
        events.subscriptions_ended.send(Subscription, subscription_ids=ended, reason="not paid", at=at)


def expire_credit(params: dict[str, Any]) -> None:
    """What is left of promotional credit when it expires is the shop's again. Its wallets are locked."""
    batches.execute(NOTE_EXPIRED, params)
    named = params | {"kind": EntryKind.CREDIT_EXPIRED}
    if bulk.insert_from(JournalEntry, EXPIRY, EXPIRED_OF_RANGE, named):
        bulk.insert_from(Posting, EXPIRY_POSTING, EXPIRY_POSTINGS, named)


def end_unpaid(params: dict[str, Any], at: datetime) -> list[Any]:
    """Void the locked invoices, so that nobody pays for what has ended, and end their subscriptions; which."""
    unfilled = f"SELECT id {UNFILLED} AND id = ANY (%(subscriptions)s)"
    ended = batches.ids(f"SELECT id {SUBSCRIPTIONS} UNION ALL {unfilled}", params)
    named = {"ids": ended, "at": at}
    batches.execute(VOID, {"invoices": params["invoices"], "at": at})
    batches.execute(END, named)
    batches.execute(END_ITEMS, named)
    batches.execute(batches.NOTE, named | {"what": "end"})
    return ended
