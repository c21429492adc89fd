"""What no statement of a worker changes, however it is written: tried in SQL, up to what the commit checks."""

from uuid import UUID

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from billing.models import AccountKind, LedgerAccount
from core import tenancy
from core.ids import uuid7
from tests.billing.sales import accept, draft, make_sale, refund, run_commit_triggers, usd
from tests.builders import make_addon_price

pytestmark = pytest.mark.django_db

# The columns of a copy of one row, with another id or the same one.
REFUND = (
    "INSERT INTO billing_refund"
    " (id, organization_id, payment_id, gateway, is_live, amount_minor, currency, reason, state, idempotency_key, "
    "failure)"
    " SELECT uuidv7(), organization_id, id, gateway, is_live, {minor}, currency, '', '{state}', 'x', '' FROM "
    "billing_payment"
    " WHERE id = %(payment)s"
)
ACCOUNT = (
    "INSERT INTO billing_ledgeraccount (id, kind, organization_id, gateway, currency, balance_minor,"
    " promotional_minor) VALUES (%(wallet)s, 'receivable', %(other_organization)s, '', 'USD', 0, 0)"
)
ENTRY = (
    "INSERT INTO billing_journalentry (id, kind, reference, note, at)"
    " VALUES ('{id}', 'payment', '{reference}', '', now())"
)
POSTINGS = (
    "INSERT INTO billing_posting (id, entry_id, account_id, organization_id, amount_minor, currency)"
    " SELECT {id}, {entry}, account_id, organization_id, amount_minor, currency FROM billing_posting"
    " WHERE entry_id = (SELECT id FROM billing_journalentry WHERE payment_id = %(payment)s)"
)
SERIES = (
    "INSERT INTO billing_invoiceseries (code, document, credit_note_series_id, is_default, prefix, width,"
    " restarts_yearly, year, next_number, seller, seller_address, seller_tax_id)"
    " VALUES ('NB', 'invoice', 'NB-CN', true, 'NB-', 5, true, 2026, 50, '', '', '')"
)
NEW_ENTRY = "00000000-0000-7000-8000-000000000001"
ALLOCATION = (
    "INSERT INTO billing_paymentallocation (id, organization_id, payment_id, invoice_id, amount_minor, currency, at)"
    " SELECT uuidv7(), organization_id, {payment}, id, {minor}, 'USD', now() FROM billing_invoice WHERE id = %(draft)s"
)
CREDIT = ALLOCATION.format(payment="NULL::uuid", minor=900)
REVERSAL = (
    "INSERT INTO billing_allocationreversal (id, organization_id, allocation_id, amount_minor, currency, at)"
    " SELECT uuidv7(), organization_id, id, {minor}, 'USD', now() FROM billing_paymentallocation"
    " WHERE payment_id = %(payment)s"
)
DISPUTE = (
    "INSERT INTO billing_dispute (id, organization_id, payment_id, gateway, is_live, reference, amount_minor, currency,"
    " reason, opened_at, closed_at, is_won, lost_minor)"
    " SELECT uuidv7(), organization_id, id, gateway, is_live, 'dp', 800, currency, '', now(), now(), false, {lost}"
    " FROM billing_payment WHERE id = %(payment)s"
)
OPEN = "UPDATE billing_invoice SET state = 'open', issued_at = now() WHERE id = %(draft)s"
REFUNDED = (
    "UPDATE billing_invoice SET state = 'refunded'"
    " WHERE id = (SELECT invoice_id FROM billing_payment WHERE id = %(payment)s)"
)

