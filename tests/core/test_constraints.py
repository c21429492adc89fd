"""Every constraint of our tables refuses what it is for, whatever the code does: tried in SQL as the worker.

A constraint that no row tries is an error. Which rows share an organization, a currency, a gateway or its mode with
those that they name is read from the models.
"""

from collections.abc import Iterable
from functools import cache
from itertools import count
from typing import Any

import pytest
from django.db import IntegrityError, connection, models, transaction
from django.db.models import PositiveBigIntegerField, PositiveIntegerField, PositiveSmallIntegerField

from accounts.models import Organization
from billing.models import (
    AllocationReversal,
    Dispute,
    GatewayAccount,
    JournalEntry,
    LedgerAccount,
    Posting,
    PriceCampaign,
    Refund,
    SubscriptionItem,
)
from core import schema, tenancy
from orders.models import Order, Referral, ServerTransfer, WaitlistEntry
from tests.core import more_constraints
from tests.core.constraints import ANY, CHECKS, LATER, NOW, ONCE, ONE, TWO, Row
from tests.isolation.tables import COLUMNS, FILLERS, NUMBER

pytestmark = pytest.mark.django_db
CHECKS |= more_constraints.CHECKS
ONCE |= more_constraints.ONCE
type Table = type[models.Model]
POSITIVE = (PositiveIntegerField, PositiveSmallIntegerField, PositiveBigIntegerField)
# A unique key that contains another one only serves the foreign keys that reference it.
CONSTRAINTS = """
    SELECT conname FROM pg_constraint constrained WHERE conrelid = ANY (%(tables)s::regclass[]) AND (
        contype IN ('c', 'x') OR contype = 'u' AND NOT EXISTS (SELECT FROM pg_constraint other
            WHERE other.conrelid = constrained.conrelid AND other.contype IN ('p', 'u')
                AND other.conkey <@ constrained.conkey AND other.conkey <> constrained.conkey))
    UNION SELECT indexrelid::regclass::text FROM pg_index
        WHERE indrelid = ANY (%(tables)s::regclass[]) AND indisunique AND coalesce(indpred, indexprs) IS NOT NULL"""
# The foreign keys between two tables, or with that column: their names, own columns and the other table's.
KEYS = """
    SELECT conname, own.columns, theirs.columns FROM pg_constraint,
        LATERAL (SELECT array_agg(attname::text ORDER BY place) AS columns FROM unnest(conkey) WITH ORDINALITY
            AS k (number, place) JOIN pg_attribute ON attrelid = conrelid AND attnum = number) own,
        LATERAL (SELECT array_agg(attname::text ORDER BY place) AS columns FROM unnest(confkey) WITH ORDINALITY
            AS k (number, place) JOIN pg_attribute ON attrelid = confrelid AND attnum = number) theirs
    WHERE contype = 'f' AND conrelid = %s::regclass AND confrelid = %s::regclass AND %s = ANY (own.columns)"""
