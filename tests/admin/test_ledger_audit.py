"""The audit of the ledger: each rule finds what was written past the database's rules, and staff see it."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from billing import ledger_audit
from billing.models import LedgerAudit
from core import tenancy
from orders.affiliates import commissions
from tests.billing.sales import NOON, make_sale, run_commit_triggers
from tests.billing.test_grants import give

pytestmark = pytest.mark.django_db

# Each rule, and statements that break it once no trigger is in their way.
BREAKS = {
    "entry_not_zero": "UPDATE billing_posting SET amount_minor = amount_minor + 1 WHERE amount_minor > 0",
    "posting_of_nothing": "UPDATE billing_posting SET account_id = uuidv7() WHERE amount_minor > 0",
    "balance_not_postings": "UPDATE billing_ledgeraccount SET balance_minor = balance_minor + 1 WHERE kind = 'wallet'",
    "invoice_not_items": "UPDATE billing_invoice SET net_minor = net_minor + 1, total_minor = total_minor + 1",
    "invoice_not_allocations": "UPDATE billing_paymentallocation SET amount_minor = amount_minor - 1",
    "refunded_invoice_kept_money": "UPDATE billing_invoice SET state = 'refunded'",
    "allocated_but_unpaid": "UPDATE billing_invoice SET state = 'overdue'",
    "payment_not_refunds": "UPDATE billing_payment SET refunded_minor = 1",
    "payment_not_disputes": "UPDATE billing_payment SET lost_minor = 1",
    "lost_money_refundable": """
        INSERT INTO billing_dispute (id, organization_id, payment_id, gateway, is_live, reference, amount_minor,
            currency, reason, opened_at, closed_at, is_won, lost_minor, created_at, updated_at)
        SELECT uuidv7(), organization_id, id, gateway, is_live, 'dp_1', 800, 'USD', '', now(), now(), false, 0, now(),
            now() FROM billing_payment""",
    "number_missing": "UPDATE billing_invoice SET sequence = sequence + 1",
    "refund_without_credit_note": """
        INSERT INTO billing_allocationreversal (id, organization_id, allocation_id, amount_minor, currency, at,
            created_at, updated_at)
        SELECT uuidv7(), organization_id, id, 1, currency, now(), now(), now() FROM billing_paymentallocation""",
    "reserved_not_payments": """
        UPDATE billing_ledgeraccount SET kind = 'reserved_credit', balance_minor = 5, promotional_minor = 0
        WHERE kind = 'wallet'""",
    "credit_beside_debt": """
        WITH rich AS (UPDATE billing_ledgeraccount SET balance_minor = 5 WHERE kind = 'wallet'
            RETURNING organization_id, currency)
        INSERT INTO billing_ledgeraccount (id, kind, organization_id, gateway, currency, balance_minor,
            promotional_minor, created_at, updated_at)
        SELECT uuidv7(), 'receivable', organization_id, '', currency, -5, 0, now(), now() FROM rich""",
    "pause_not_kept": """
        INSERT INTO billing_subscriptionpause (id, organization_id, subscription_id, begun_at, ended_at, created_at,
            updated_at)
        SELECT uuidv7(), organization_id, id, current_period_start, current_period_end, now(), now()
        FROM billing_subscription""",
    "hours_charged_not_run": "UPDATE billing_subscription SET term = 'hourly', metered_from = current_period_start",
    "usage_not_its_hours": "UPDATE billing_invoice SET usage_month = '2026-03-01'",
    "grant_not_posted": "UPDATE billing_creditgrant SET amount_minor = amount_minor + 1",
    "promotional_not_grants": "UPDATE billing_creditgrant SET remaining_minor = remaining_minor - 1",
    "promotional_became_money": """
        UPDATE billing_posting SET account_id = (
            SELECT id FROM billing_ledgeraccount WHERE kind = 'promotional_credit')
        WHERE amount_minor < 0 AND account_id IN (SELECT id FROM billing_ledgeraccount WHERE kind = 'wallet')""",
    "account_not_rows": "UPDATE billing_invoice SET state = 'void', paid_at = NULL, voided_at = now()",
    "commission_not_referrals": """
        UPDATE billing_ledgeraccount SET kind = 'commission', balance_minor = -5, promotional_minor = 0
        WHERE kind = 'wallet'""",
    "commission_payout_not_posted": """
        WITH joined AS (INSERT INTO orders_affiliate (id, organization_id, code, is_active, created_at, updated_at)
            SELECT uuidv7(), id, 'partner', true, now(), now() FROM accounts_organization LIMIT 1
            RETURNING id, organization_id)
        INSERT INTO orders_commissionpayout (id, affiliate_id, organization_id, currency, amount_minor, paid_currency,
            paid_minor, paid_out_at, created_at, updated_at)
        SELECT uuidv7(), id, organization_id, 'USD', 160, 'USD', 160, now(), now(), now() FROM joined""",
}


def without_triggers(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        for model in apps.get_app_config("billing").get_models():
            cursor.execute(f'ALTER TABLE "{model._meta.db_table}" DISABLE TRIGGER USER')
        cursor.execute(statement)
        cursor.execute(f"SET LOCAL ROLE {tenancy.WORKER}")


def test_each_rule_names_the_rows_that_break_it() -> None:
    sale = make_sale()
    sale.settle()
    give(sale.organization, 100)
    run_commit_triggers()
    assert ledger_audit.broken_rules() == {}
    assert {rule.code for rule in (*ledger_audit.RULES, *commissions.RULES)} == set(BREAKS)

    for code, statement in BREAKS.items():
        with transaction.atomic():
            without_triggers(statement)
            assert code in ledger_audit.broken_rules(), code
            transaction.set_rollback(True)


def test_a_broken_book_is_reported_and_shown_to_staff(staff: Callable[[str], Client]) -> None:
    sale = make_sale()
    sale.settle()
    run_commit_triggers()
    out = StringIO()
    call_command("audit_ledger", stdout=out)
    assert "rules hold for the whole book" in out.getvalue()
    client = staff("billing")
    start = reverse("admin:index")
    assert "of the ledger." not in client.get(start).content.decode()

    without_triggers(BREAKS["invoice_not_allocations"])
    with pytest.raises(CommandError, match=f"(?s)A paid invoice is not its allocations.*id={sale.invoice.pk}"):
        call_command("audit_ledger")

    assert "found 2 rows that break rules of the ledger" in client.get(start).content.decode()
    listed = client.get(reverse("admin:billing_ledgeraudit_changelist")).content.decode()
    assert "A paid invoice is not its allocations." in listed


def test_audits_older_than_a_business_year_are_deleted() -> None:
    ledger_audit.audit_ledger(at=NOON)
    assert LedgerAudit.objects.count() == 1

    ledger_audit.audit_ledger(at=NOON + ledger_audit.KEPT + timedelta(days=1))

    assert LedgerAudit.objects.count() == 1