REFUSED = {
    "a posting whose id exists is left out of its entry": (
        f"{ENTRY.format(id=NEW_ENTRY, reference='x')};"
        f"{POSTINGS.format(id='id', entry=f"'{NEW_ENTRY}'")} ON CONFLICT DO NOTHING",
        "has no postings",
    ),
    "an entry is replaced where its reference exists": (
        f"{ENTRY.format(id=NEW_ENTRY, reference='payment:stripe:pi')}"
        " ON CONFLICT (reference) DO UPDATE SET note = 'other'",
        "permission denied",
    ),
    "a posting is moved by a merge": (
        "MERGE INTO billing_posting row USING billing_posting other ON row.id = other.id"
        " WHEN MATCHED THEN UPDATE SET amount_minor = 1",
        "permission denied",
    ),
    "a balance is set where the account exists": (
        f"{ACCOUNT} ON CONFLICT (id) DO UPDATE SET balance_minor = 5",
        "by postings only",
    ),
    "an account is deleted and made again as another organization's": (
        f"DELETE FROM billing_ledgeraccount WHERE id = %(wallet)s; {ACCOUNT}",
        "never deleted",
    ),
    "an account gets another id, and its id another account": (
        f"UPDATE billing_ledgeraccount SET id = uuidv7() WHERE id = %(wallet)s; {ACCOUNT}",
        "does not change",
    ),
    "an entry names another transaction": (
        "UPDATE billing_journalentry SET written_in = pg_current_xact_id()",
        "permission denied",
    ),
    "what a payment received is raised": (
        "UPDATE billing_payment SET received_minor = 5000 WHERE id = %(payment)s",
        "payment does not change",
    ),
    "a received payment is lowered below what it pays": (
        "UPDATE billing_payment SET received_minor = 799 WHERE id = %(payment)s",
        "payment does not change",
    ),
    "a received payment is pending again": (
        "UPDATE billing_payment SET state = 'pending' WHERE id = %(payment)s",
        "payment does not change",
    ),
    "a received payment becomes another transaction": (
        "UPDATE billing_payment SET transaction_id = 'pi_other' WHERE id = %(payment)s",
        "payment does not change",
    ),
    "a received payment is deleted and made again over more": (
        "CREATE TEMPORARY TABLE again ON COMMIT DROP AS SELECT * FROM billing_payment WHERE id = %(payment)s;"
        "DELETE FROM billing_payment WHERE id = %(payment)s;"
        "UPDATE again SET received_minor = 5000;"
        "INSERT INTO billing_payment SELECT * FROM again",
        "never deleted",
    ),
    "more is refunded than was paid": (REFUND.format(minor=801, state="pending"), "received 800 and 801"),
    "99,999 yen of a payment in dollars are refunded": (
        REFUND.format(minor=99999, state="pending").replace("currency, ''", "'JPY', ''"),
        "received 800 and 99999",
    ),
    "a refund is raised": (
        REFUND.format(minor=1, state="pending") + "; UPDATE billing_refund SET amount_minor = 800",
        "does not change",
    ),
    "a failed refund succeeds after another one": (
        REFUND.format(minor=800, state="failed")
        + ";"
        + REFUND.format(minor=800, state="pending").replace("'x'", "'y'")
        + "; UPDATE billing_refund SET state = 'succeeded'",
        "does not change",
    ),
    "a refund is deleted": (
        REFUND.format(minor=1, state="pending") + "; DELETE FROM billing_refund",
        "never deleted",
    ),
    "a refund moves to another payment": (
        REFUND.format(minor=1, state="pending") + "; UPDATE billing_refund SET payment_id = %(other_payment)s",
        "does not change",
    ),
    "a reversal is deleted": ("DELETE FROM billing_allocationreversal", "never deleted"),
    "a reversal is undone twice": (
        "UPDATE billing_allocationreversal SET undone_at = now();"
        "UPDATE billing_allocationreversal SET undone_at = NULL",
        "does not change",
    ),
    "a reversal is lowered": ("UPDATE billing_allocationreversal SET amount_minor = 1", "does not change"),
    "a refund takes back what another payment paid": (
        "INSERT INTO billing_allocationreversal"
        " (id, organization_id, allocation_id, refund_id, amount_minor, currency, at)"
        " SELECT uuidv7(), allocation.organization_id, allocation.id, refund.id, 1, 'USD', now()"
        " FROM billing_paymentallocation allocation, billing_refund refund"
        " WHERE allocation.payment_id = %(payment)s AND refund.payment_id = %(refunded_payment)s",
        "of another payment",
    ),
    "a refund takes back more than it is": (
        "INSERT INTO billing_allocationreversal"
        " (id, organization_id, allocation_id, refund_id, amount_minor, currency, at)"
        " SELECT uuidv7(), allocation.organization_id, allocation.id, refund.id, 400, 'USD', now()"
        " FROM billing_paymentallocation allocation, billing_refund refund"
        " WHERE allocation.payment_id = refund.payment_id",
        "more than it is",
    ),
    "an allocation is deleted": ("DELETE FROM billing_paymentallocation", "permission denied"),
    "an allocation is raised": ("UPDATE billing_paymentallocation SET amount_minor = 801", "permission denied"),
    "an allocation pays a draft": (CREDIT, "that is draft is paid"),
    "an allocation pays a void invoice": (
        f"{OPEN}; UPDATE billing_invoice SET state = 'void', voided_at = now() WHERE id = %(draft)s; {CREDIT}",
        "that is void is paid",
    ),
    "an allocation pays an expired draft": (
        f"UPDATE billing_invoice SET state = 'expired' WHERE id = %(draft)s; {CREDIT}",
        "that is expired is paid",
    ),
    "an invoice that an allocation pays becomes void": (
        f"{OPEN}; {CREDIT}; UPDATE billing_invoice SET state = 'void', voided_at = now() WHERE id = %(draft)s",
        "is paid and cannot be void",
    ),
    "an allocation spends a payment that did not arrive": (
        "INSERT INTO billing_payment (id, organization_id, gateway, is_live, state, amount_minor, credit_minor,"
        " currency, idempotency_key, received_minor, received_currency, refunded_minor, lost_minor, method_label,"
        " channel, review_reason, failure, failure_code, session_url, success_url, cancel_url, session_requests,"
        " is_automatic, created_at, updated_at, card_fingerprint)"
        " SELECT %(new)s, organization_id, gateway, is_live, 'failed', 900, 0, 'USD', 'x', 900, 'USD', 0, 0, '', '',"
        " '', '', '', '', '', '', 1, false, now(), now(), '' FROM billing_payment WHERE id = %(payment)s;"
        f"{OPEN}; {ALLOCATION.format(payment='%(new)s::uuid', minor=900)}",
        "did not arrive",
    ),
    "an invoice is refunded of which all is left": (REFUNDED, "is refunded and 800 of it is left"),
    "an invoice is refunded of which a part is left": (
        f"{REVERSAL.format(minor=799)}; {REFUNDED}",
        "is refunded and 1 of it is left",
    ),
    "a refunded invoice has its money again": (
        f"{REVERSAL.format(minor=800)}; {REFUNDED};"
        "UPDATE billing_allocationreversal SET undone_at = now() WHERE refund_id IS NULL",
        "is refunded and 800 of it is left",
    ),
    "what a refund took back is there again": (
        "UPDATE billing_allocationreversal SET undone_at = now() WHERE refund_id IS NOT NULL",
        "kept 500 and pays 800",
    ),
    "an entry of a payment names no organization": (
        "INSERT INTO billing_journalentry (id, kind, reference, payment_id, note, at)"
        " VALUES (uuidv7(), 'payment', 'x', %(payment)s, '', now())",
        "source_has_organization",
    ),
    "an entry posts to the wallet of another organization": (
        "INSERT INTO billing_journalentry (id, kind, reference, organization_id, note, at)"
        f" VALUES ('{NEW_ENTRY}', 'payment', 'x', %(other_organization)s, '', now());"
        f"{POSTINGS.format(id='uuidv7()', entry=f"'{NEW_ENTRY}'")}",
        "another organization",
    ),
    "an entry of no organization posts to a wallet": (
        f"{ENTRY.format(id=NEW_ENTRY, reference='x')};{POSTINGS.format(id='uuidv7()', entry=f"'{NEW_ENTRY}'")}",
        "another organization",
    ),
    "what a payment was refunded is forgotten": (
        "UPDATE billing_payment SET refunded_minor = 0 WHERE id = %(refunded_payment)s",
        "was refunded 300 and says 0",
    ),
    "a payment lost what no dispute took": (
        "UPDATE billing_payment SET lost_minor = 1 WHERE id = %(payment)s",
        "lost 0 to disputes and says 1",
    ),
    "a refund is made that its payment does not count": (
        REFUND.format(minor=1, state="pending"),
        "was refunded 1 and says 0",
    ),
    "a dispute takes what its payment does not count": (
        DISPUTE.format(lost=1),
        "lost 1 to disputes and says 0",
    ),
    "a dispute is raised": (
        f"{DISPUTE.format(lost=0)}; UPDATE billing_dispute SET amount_minor = 900",
        "does not change",
    ),
    "a dispute is deleted": (f"{DISPUTE.format(lost=0)}; DELETE FROM billing_dispute", "never deleted"),
    "a draft has the date of an issued invoice": (
        "UPDATE billing_invoice SET issued_at = now() WHERE id = %(draft)s",
        "issued_iff",
    ),
    "an invoice begins with a number": (
        "INSERT INTO billing_invoice (id, organization_id, series_id, state, currency, net_minor, tax_minor,"
        " total_minor, seller, billing_address, issued_at, number, sequence, sequence_year)"
        " SELECT uuidv7(), organization_id, 'NB', 'open', 'USD', 0, 0, 0, '{}', '{}', now(), 'NB-2026-00007', 7, 2026"
        " FROM billing_invoice WHERE id = %(draft)s",
        "at commit only",
    ),
    "a series is deleted and begins again higher": (
        f"DELETE FROM billing_invoiceseries WHERE code = 'NB'; {SERIES}",
        "never deleted",
    ),
    "a series of invoices numbers credit notes": (
        "UPDATE billing_invoiceseries SET document = 'credit_note', credit_note_series_id = NULL, is_default = false"
        " WHERE code = 'NB'",
        "keeps its code and its kind",
    ),
    "a series gets another code": ("UPDATE billing_invoiceseries SET code = 'X'", "keeps its code and its kind"),
    "a plan's price is changed": ("UPDATE catalog_planprice SET amount_minor = 1", "a price does not change"),
    "an add-on's price is changed": ("UPDATE catalog_addonprice SET amount_minor = 1", "a price does not change"),
    "a line is added between the checks of the commit and the commit": (
        "UPDATE billing_invoice SET state = 'open', issued_at = now() WHERE id = %(draft)s;"
        "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"
        "INSERT INTO billing_invoiceitem (id, invoice_id, organization_id, kind, description, quantity, unit_minor,"
        " amount_minor, currency, is_void, position)"
        " SELECT uuidv7(), id, organization_id, 'setup', '', 1, 1, 1, 'USD', false, 9 FROM billing_invoice"
        " WHERE id = %(draft)s",
        "do not change",
    ),
    "the net amount changes between the checks of the commit and the commit": (
        "UPDATE billing_invoice SET state = 'open', issued_at = now() WHERE id = %(draft)s;"
        "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"
        "UPDATE billing_invoice SET net_minor = 99900, total_minor = 99900 WHERE id = %(draft)s",
        "does not change",
    ),
    "an invoice over 999 USD has one item over 5 EUR of a stranger": (
        "UPDATE billing_invoice SET state = 'open', issued_at = now(), net_minor = 99900, total_minor = 99900"
        " WHERE id = %(draft)s;"
        "SET CONSTRAINTS ALL IMMEDIATE",
        "net amount of 99900",
    ),
    "a line names a stranger's subscription item without its subscription": (
        "UPDATE billing_invoiceitem SET subscription_item_id = %(other_item)s, subscription_id = NULL,"
        " kind = 'plan', period_start = now(), period_end = now() + interval '30 days' WHERE invoice_id = %(draft)s",
        "names_subscription_of_its_item",
    ),
    "a table is emptied": ("TRUNCATE billing_refund CASCADE", "permission denied"),
    "triggers are switched off": ("ALTER TABLE billing_posting DISABLE TRIGGER ALL", "must be owner"),
    "a rule is dropped": (
        "ALTER TABLE billing_ledgeraccount DROP CONSTRAINT billing_account_not_overdrawn",
        "must be owner",
    ),
    "the session plays a replica": ("SET LOCAL session_replication_role = replica", "permission denied"),
}


