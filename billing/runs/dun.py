"""`dun`: what is not paid is overdue, is reminded of, and at last suspends the servers whose paid time is over.

A subscription is past due, or suspended, only for a time that is not paid, however old the invoice is.
"""

from datetime import datetime, timedelta
from typing import Any

from billing import events
from billing.models import DELETION_NOTICE, Reminder, Subscription
from billing.runs import batches
from billing.runs.batches import OF_INVOICE, OrganizationRange
from billing.runs.settings import stages_of
from core import site_settings

# Who has paid, and waits for the bank, is left alone; so is who was told how to transfer, once for an invoice: a second
# transfer in its place is no reason to wait longer.
NOT_UNDER_WAY = """
        AND NOT EXISTS (SELECT FROM billing_payment payment WHERE payment.invoice_id = invoice.id
            AND payment.state IN ('processing', 'under_review'))
        AND NOT EXISTS (SELECT FROM billing_payment payment
            JOIN billing_banktransfer transfer ON transfer.payment_id = payment.id
            WHERE payment.invoice_id = invoice.id AND payment.state = 'pending' AND transfer.expires_at > %(at)s
                AND NOT EXISTS (SELECT FROM billing_payment earlier
                    JOIN billing_banktransfer told ON told.payment_id = earlier.id
                    WHERE earlier.invoice_id = invoice.id AND earlier.created_at < payment.created_at))"""
UNPAID = "FROM billing_invoice invoice WHERE invoice.state IN ('open', 'overdue')"
LATE = "FROM billing_invoice invoice WHERE invoice.state = 'open' AND invoice.due_at <= %(at)s"
OVERDUE = """UPDATE billing_invoice SET state = 'overdue'
    WHERE id = ANY (%(locked)s) AND state = 'open' AND due_at <= %(at)s"""
LOCKED = " AND invoice.id = ANY (%(locked)s)"
# Subscriptions of ours whose next period is on one of these invoices, and whose paid time is over.
UNPAID_SUBSCRIPTIONS = f"""
    FROM billing_invoice invoice JOIN billing_invoiceitem item ON item.invoice_id = invoice.id
    JOIN billing_subscription subscription ON subscription.id = item.subscription_id
    WHERE invoice.state = 'overdue' AND item.kind IN ('plan', 'addon') AND subscription.billing_mode = 'self'
        AND item.period_end > subscription.current_period_end AND subscription.current_period_end <= %(at)s
        {NOT_UNDER_WAY}"""
PAST_DUE = f"{UNPAID_SUBSCRIPTIONS} AND subscription.status = 'active'"
# Not before the day that a reminder named, although the setting was changed since.
TO_SUSPEND = f"""{UNPAID_SUBSCRIPTIONS} AND subscription.status IN ('active', 'past_due')
        AND invoice.due_at <= %(suspended_due)s
        AND NOT EXISTS (SELECT FROM billing_reminder told WHERE told.invoice_id = invoice.id
            AND told.suspends_at > %(at)s)"""
# The latest stage that has come, if neither it nor a later one was sent.
REMINDERS = f"""
    FROM (SELECT invoice.id, invoice.organization_id, invoice.due_at, (
            SELECT max(stage) FROM unnest(%(stages)s::integer[]) stage
            WHERE invoice.due_at + make_interval(hours => 24 * stage) <= %(at)s) AS stage
        {UNPAID} AND invoice.due_at IS NOT NULL {{of_range}} {NOT_UNDER_WAY}) invoice
    WHERE invoice.stage IS NOT NULL AND NOT EXISTS (SELECT FROM billing_reminder sent
        WHERE sent.invoice_id = invoice.id AND sent.stage >= invoice.stage)"""
REMIND = f"""
    INSERT INTO billing_reminder (id, organization_id, invoice_id, stage, sent_at, suspends_at, deletes_at)
    SELECT uuidv7(), invoice.organization_id, invoice.id, invoice.stage, %(at)s,
        CASE WHEN (SELECT bool_and(subscription.status = 'suspended') FROM billing_invoiceitem item
                JOIN billing_subscription subscription ON subscription.id = item.subscription_id
                WHERE item.invoice_id = invoice.id) THEN %(at)s  -- as after a pause
            ELSE invoice.due_at + %(suspend_after)s END,
        greatest(invoice.due_at + %(delete_after)s, %(told)s)
    {REMINDERS.format(of_range=LOCKED)}
    ON CONFLICT (invoice_id, stage) DO NOTHING RETURNING id"""
