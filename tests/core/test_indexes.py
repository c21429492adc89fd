"""Every index serves a query that the shop makes, and every lookup that the source document lists has an index.

An index without a query here is not needed; a query without its index would read whole tables. The plans are those of
empty tables without sequential scans, so they say what can be used, not what is fastest.
"""

import re

import pytest
from django.apps import apps
from django.db import connection, models

from core import schema
from core.models import WorkItem
from core.models.work_item import DUE
from core.postgresql import logins

pytestmark = pytest.mark.django_db
ID = "'00000000-0000-0000-0000-000000000001'::uuid"
# By the index: who asks, and what.
QUERIES = {
    # audit: the entries of one object, of one organization and of a time, on the admin's pages
    "core_auditentry_entity": "core_auditentry WHERE entity_type = 'x' AND entity_id = '1' ORDER BY id",
    "core_auditentry.organization_id": f"core_auditentry WHERE organization_id = {ID}",
    "core_auditentry.at": "core_auditentry WHERE at > now()",
    # the shop: products by category
    "catalog_product.category": "catalog_product WHERE category = 'x'",
    # the shop: how often a coupon is used
    "orders_redemption_counted": f"orders_couponredemption WHERE coupon_id = {ID} AND given_back_at IS NULL",
    # customers' lists
    "orders_order_of_org": f"orders_order WHERE organization_id = {ID} ORDER BY placed_at DESC",
    "billing_invoice_of_org": f"billing_invoice WHERE organization_id = {ID} ORDER BY created_at DESC",
    "servers_server_of_org": f"servers_server WHERE organization_id = {ID} ORDER BY name",
    # runs and sweeps
    "orders_order_expiry": "orders_order WHERE status = 'pending_payment' AND expires_at <= now()",
    "billing_grant_left": "billing_creditgrant WHERE remaining_minor > 0 AND expires_at <= now()",
    "orders_order_stuck": "orders_order WHERE status IN ('waiting_capacity', 'failed') AND refund_due_at <= now()",
    "orders_plan_change_expiry": "orders_planchange WHERE status IN ('quoted', 'pending_payment')"
    " AND expires_at <= now()",
    "orders_plan_change_scheduled": "orders_planchange WHERE status = 'scheduled' AND effective_at <= now()",
    "orders_order_undelivered": "orders_order WHERE status IN ('paid', 'provisioning') AND paid_at <= now()"
    " ORDER BY paid_at",
    "orders_waitlist_line": f"orders_waitlistentry WHERE plan_id = {ID} AND region_id = {ID} AND status = 'waiting'"
    " ORDER BY joined_at",
    "orders_waitlist_expiry": "orders_waitlistentry WHERE status = 'offered' AND expires_at <= now()",
    "orders_referral_on_hold": "orders_referral WHERE status = 'pending' AND hold_until <= now()",
    "billing_subscription_due": "billing_subscription WHERE billing_mode = 'self' AND current_period_end <= now()"
    " AND status IN ('active', 'past_due', 'suspended')",
    "billing_subscription_metered": "billing_subscription WHERE metered_from IS NOT NULL AND status = 'active'"
    " AND current_period_end <= now()",
    "billing_invoice_of_usage": "billing_invoice WHERE state = 'draft' AND usage_month < now()",
    "billing_subscription_pausing": "billing_subscription WHERE pauses_until IS NOT NULL AND pauses_until <= now()",
    "billing_subscription_to_delete": "billing_subscription WHERE deletion_due_at <= now()",
    "billing_invoice_due": "billing_invoice WHERE state IN ('open', 'overdue') AND due_at <= now()",
    "billing_price_move_to_tell": "billing_pricemove WHERE notified_at IS NULL AND canceled_at IS NULL ORDER BY id",
    "billing_price_move_taking_back": "billing_pricemove WHERE notified_at IS NOT NULL AND canceled_at IS NOT NULL"
    " AND taken_back_at IS NULL ORDER BY id",
    "billing_run_latest": "billing_run ORDER BY started_at DESC",
    "billing_payment.poll_at": "billing_payment WHERE poll_at <= now()",
    "billing_invoice_to_number": "billing_invoice WHERE series_id = 'NB' AND number IS NULL AND issued_at IS NOT NULL",
    "billing_creditnote_to_number": "billing_creditnote"
    " WHERE series_id = 'NB' AND number IS NULL AND issued_at IS NOT NULL",
    "servers_reservation_expiry": "servers_reservation WHERE state = 'reserved' AND expires_at <= now()",
    "servers_server_recheck": "servers_server WHERE status <> 'deleted' AND observed_at <= now()",
    # a server's figures, and those that are deleted
    "servers_usage_of_server": f"servers_usagesample WHERE server_id = {ID} AND at > now() ORDER BY at",
    "servers_usage_old": "servers_usagesample WHERE at < now() ORDER BY at",
    "servers_usage_bucket_old": "servers_usagebucket WHERE minutes = 15 AND starts_at < now() ORDER BY starts_at",
    # the slots of a Hytale account
    "servers_hytale_session_slots": f"servers_hytalesession WHERE account_id = {ID} AND ended_at IS NULL",
    # what was asked for inside a server
    "servers_operation_of_server": f"servers_operation WHERE server_id = {ID} ORDER BY requested_at DESC",
    # placement and syncs
    "servers_allocation_free": f"servers_allocation WHERE node_id = {ID} AND reservation_id IS NULL"
    " AND NOT is_taken_elsewhere AND is_present ORDER BY port",
    "servers_server_ref": "servers_server WHERE ref = '7' AND ref <> ''",
    # the ledger: entries of one source, and of a time
    **{
        f"billing_entry_of_{source}": f"billing_journalentry WHERE {source}_id = {ID}"
        for source in ("payment", "invoice", "refund", "dispute", "creditgrant")
    },
    "billing_journalentry.at": "billing_journalentry WHERE at > now()",
    # the staff start page and lists
    "billing_payment_under_review": "billing_payment WHERE state = 'under_review' ORDER BY created_at",
    "billing_dispute_open": "billing_dispute WHERE closed_at IS NULL ORDER BY opened_at",
    "billing_unexplained_open": "billing_unexplaineditem WHERE resolved_at IS NULL ORDER BY created_at",
    "servers_server_failed": "servers_server WHERE status = 'failed' ORDER BY updated_at DESC",
    "servers_server_created": "servers_server ORDER BY created_at DESC",
    "servers_sync_run_latest": f"servers_syncrun WHERE provider_id = {ID} ORDER BY created_at DESC",
}
for model in apps.get_models():
    if issubclass(model, WorkItem):
        table = model._meta.db_table
        QUERIES[f"{table}_due"] = f"{table} WHERE {DUE.format(now='now()')} ORDER BY run_at"
        if model.LANE is not None:  # the work of a lane that workers have now
            QUERIES[f"{table}_lease"] = f"{table} WHERE state = 'running' AND lease_until > now()"
        QUERIES[f"{table}_done"] = f"{table} WHERE state = 'done' AND finished_at < now() ORDER BY finished_at"
