"""The audit of the ledger: what must hold in the whole book at every moment. Each rule finds the rows that break it.

The database refuses most of this when it is written. The audit would find what nobody thought of, or what was written
past the rules: by a restored backup, a database owner, or a fault in the rules themselves.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from billing.models import LedgerAudit
from core import clock, tenancy

log = logging.getLogger(__name__)

MAX_ROWS = 100  # of each rule that are kept with an audit
KEPT = timedelta(days=400)  # more than a business year


@dataclass(frozen=True)
class Rule:
    """A rule of the book. The query returns the rows that break it, each beginning with what names it."""

    code: str
    text: Promise
    query: str


RULES = (
    Rule(
        "entry_not_zero",
        _("An entry does not sum to zero."),
        """
        SELECT entry_id, currency, sum(amount_minor) FROM billing_posting
        GROUP BY entry_id, currency HAVING sum(amount_minor) <> 0""",
    ),
    Rule(
        "posting_of_nothing",
        _("A posting has no entry or no account, or one of another organization or currency."),
        """
        SELECT posting.id, posting.entry_id, posting.account_id FROM billing_posting posting
        LEFT JOIN billing_journalentry entry ON entry.id = posting.entry_id
        LEFT JOIN billing_ledgeraccount account ON account.id = posting.account_id
        WHERE entry.id IS NULL OR account.id IS NULL OR account.currency <> posting.currency
            OR account.organization_id IS DISTINCT FROM posting.organization_id""",
    ),
    Rule(
        "balance_not_postings",
        _("A balance is not the sum of its postings."),
        """
        SELECT account.id, account.kind, account.balance_minor, coalesce(sum(posting.amount_minor), 0) AS posted
        FROM billing_ledgeraccount account LEFT JOIN billing_posting posting ON posting.account_id = account.id
        WHERE account.organization_id IS NOT NULL
        GROUP BY account.id HAVING account.balance_minor <> coalesce(sum(posting.amount_minor), 0)""",
    ),
    Rule(
        "invoice_not_items",
        _("An issued invoice is not its items and its tax."),
        """
        SELECT invoice.id, invoice.net_minor, invoice.tax_minor FROM billing_invoice invoice
        WHERE invoice.state <> 'draft' AND (
            net_minor + CASE WHEN is_tax_inclusive THEN tax_minor ELSE 0 END
                <> (SELECT coalesce(sum(amount_minor), 0) FROM billing_invoiceitem WHERE invoice_id = invoice.id)
            OR tax_minor <> (SELECT coalesce(sum(tax_minor), 0) FROM billing_invoicetax WHERE invoice_id = invoice.id)
            OR net_minor + tax_minor <> total_minor)""",
    ),
    Rule(
        "invoice_not_allocations",
        _("A paid invoice is not its allocations."),
        """
        SELECT invoice.id, invoice.total_minor, coalesce(sum(allocation.amount_minor), 0) AS allocated
        FROM billing_invoice invoice
        LEFT JOIN billing_paymentallocation allocation ON allocation.invoice_id = invoice.id
        WHERE invoice.state IN ('paid', 'refunded')
        GROUP BY invoice.id HAVING invoice.total_minor <> coalesce(sum(allocation.amount_minor), 0)""",
    ),
    Rule(
        "refunded_invoice_kept_money",
        _("A refunded invoice kept some of its money."),
        """
        SELECT invoice.id, invoice.total_minor, coalesce(sum(reversal.amount_minor), 0) AS reversed
        FROM billing_invoice invoice
        LEFT JOIN billing_paymentallocation allocation ON allocation.invoice_id = invoice.id
        LEFT JOIN billing_allocationreversal reversal
            ON reversal.allocation_id = allocation.id AND reversal.undone_at IS NULL
        WHERE invoice.state = 'refunded'
        GROUP BY invoice.id HAVING invoice.total_minor <> coalesce(sum(reversal.amount_minor), 0)""",
    ),
    Rule(
        "allocated_but_unpaid",
        _("Money pays an invoice that is not paid."),
        """
        SELECT invoice.id, invoice.state FROM billing_invoice invoice
        JOIN billing_paymentallocation allocation ON allocation.invoice_id = invoice.id
        WHERE invoice.state NOT IN ('paid', 'refunded')""",
    ),
    Rule(
        "payment_not_refunds",
        _("A payment's refunds are not what it says."),
        """
        SELECT payment.id, payment.refunded_minor, coalesce(sum(refund.amount_minor), 0) AS refunds
        FROM billing_payment payment
        LEFT JOIN billing_refund refund ON refund.payment_id = payment.id AND refund.state <> 'failed'
        GROUP BY payment.id HAVING payment.refunded_minor <> coalesce(sum(refund.amount_minor), 0)""",
    ),
    Rule(
        "payment_not_disputes",
        _("A payment's lost disputes are not what it says."),
        """
        SELECT payment.id, payment.lost_minor, coalesce(sum(dispute.lost_minor), 0) AS disputes
        FROM billing_payment payment
        LEFT JOIN billing_dispute dispute ON dispute.payment_id = payment.id
        GROUP BY payment.id HAVING payment.lost_minor <> coalesce(sum(dispute.lost_minor), 0)""",
    ),
    Rule(
        "lost_money_refundable",
        _("Money that a lost dispute took can be refunded."),
        """
        SELECT payment.id FROM billing_payment payment JOIN billing_dispute dispute ON dispute.payment_id = payment.id
        WHERE NOT dispute.is_won AND dispute.currency = payment.received_currency
        AND dispute.lost_minor < dispute.amount_minor
        AND payment.received_minor > payment.refunded_minor + payment.lost_minor""",
    ),
    Rule(
        "number_missing",
        _("A number is missing."),
        """
        SELECT series_id, sequence_year, count(*), max(sequence) FROM (
            SELECT series_id, sequence_year, sequence FROM billing_invoice WHERE issued_at IS NOT NULL
            UNION ALL SELECT series_id, sequence_year, sequence FROM billing_creditnote
        ) document GROUP BY series_id, sequence_year HAVING count(*) <> max(sequence) OR min(sequence) <> 1""",
    ),
    Rule(
        "refund_without_credit_note",
        _("Money of an invoice went back without a credit note, or a credit note is over money that did not."),
        """
        SELECT allocation.invoice_id, reversal.id FROM billing_allocationreversal reversal
        JOIN billing_paymentallocation allocation ON allocation.id = reversal.allocation_id
        LEFT JOIN billing_refund refund ON refund.id = reversal.refund_id
        LEFT JOIN billing_creditnote note ON note.reversal_id = reversal.id AND note.voided_at IS NULL
        WHERE coalesce(note.total_minor, 0) <> CASE WHEN reversal.undone_at IS NULL
            AND refund.state IS DISTINCT FROM 'pending' THEN reversal.amount_minor ELSE 0 END""",
    ),
    Rule(
        "reserved_not_payments",
        _("Reserved credit is not that of open payments and disputes, and of the hours that are not invoiced yet."),
        """
        SELECT account.organization_id, account.currency, account.balance_minor FROM billing_ledgeraccount account
        WHERE account.kind = 'reserved_credit' AND account.balance_minor <> (
            SELECT coalesce(sum(credit_minor), 0) FROM billing_payment payment
            WHERE payment.organization_id = account.organization_id AND payment.currency = account.currency
                AND payment.state IN ('pending', 'processing')) + (
            SELECT coalesce(sum(total_minor), 0) FROM billing_invoice draft
            WHERE draft.organization_id = account.organization_id AND draft.currency = account.currency
                AND draft.state = 'draft' AND draft.usage_month IS NOT NULL) + (
            SELECT coalesce(sum(posting.amount_minor), 0) FROM billing_posting posting
            JOIN billing_journalentry entry ON entry.id = posting.entry_id
            JOIN billing_dispute dispute ON dispute.id = entry.dispute_id AND dispute.closed_at IS NULL
            WHERE posting.account_id = account.id)""",
    ),
    Rule(
        "credit_beside_debt",
        _("A wallet has money although its organization owes some."),
        """
        SELECT wallet.id, wallet.organization_id, wallet.balance_minor, -debt.balance_minor AS owed
        FROM billing_ledgeraccount wallet JOIN billing_ledgeraccount debt ON debt.kind = 'receivable'
            AND debt.organization_id = wallet.organization_id AND debt.currency = wallet.currency
        WHERE wallet.kind = 'wallet' AND wallet.balance_minor > 0 AND debt.balance_minor < 0""",
    ),
    Rule(
        "pause_not_kept",
        _(
            "A time was billed for which its subscription paused, a subscription is paused without such a time, "
            "or one that should pause runs on."
        ),
        """
        SELECT pause.subscription_id, pause.begun_at, pause.ended_at, item.invoice_id
        FROM billing_subscriptionpause pause
        JOIN billing_invoiceitem item ON item.subscription_id = pause.subscription_id AND NOT item.is_void
            AND item.period_end > pause.begun_at AND (pause.ended_at IS NULL OR item.period_start < pause.ended_at)
        UNION ALL SELECT subscription.id, NULL, NULL, NULL FROM billing_subscription subscription
        WHERE (subscription.status = 'paused') <> EXISTS (SELECT FROM billing_subscriptionpause pause
            WHERE pause.subscription_id = subscription.id AND pause.ended_at IS NULL)
        UNION ALL SELECT subscription.id, subscription.current_period_end, NULL, NULL
        FROM billing_subscription subscription WHERE subscription.pauses_until IS NOT NULL
            AND NOT subscription.cancels_at_period_end AND subscription.status IN ('active', 'past_due')
            AND EXISTS (SELECT FROM billing_run run WHERE run.kind = 'renew' AND run.ended_at IS NOT NULL
                AND run.at > subscription.current_period_end + interval '1 day')""",
    ),
    Rule(
        "hours_charged_not_run",
        _("The hours that were charged are not those that the server ran."),
        """
        SELECT subscription.id, subscription.metered_from, subscription.current_period_end, count(cycle.id) AS charged
        FROM billing_subscription subscription LEFT JOIN billing_usagecycle cycle
            ON cycle.subscription_id = subscription.id AND cycle.hour >= subscription.metered_from
        WHERE subscription.metered_from IS NOT NULL GROUP BY subscription.id
        HAVING count(cycle.id) * interval '1 hour' <> subscription.current_period_end - subscription.metered_from""",
    ),
    Rule(
        "usage_not_its_hours",
        _("The usage on an invoice is not the hours that were charged."),
        """
        SELECT invoice_id, subscription_id, sum(billed) AS billed, sum(charged) AS charged FROM (
            SELECT item.invoice_id, item.subscription_id, item.quantity * item.unit_minor AS billed, 0 AS charged
            FROM billing_invoiceitem item JOIN billing_invoice invoice ON invoice.id = item.invoice_id
            WHERE invoice.usage_month IS NOT NULL
            UNION ALL SELECT invoice_id, subscription_id, 0, unit_minor FROM billing_usagecycle
        ) compared GROUP BY invoice_id, subscription_id HAVING sum(billed) <> sum(charged)""",
    ),
    Rule(
        "grant_not_posted",
        _("Credit that was given is not what is posted."),
        """
        SELECT given.id, given.amount_minor, coalesce(sum(posting.amount_minor), 0) AS posted
        FROM billing_creditgrant given
        LEFT JOIN billing_journalentry entry ON entry.creditgrant_id = given.id AND entry.kind = 'credit_granted'
        LEFT JOIN billing_posting posting ON posting.entry_id = entry.id AND posting.organization_id IS NOT NULL
        GROUP BY given.id HAVING given.amount_minor <> coalesce(sum(posting.amount_minor), 0)""",
    ),
    Rule(
        "promotional_not_grants",
        _("Promotional credit is not what is left of its grants, or the wallet lets another amount be spent."),
        """
        SELECT organization_id, currency, sum(held) AS held, sum(remaining) AS remaining, sum(beside) AS beside FROM (
            SELECT organization_id, currency, balance_minor AS held, 0 AS remaining, 0 AS beside, false AS owes
            FROM billing_ledgeraccount WHERE kind = 'promotional_credit'
            UNION ALL SELECT organization_id, currency, 0, remaining_minor, 0, false FROM billing_creditgrant
            UNION ALL SELECT organization_id, currency, 0, 0, promotional_minor, false FROM billing_ledgeraccount
            WHERE kind = 'wallet'
            UNION ALL SELECT organization_id, currency, 0, 0, 0, balance_minor < 0 FROM billing_ledgeraccount
            WHERE kind = 'receivable'
        ) compared GROUP BY organization_id, currency
        HAVING sum(held) <> sum(remaining)
            OR sum(beside) <> CASE WHEN bool_or(owes) THEN 0 ELSE sum(held) END""",
    ),
    Rule(
        "promotional_became_money",
        _("More promotional credit came back of an invoice than paid it, or more paid it than credit did."),
        """
        SELECT paid.invoice_id, paid.minor, coalesce(sum(allocation.amount_minor - coalesce((
                SELECT sum(reversal.amount_minor) FROM billing_allocationreversal reversal
                WHERE reversal.allocation_id = allocation.id AND reversal.undone_at IS NULL), 0)), 0) AS by_credit
        FROM (SELECT entry.invoice_id, -sum(posting.amount_minor) AS minor FROM billing_posting posting
            JOIN billing_ledgeraccount account ON account.id = posting.account_id
            JOIN billing_journalentry entry ON entry.id = posting.entry_id
            WHERE account.kind = 'promotional_credit' AND entry.invoice_id IS NOT NULL
            GROUP BY entry.invoice_id) paid
        JOIN billing_invoice invoice ON invoice.id = paid.invoice_id AND invoice.state <> 'draft'
        LEFT JOIN billing_paymentallocation allocation ON allocation.invoice_id = invoice.id
            AND allocation.payment_id IS NULL
        GROUP BY paid.invoice_id, paid.minor HAVING paid.minor < 0 OR paid.minor > coalesce(sum(
            allocation.amount_minor - coalesce((SELECT sum(reversal.amount_minor)
                FROM billing_allocationreversal reversal
                WHERE reversal.allocation_id = allocation.id AND reversal.undone_at IS NULL), 0)), 0)""",
    ),
    # Of each kind of account and currency: what is posted, and what the rows say.
    Rule(
        "account_not_rows",
        _("An account is not what the rows say."),
        """
        WITH reversal AS (
            SELECT currency, amount_minor, dispute_id, allocation_id FROM billing_allocationreversal
            WHERE undone_at IS NULL
        ), said (kind, currency, minor) AS (
            SELECT 'suspense', received_currency, received_minor - refunded_minor - lost_minor FROM billing_payment
            WHERE review_reason <> '' AND accepted_at IS NULL AND received_minor > 0
            UNION ALL SELECT 'credit', received_currency, received_minor - refunded_minor - lost_minor
            FROM billing_payment WHERE (review_reason = '' OR accepted_at IS NOT NULL) AND received_minor > 0
            UNION ALL SELECT 'credit', currency, -amount_minor FROM billing_paymentallocation
            UNION ALL SELECT 'credit', currency, amount_minor FROM reversal
            UNION ALL SELECT 'sales', currency, total_minor FROM billing_invoice WHERE state IN ('paid', 'refunded')
            UNION ALL SELECT 'sales', currency, -tax_minor FROM billing_creditnote WHERE voided_at IS NULL
            UNION ALL SELECT 'refunds', currency, tax_minor FROM billing_creditnote WHERE voided_at IS NULL
            UNION ALL SELECT 'refunds', currency, -amount_minor FROM reversal WHERE dispute_id IS NULL
            UNION ALL SELECT 'disputes', currency, -amount_minor FROM reversal WHERE dispute_id IS NOT NULL
            UNION ALL SELECT 'disputes', currency, lost_minor - amount_minor FROM billing_dispute
            WHERE is_won IS NOT TRUE
        ), posted (kind, currency, minor) AS (
            SELECT CASE WHEN account.kind IN ('wallet', 'reserved_credit', 'promotional_credit', 'receivable')
                THEN 'credit'
                WHEN account.kind IN ('revenue', 'tax') THEN 'sales' ELSE account.kind END,
                posting.currency, posting.amount_minor
            FROM billing_posting posting JOIN billing_ledgeraccount account ON account.id = posting.account_id
            JOIN billing_journalentry entry ON entry.id = posting.entry_id
            WHERE entry.kind NOT IN ('commission_paid', 'credit_granted', 'credit_expired') AND account.kind IN (
                'suspense', 'wallet', 'reserved_credit', 'promotional_credit', 'receivable', 'revenue', 'tax',
                'refunds', 'disputes'
            )
        )
        SELECT kind, currency, sum(posted) AS posted, sum(said) AS said FROM (
            SELECT kind, currency, minor AS posted, 0 AS said FROM posted
            UNION ALL SELECT kind, currency, 0, minor FROM said
        ) compared GROUP BY kind, currency HAVING sum(posted) <> sum(said)""",
    ),
)


_rules = list(RULES)


def register(rule: Rule) -> None:
    """Check a rule of another app too; called from AppConfig.ready()."""
    _rules.append(rule)


def broken_rules() -> dict[str, list[dict[str, Any]]]:
    """The rules that do not hold now, by code, each with the rows that break it."""
    broken = {}
    with tenancy.as_worker_without_row(), connection.cursor() as cursor:
        for rule in _rules:
            cursor.execute(rule.query)
            names = [column.name for column in cursor.description or ()]
            if rows := [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]:
                broken[rule.code] = rows
    return broken


def audit_ledger(*, at: datetime) -> LedgerAudit:
    """Check every rule over the whole book, and store the result. Audits are kept for `KEPT`."""
    broken = broken_rules()
    for code, rows in broken.items():
        log.error("the ledger breaks the rule %s in %s row(s), such as %s", code, len(rows), rows[0])
    with tenancy.as_worker_without_row():
        LedgerAudit.objects.filter(started_at__lt=at - KEPT).delete()
        return LedgerAudit.objects.create(
            started_at=at,
            ended_at=clock.now(),
            broken_count=sum(len(rows) for rows in broken.values()),
            broken={
                code: [{name: str(value) for name, value in row.items()} for row in rows[:MAX_ROWS]]
                for code, rows in broken.items()
            },
        )


def text_of(code: str) -> str:
    """The rule in words."""
    return next((str(rule.text) for rule in _rules if rule.code == code), code)
