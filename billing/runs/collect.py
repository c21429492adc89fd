"""`collect`: pay the invoices that are due and renew automatically, from the wallet or by the saved method.

An invoice is paid whole or not at all, the one that is due first before the others. "You are never charged
automatically" holds for credit too: who renews by hand pays by hand.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from billing import saved_charges
from billing.models import Invoice
from billing.runs import batches, wallets
from billing.runs.batches import OF_INVOICE, OrganizationRange
from billing.saved_charges import ChargeDecision
from core import tenancy, work

# Of an invoice that is being paid the money is on its way. One of a subscription that is over is withdrawn (`renew`).
DUE = """
    FROM billing_invoice invoice
    WHERE invoice.state IN ('open', 'overdue') AND invoice.due_at <= %(at)s
        AND NOT EXISTS (SELECT FROM billing_payment payment WHERE payment.invoice_id = invoice.id
            AND payment.state IN ('pending', 'processing', 'under_review'))
        AND EXISTS (SELECT FROM billing_invoiceitem item
            WHERE item.invoice_id = invoice.id AND item.subscription_id IS NOT NULL)
        AND NOT EXISTS (SELECT FROM billing_invoiceitem item
            JOIN billing_subscription subscription ON subscription.id = item.subscription_id
            WHERE item.invoice_id = invoice.id AND (NOT subscription.is_auto_renewed
                OR subscription.billing_mode <> 'self' OR subscription.cancels_at_period_end
                OR subscription.pauses_until IS NOT NULL
                OR subscription.status NOT IN ('active', 'past_due', 'suspended') OR item.period_end IS NULL))"""
HAS_CREDIT = """ AND EXISTS (SELECT FROM billing_ledgeraccount wallet
        WHERE wallet.kind = 'wallet' AND wallet.organization_id = invoice.organization_id
            AND wallet.currency = invoice.currency
            AND wallet.balance_minor + wallet.promotional_minor >= invoice.total_minor)"""
HAS_METHOD = """ AND EXISTS (SELECT FROM billing_paymentmethod method
        WHERE method.organization_id = invoice.organization_id AND method.is_default)"""  # a removed one is not
AFFORDABLE = f"{DUE}{HAS_CREDIT}{OF_INVOICE}"
CHARGEABLE = f"SELECT invoice.id {DUE}{HAS_METHOD}{OF_INVOICE} ORDER BY invoice.due_at, invoice.id"
LOCKED = """CREATE TEMPORARY TABLE IF NOT EXISTS billing_locked_invoice (id uuid, organization_id uuid, currency text)
    ON COMMIT DELETE ROWS"""
# In the order of ARCHITECTURE.md: invoices, subscriptions, wallets.
LOCKS = (
    f"""INSERT INTO billing_locked_invoice SELECT * FROM (
        SELECT invoice.id, invoice.organization_id, invoice.currency {AFFORDABLE}
        ORDER BY invoice.id FOR NO KEY UPDATE OF invoice) invoice""",
    """SELECT id FROM billing_subscription WHERE id IN (SELECT item.subscription_id
        FROM billing_locked_invoice JOIN billing_invoiceitem item ON item.invoice_id = billing_locked_invoice.id)
        ORDER BY id FOR NO KEY UPDATE""",
    """SELECT id FROM billing_ledgeraccount WHERE kind = 'wallet' AND (organization_id, currency) IN (
        SELECT organization_id, currency FROM billing_locked_invoice)
        ORDER BY id FOR NO KEY UPDATE""",
)
# What the wallet pays in the order of the due dates; one that is more than is left lets those behind it go first.
CHOOSE = f"""
    INSERT INTO billing_to_pay (id) SELECT id FROM (
        SELECT affordable.id, wallet.balance_minor + wallet.promotional_minor AS credit_minor,
            sum(affordable.total_minor) OVER (
                PARTITION BY wallet.id ORDER BY affordable.due_at, affordable.id) AS needed_minor
        FROM (SELECT invoice.* {AFFORDABLE} AND invoice.id IN (SELECT id FROM billing_locked_invoice)) affordable
        JOIN billing_ledgeraccount wallet ON wallet.kind = 'wallet'
            AND wallet.organization_id = affordable.organization_id AND wallet.currency = affordable.currency
    ) queued WHERE needed_minor <= credit_minor"""


def due(at: datetime) -> tuple[str, dict[str, Any]]:
    """What can be paid at `at`, as a query of organizations' ids and its parameters."""
    paid, charged = (f"SELECT invoice.organization_id {DUE}{condition}" for condition in (HAS_CREDIT, HAS_METHOD))
    return f"{paid} UNION ALL {charged}", {"at": at}


def perform(of: OrganizationRange, at: datetime) -> None:
    """Pay what the wallets of the range suffice for; the caller holds a transaction."""
    params = of.params(at)
    batches.execute(LOCKED)
    batches.execute("DELETE FROM billing_locked_invoice")
    left, _subscriptions, _wallets = (batches.execute(lock, params) for lock in LOCKS)
    wallets.prepare()
    while left and batches.execute(CHOOSE, params):
        left -= wallets.pay(at=at)
        wallets.prepare()


def chargeable(of: OrganizationRange, at: datetime) -> list[Invoice]:
    """What is left in the range and could be charged to saved methods, in the order of the due dates."""
    with tenancy.as_worker():
        found = Invoice.objects.filter(pk__in=batches.ids(CHARGEABLE, of.params(at)))
        return list(found.order_by("due_at", "pk"))


def request_charges(invoices: Iterable[Invoice], at: datetime) -> int:
    """Have saved methods charged for invoices, each in a transaction of its own; for how many.

    Whether and when a refused one is charged again decides `saved_charges`.
    """

    def request(invoice: Invoice) -> bool:
        return saved_charges.request_charge(invoice=invoice, at=at) == ChargeDecision.REQUESTED

    return work.run_each(invoices, request, name="charge")