# The lookups of the source document, by its names. There are no tickets yet.
LISTED = {
    "users_email": "accounts_user WHERE lower(email) = 'a@example.com'",
    "users_username": "accounts_user WHERE lower(username) = 'kim'",
    "products_slug": "catalog_product WHERE slug = 'x'",
    "products_category": QUERIES["catalog_product.category"],
    "instances_user_id": QUERIES["servers_server_of_org"],
    "instances_product_id": f"servers_server WHERE plan_id = {ID}",
    "instances_status": QUERIES["servers_server_failed"],
    "instances_created_at": QUERIES["servers_server_created"],
    "subscriptions_user_id": f"billing_subscription WHERE organization_id = {ID}",
    "subscriptions_instance_id": f"orders_orderitem WHERE server_id = {ID}",
    "subscriptions_period_end": QUERIES["billing_subscription_due"],
    "transactions_user_id": f"billing_posting WHERE organization_id = {ID}",
    "transactions_subscription_id": f"billing_invoiceitem WHERE subscription_id = {ID}",
    "transactions_status": QUERIES["billing_payment_under_review"],
    "transactions_created_at": QUERIES["billing_journalentry.at"],
    "audit_logs_user_id": f"core_auditentry WHERE actor_id = {ID}",
    "audit_logs_entity": QUERIES["core_auditentry_entity"],
    "audit_logs_timestamp": QUERIES["core_auditentry.at"],
}
# Of two indexes the first is of no use where the second begins with all its columns.
REDUNDANT = """
    SELECT relation.relname, one.indexrelid::regclass::text, other.indexrelid::regclass::text
    FROM pg_index AS one JOIN pg_index AS other ON other.indrelid = one.indrelid AND other.indexrelid <> one.indexrelid
        JOIN pg_class AS relation ON relation.oid = one.indrelid
    WHERE relation.relnamespace = 'public'::regnamespace AND NOT one.indisunique
        AND one.indpred IS NULL AND other.indpred IS NULL AND one.indexprs IS NULL AND other.indexprs IS NULL
        AND other.indkey::text || ' ' LIKE one.indkey::text || ' %'"""