# In the order of ARCHITECTURE.md: all the invoices, then the subscriptions that move.
LOCK_INVOICES = f"""SELECT id FROM billing_invoice WHERE id IN (SELECT invoice.id {LATE}{OF_INVOICE}
        UNION ALL SELECT invoice.id {PAST_DUE}{OF_INVOICE} UNION ALL SELECT invoice.id {TO_SUSPEND}{OF_INVOICE}
        UNION ALL SELECT invoice.id {REMINDERS.format(of_range=OF_INVOICE)}) ORDER BY id FOR NO KEY UPDATE"""
LOCK_SUBSCRIPTIONS = f"""SELECT id FROM billing_subscription WHERE id IN (
        SELECT subscription.id {UNPAID_SUBSCRIPTIONS}{LOCKED} AND subscription.status IN ('active', 'past_due'))
    ORDER BY id FOR NO KEY UPDATE"""
MOVE = """UPDATE billing_subscription SET status = '{status}' WHERE id IN (SELECT subscription.id {unpaid})
    RETURNING id"""
MAKE_PAST_DUE = MOVE.format(status="past_due", unpaid=PAST_DUE + LOCKED)
SUSPEND = MOVE.format(status="suspended", unpaid=TO_SUSPEND + LOCKED)
REMEMBER = """INSERT INTO billing_fact SELECT %(what)s, invoice.organization_id, coalesce(invoice.number, ''),
    reminder.sent_at, invoice.total_minor, invoice.currency
    FROM billing_reminder reminder JOIN billing_invoice invoice ON invoice.id = reminder.invoice_id
    WHERE reminder.id = ANY (%(ids)s)"""


def due(at: datetime) -> tuple[str, dict[str, Any]]:
    """What is late, to be reminded of, or to be suspended, as a query of organizations' ids and its parameters."""
    query = f"""SELECT invoice.organization_id {LATE} UNION ALL SELECT invoice.organization_id {PAST_DUE}
        UNION ALL SELECT invoice.organization_id {TO_SUSPEND}
        UNION ALL SELECT invoice.organization_id {REMINDERS.format(of_range="")}"""
    return query, settings_of(at)


def settings_of(at: datetime) -> dict[str, Any]:
    """What the operator has set, as the parameters of this module's statements."""
    suspend_after = timedelta(days=site_settings.get("billing.suspend_after_days"))
    delete_after = max(suspend_after, timedelta(days=site_settings.get("billing.delete_after_days")))
    return {
        "at": at,
        "stages": stages_of(site_settings.get("billing.reminder_days")),
        "suspend_after": suspend_after,
        "delete_after": delete_after,
        "suspended_due": at - suspend_after,
        "told": at + DELETION_NOTICE,
    }


def perform(of: OrganizationRange, at: datetime) -> None:
    """Mark, remind and suspend in the range; the caller holds a transaction."""
    params = settings_of(at) | of.params(at)
    params["locked"] = batches.ids(LOCK_INVOICES, params)
    batches.execute(OVERDUE, params)
    batches.execute(LOCK_SUBSCRIPTIONS, params)
    batches.execute(MAKE_PAST_DUE, params)
    if suspended := batches.ids(SUSPEND, params):
        batches.execute(batches.NOTE, {"what": "suspension", "ids": suspended, "at": at})
        events.subscriptions_suspended.send(Subscription, subscription_ids=suspended, reason="not paid", at=at)
    for reminders, is_overdue in remind(params):
        what = "overdue reminder" if is_overdue else "reminder"
        batches.execute(REMEMBER, {"what": what, "ids": reminders})
        events.reminders_sent.send(Reminder, reminder_ids=reminders, is_overdue=is_overdue, at=at)


def remind(params: dict[str, Any]) -> list[tuple[list[Any], bool]]:
    """Write the reminders that are due; those before the due date, and those after it."""
    sent = batches.ids(REMIND, params)
    rows = Reminder.objects.filter(pk__in=sent)
    early = list(rows.filter(stage__lt=0).values_list("pk", flat=True))
    overdue = list(rows.filter(stage__gte=0).values_list("pk", flat=True))
    return [(reminders, is_overdue) for reminders, is_overdue in ((early, False), (overdue, True)) if reminders]