def test_no_statement_of_a_worker_gets_around_a_rule() -> None:
    sale, other = make_sale(), make_sale()
    payment, other_payment = sale.settle(), other.settle()
    refunded = make_sale(organization=sale.organization).settle()
    refund(refunded, 300)
    unpaid = draft(sale, 900)
    make_addon_price()
    run_commit_triggers()
    ids = {
        "payment": payment.pk,
        "refunded_payment": refunded.pk,
        "other_payment": other_payment.pk,
        "draft": unpaid.pk,
        "wallet": LedgerAccount.objects.get(kind=AccountKind.WALLET, organization=sale.organization).pk,
        "other_organization": other.organization.pk,
        "other_item": other.subscription.items.get().pk,
        "new": uuid7(),
    }
    refused = {}
    for what, (statement, _message) in REFUSED.items():
        try:
            with transaction.atomic(), tenancy.as_role(role=tenancy.WORKER):
                execute_and_check(statement, ids)
                transaction.set_rollback(True)
        except DatabaseError as error:
            refused[what] = str(error)

    wrong = {what: refused.get(what) for what, (_, message) in REFUSED.items() if message not in refused.get(what, "")}
    assert wrong == {}


def test_an_allocation_of_credit_that_was_refunded_is_refused() -> None:
    sale = make_sale(minor=5000)
    payment = accept(sale.settle(amount=usd(1000)))
    refund(payment, 300)
    ids = {"payment": payment.pk, "draft": draft(sale, 900).pk}
    statement = f"{OPEN}; {ALLOCATION.format(payment='%(payment)s::uuid', minor=900)}"
    with pytest.raises(DatabaseError, match="kept 700 and pays 900"), tenancy.as_role(role=tenancy.WORKER):
        execute_and_check(statement, ids)


def execute_and_check(statement: str, ids: dict[str, UUID]) -> None:
    """Execute it and what the commit would check."""
    with connection.cursor() as cursor:
        cursor.execute(statement, ids)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