# What a row shares with the row that it names, and two values of it.
SHARED: dict[str, tuple[Any, Any]] = {
    "organization_id": (ONE, TWO),
    "currency": ("USD", "EUR"),
    "gateway": ("a", "b"),
    "is_live": (False, True),
}
# A bank may name a dispute's amount in another currency than
# the payment's.
MAY_DIFFER = {(Dispute, "payment_id", "currency"), (AllocationReversal, "dispute_id", "currency")}
# An affiliate earns for the order of another organization, the referral's customer.
MAY_DIFFER |= {(Order, "referred_by_id", "organization_id"), (Referral, "order_id", "organization_id")}
# A transfer is of the organization that had the server.
MAY_DIFFER |= {(ServerTransfer, "server_id", "organization_id")}
# What else such a row needs.
WITH: dict[tuple[Table, str], Row] = {
    (JournalEntry, "invoice_id"): {"kind": "charge"},
    (JournalEntry, "refund_id"): {"kind": "refund"},
    (JournalEntry, "dispute_id"): {"kind": "dispute"},
    (JournalEntry, "creditgrant_id"): {"kind": "credit_granted"},
    (PriceCampaign, "addon_price_id"): {"plan_price_id": None},
    (WaitlistEntry, "reservation_id"): {"status": "offered", "offered_at": NOW, "expires_at": LATER},
    (SubscriptionItem, "addon_price_id"): {"kind": "addon", "plan_price_id": None},
}
# A ledger account may have no gateway; that of a refund or dispute is its payment's.
WITHOUT_ACCOUNT = {LedgerAccount, Refund, Dispute, GatewayAccount}
# What a row of the table has so that no other constraint refuses it; the rest is arbitrary.
ROWS: dict[str, Row] = {
    "accounts_organization": {"currency": "USD", "country": "DE"},
    "accounts_sshkey": {"public_key": "ssh-rsa AAAA"},
    "billing_autotopup": {"below_minor": 1, "amount_minor": 1, "stopped_at": None},
    "billing_creditgrant": {"amount_minor": 1, "remaining_minor": 1},
    "billing_creditnote": {"issued_at": NOW, "net_minor": 1, "tax_minor": 1, "total_minor": 2},
    "billing_gatewayprice": {"plan_price_id": ONE},
    "billing_invoice": {"net_minor": 1, "tax_minor": 1, "total_minor": 2},
    "billing_invoiceseries": {"is_default": False, "seller_country": "", "credit_note_series_id": "NB-CN"},
    "billing_ledgeraccount": {
        "kind": "wallet",
        "organization_id": ONE,
        "balance_minor": 0,
        "promotional_minor": 0,
    },
    "billing_pricecampaign": {"announced_at": NOW, "effective_at": LATER, "plan_price_id": ONE},
    "billing_pricemove": {"notified_at": NOW, "begins_at": LATER},
    "billing_subscription": {
        "current_period_start": NOW,
        "current_period_end": LATER,
        "cancellation_reason": "",
        "cancellation_comment": "",
    },
    "billing_subscriptionitem": {"kind": "plan", "plan_price_id": ONE},
    "billing_usagecycle": {"hour": NOW},
    "billing_unexplaineditem": {"currency": "", "resolution": ""},
    "billing_taxrate": {"country": "DE", "rate": 1, "valid_from": NOW, "valid_until": LATER},
    "catalog_addon": {"cost_currency": ""},
    "catalog_addonprice": {"term": "monthly"},
    "catalog_coupon": {"code": "X", "percent": 1, "currency": ""},
    "catalog_plan": {"cost_currency": ""},
    "catalog_planprice": {"term": "monthly"},
    "orders_planchange": {"due_minor": 1, "quoted_at": NOW, "effective_at": NOW},
    "orders_referral": {"status": "pending", "percent": 1},
    "catalog_promotion": {"percent": 1, "currency": ""},
    "servers_blueprint": {
        "build": "game",
        "egg_id": ONE,
        "plan_ref": "",
        "user_data": "",
        "container_ports": "[]",
        "volumes": "[]",
    },
    "servers_node": {"memory_reserved_mib": 0, "disk_reserved_mib": 0},
    "servers_reservation": {"state": "confirmed"},
    "support_delivery": {"reference": ""},
}
numbers = count(10)


def own_models() -> list[Table]:
    return [
        model
        for model in schema.own_models()
        if hasattr(model._meta.app_config, "is_nodebyte") and not model._meta.auto_created
    ]


def fields_of(model: Table) -> list["models.Field[Any, Any]"]:
    return list(model._meta.concrete_fields)


@cache
def fillers_of(table: str) -> dict[str, str]:
    """SQL for the columns that must have a value."""
    with connection.cursor() as cursor:
        cursor.execute(COLUMNS, [table])
        return {name: FILLERS.get(kind, NUMBER).format(length=length) for name, kind, length in cursor.fetchall()}


def insert(model: Table, row: Row) -> None:
    """A row with the given values, the first of a column's choices, and arbitrary values elsewhere."""
    table = model._meta.db_table
    values: Row = {field.attname: field.choices[0][0] for field in fields_of(model) if field.choices}
    values |= ROWS.get(table, {}) | {name: another(name) if value is ANY else value for name, value in row.items()}
    fillers = {name: sql for name, sql in fillers_of(table).items() if name not in values}
    names = ", ".join(f'"{name}"' for name in (*values, *fillers))
    marks = ", ".join(["%s"] * len(values) + list(fillers.values()))
    with connection.cursor() as cursor:
        cursor.execute(f'INSERT INTO "{table}" ({names}) VALUES ({marks})', list(values.values()))