# Empty indexes cost the same, so that the planner's choice between two that fit says nothing: the others are dropped.
OTHERS = """SELECT index.indexrelid::regclass::text, constrained.conname
    FROM pg_index AS index LEFT JOIN pg_constraint AS constrained ON constrained.conindid = index.indexrelid
        AND constrained.conrelid = index.indrelid
    WHERE index.indrelid = %s::regclass AND NOT starts_with(index.indexrelid::regclass::text, %s)"""


def plan_of(query: str, index: str = "") -> str:
    """The plan of a query that may not read a whole table, as if its table had only the indexes of that name."""
    table = query.partition(" ")[0]
    with connection.cursor() as cursor:
        if index:
            cursor.execute(f"SET LOCAL ROLE {logins.OWNER}")
            cursor.execute(OTHERS, [table, index])
            for other, constraint in cursor.fetchall():
                drop = f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"' if constraint else f"DROP INDEX {other}"
                cursor.execute(f"{drop} CASCADE")
        cursor.execute("SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off")  # tables here are small
        cursor.execute(f"EXPLAIN SELECT * FROM {query} LIMIT 10")
        return "\n".join(line for (line,) in cursor.fetchall())


def declared() -> set[str]:
    """Our models' indexes by name, or by table and column."""
    found = set()
    for model in schema.own_models():
        if hasattr(model._meta.app_config, "is_nodebyte"):
            found |= {index.name for index in model._meta.indexes}
            for field in model._meta.local_fields:
                has_index = getattr(field, "db_index", False) and not field.unique
                if has_index and not isinstance(field, models.ForeignKey):
                    found.add(f"{model._meta.db_table}.{field.column}")
    return found


def test_every_declared_index_has_its_query() -> None:
    assert declared() == set(QUERIES)


@pytest.mark.parametrize("name", QUERIES)
def test_the_query_uses_its_index(name: str) -> None:
    table, _dot, column = name.partition(".")
    index = f"{table}_{column}_"[:20] if column else name  # Django gives such a name that ends in a checksum
    used = re.findall(r"(?:Scan|Scan Backward) (?:using|on) (\w+)", plan_of(QUERIES[name], index))

    assert any(one.startswith(index) for one in used)


@pytest.mark.parametrize("name", LISTED)
def test_a_listed_lookup_reads_no_whole_table(name: str) -> None:
    assert "Seq Scan" not in plan_of(LISTED[name])


def test_no_index_repeats_the_beginning_of_another() -> None:
    ours = {
        model._meta.db_table
        for model in schema.own_models()
        if hasattr(model._meta.app_config, "is_nodebyte") and not model._meta.auto_created
    }
    with connection.cursor() as cursor:
        cursor.execute(REDUNDANT)
        assert [(one, other) for table, one, other in cursor.fetchall() if table in ours] == []
