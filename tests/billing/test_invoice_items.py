"""Lines of an invoice: exact quantities and unit prices, an amount that is rounded once."""

import random
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection
from django.test import Client

from billing import checkout, invoicing
from billing.invoicing import InvoiceLine
from billing.models import InvoiceItem, ItemKind
from core import tenancy
from core.money import Money, Rate
from tests.billing.sales import NOON, make_draft, make_sale, run_commit_triggers
from tests.builders import make_organization

pytestmark = pytest.mark.django_db
HOURLY = Rate(Decimal("0.69"), "USD")  # $0.0069


@pytest.mark.parametrize(
    ("unit", "quantity", "minor"),
    [
        ("0.69", 720, 497),
        ("0.5", 1, 0),
        ("0.5", 3, 2),
        ("0.5", 5, 2),
        ("-0.5", 3, -2),
        ("-2.5", 1, -2),
        ("333.3333333333", 3, 1000),
    ],
)
def test_a_charge_is_rounded_once_half_to_even(unit: str, quantity: int, minor: int) -> None:
    assert Rate(Decimal(unit), "USD").times(quantity) == Money(minor, "USD")


def test_the_database_rounds_as_the_code_does() -> None:
    chosen = random.Random(6)
    values = [Decimal(chosen.randint(-(10**9), 10**9)).scaleb(-chosen.randint(0, 10)) for _ in range(500)]
    values += [Decimal(tenths).scaleb(-1) for tenths in range(-45, 50, 5)]
    with connection.cursor() as cursor:
        cursor.execute("SELECT billing_round_half_even(unnest(%s::numeric[]))", [values])
        rounded = [int(value) for (value,) in cursor.fetchall()]
    assert rounded == [Rate(value, "USD").times(1).minor for value in values]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ("amount_minor = 801", "amount_is_rounded_once"),
        ("quantity = 1.001", "amount_is_rounded_once"),
        ("quantity = 0, amount_minor = 0", "quantity_positive"),
        ("quantity = -1, amount_minor = -800", "quantity_positive"),
        ("unit_minor = -800, amount_minor = -800", "negative_by_kind"),
        ("unit_minor = -0.1, amount_minor = 0", "negative_by_kind"),
        ("kind = 'top_up', unit_minor = -800, amount_minor = -800", "negative_by_kind"),
    ],
)
def test_a_line_that_does_not_add_up_is_refused(change: str, rule: str) -> None:
    make_draft(800)
    with (
        pytest.raises(IntegrityError, match=rule),
        tenancy.as_role(role=tenancy.WORKER),
        connection.cursor() as cursor,
    ):
        cursor.execute(f"UPDATE billing_invoiceitem SET {change}")


def test_an_invoice_over_usage_with_a_discount_shows_quantity_and_unit_price(client: Client) -> None:
    organization = make_organization()
    lines = [
        InvoiceLine(ItemKind.USAGE, "Game server hours", HOURLY, quantity=Decimal("720.5")),
        InvoiceLine(ItemKind.DISCOUNT, "Spring offer", Money(-97, "USD")),
    ]
    draft = invoicing.draft_invoice(organization=organization, currency="USD", lines=lines, at=NOON)
    invoicing.issue_invoice(invoice=draft, at=NOON)
    run_commit_triggers()
    client.force_login(organization.owner)

    page = " ".join(client.get(f"/invoices/{draft.pk}/").content.decode().split())

    assert draft.total == Money(400, "USD")
    for text in ("720.5 × $0.0069", "$4.97", "−$0.97", "$4.00"):
        assert text in page


def test_a_line_that_the_gateway_cannot_multiply_is_sent_as_its_amount() -> None:
    sale = make_sale(minor=1)
    InvoiceItem.objects.filter(invoice=sale.invoice).update(quantity=Decimal("2.5"), unit_minor=Decimal("0.4"))

    (line,) = checkout.checkout_request(sale.payment, "cus_1").lines

    assert (line.unit, line.quantity) == (Money(1, "USD"), 1)