def another(column: str) -> str:
    """A value that no other row has."""
    return f"00000000-0000-7000-8000-0000000000{next(numbers)}" if column.endswith("_id") else str(next(numbers))


def refused_by(model: Table, *rows: Row, keys: Iterable[str] = ()) -> str | None:
    """The constraint that refuses the rows, where these foreign keys are checked too; None if they are taken."""
    try:
        with transaction.atomic():
            for row in rows:
                insert(model, row)
            if keys:
                with connection.cursor() as cursor:
                    cursor.execute(f"SET CONSTRAINTS {', '.join(keys)} IMMEDIATE")
            transaction.set_rollback(True)
    except IntegrityError as error:
        return str(error.__cause__.diag.constraint_name)  # type: ignore[union-attr]
    return None


def test_every_constraint_refuses_its_rows_and_none_is_without_one() -> None:
    tables = {model._meta.db_table: model for model in own_models()}
    columns = [(model, field) for model in own_models() for field in fields_of(model)]
    derived: list[tuple[Table, str, Any]] = [(model, field.attname, "?") for model, field in columns if field.choices]
    derived += [(model, field.attname, -1) for model, field in columns if isinstance(field, POSITIVE)]
    named = [(name, table, [row]) for table, names in CHECKS.items() for name, rows in names.items() for row in rows]
    named += [(name, table, [row, row]) for table, names in ONCE.items() for name, row in names.items()]
    with connection.cursor() as cursor:
        cursor.execute(CONSTRAINTS, {"tables": list(tables)})
        present = {name for (name,) in cursor.fetchall()}
        cursor.execute("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")  # no triggers
        cursor.execute(f"SET LOCAL ROLE {tenancy.WORKER}")

    by_model = [refused_by(model, {column: value}) for model, column, value in derived]
    by_name = [refused_by(tables[table], *rows) for _name, table, rows in named]

    taken = [(model.__name__, column) for (model, column, _), by in zip(derived, by_model, strict=True) if by is None]
    assert taken == []
    wrong = [(rows[0], name, by) for (name, _, rows), by in zip(named, by_name, strict=True) if by != name]
    assert wrong == []
    assert present == {*by_model, *by_name}


def references() -> list[tuple[Table, str, Table, str]]:
    """A model, its column that names a row, that row's model, and a column that both have."""
    found: list[tuple[Table, str, Table, str]] = []
    for model in set(own_models()) - {Posting}:  # a trigger checks them as a set (tests/billing/test_ledger.py)
        columns = {field.attname for field in fields_of(model)}
        for field in fields_of(model):
            target = field.related_model
            if field.is_relation and target in own_models() and target is not Organization:  # its currency is a default
                common = columns & {each.attname for each in fields_of(target)}
                found += [(model, field.attname, target, column) for column in SHARED if column in common]
        if "gateway" in columns and model not in WITHOUT_ACCOUNT:
            found += [
                (model, "gateway", GatewayAccount, column) for column in ("gateway", "is_live") if column in columns
            ]
    return [each for each in found if (each[0], each[1], each[3]) not in MAY_DIFFER]


def test_no_row_names_one_of_another_organization_currency_gateway_or_mode() -> None:
    tables = {model._meta.db_table for model in own_models()}
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        for table in tables:
            cursor.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER')
        cursor.execute(f"SET LOCAL ROLE {tenancy.WORKER}")
    wrong = []
    for model, column, target, shared in references():
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(KEYS, [model._meta.db_table, target._meta.db_table, column])
                keys = cursor.fetchall()
            pairs = [pair for _, own, theirs in keys for pair in zip(own, theirs, strict=True)]
            alike = {own: SHARED.get(own, (ONE, TWO))[0] for own, _ in pairs}
            insert(target, {theirs: alike[own] for own, theirs in pairs})
            row = WITH.get((model, column), {}) | alike
            names = [name for name, _, _ in keys]
            taken = refused_by(model, row, keys=names)
            refused = refused_by(model, row | {shared: SHARED[shared][1]}, keys=names)
            if taken is not None or refused not in names:
                wrong.append((model.__name__, column, shared, taken, refused))
            transaction.set_rollback(True)
    assert wrong == []
