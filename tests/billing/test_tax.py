"""Tax: who pays which rate, what it comes to, and that Python and PostgreSQL agree."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, connection, transaction

from accounts import services as accounts
from accounts.models import Organization
from accounts.vat import EU
from billing import invoicing, tax
from billing.invoicing import InvoiceLine
from billing.models import Invoice, ItemKind, TaxCategory, TaxRate, TaxStatus
from billing.tax import Buyer, Seller, Tax
from core import site_settings
from core.money import Money, payable_step
from tests.billing.sales import NOON, run_commit_triggers
from tests.builders import make_organization

pytestmark = pytest.mark.django_db
GERMAN = Seller(TaxStatus.REGISTERED, "DE", is_inclusive=False)


def add_rate(country: str, rate: str, region: str = "", **fields: object) -> TaxRate:
    """A rate in force for good, unless the test says otherwise."""
    given = {"valid_from": datetime(2020, 1, 1, tzinfo=UTC), **fields}
    return TaxRate.objects.create(country=country, region=region, rate=Decimal(rate), **given)


def set_up_shop(prices: str = "exclusive", status: str = "registered", country: str = "DE") -> None:
    """A German shop that is registered for tax."""
    for key, value in (("tax.status", status), ("tax.country", country), ("tax.prices", prices)):
        site_settings.set_value(key, value)
    add_rate("DE", "19")


def draft(organization: Organization, *minors: int, currency: str = "EUR") -> Invoice:
    """A draft over lines of these amounts."""
    lines = [InvoiceLine(ItemKind.SETUP, "Setup", Money(minor, currency)) for minor in minors]
    return invoicing.draft_invoice(
        organization=organization, currency=currency, lines=lines, client_address="203.0.113.7", at=NOON
    )


def at_address(**fields: str) -> Organization:
    """An organization with this billing address."""
    organization = make_organization()
    accounts.change_billing_contact(organization=organization, fields=fields, actor=organization.owner)
    return organization


def found(buyer: Buyer, seller: Seller = GERMAN, at: datetime = NOON) -> tuple[str, str, str]:
    """Category, rate and jurisdiction of the buyer's tax."""
    row = tax.tax_of(seller=seller, buyer=buyer, rates=TaxRate.objects.all(), at=at)
    assert row is not None
    return row.category, f"{row.rate.normalize():f}", row.jurisdiction


def test_the_customers_place_and_vat_id_decide_the_rate() -> None:
    add_rate("DE", "19")
    add_rate("FR", "20")
    add_rate("US", "7.25", region="California", name="Sales tax")
    add_rate("CH", "0", category=TaxCategory.EXPORT)
    cases = {
        Buyer("DE"): ("S", "19", "DE"),
        Buyer("DE", has_vat_id=True): ("S", "19", "DE"),  # at home a business pays too
        Buyer(): ("S", "19", "DE"),
        Buyer("FR"): ("S", "20", "FR"),
        Buyer("FR", has_vat_id=True): ("AE", "0", "FR"),
        Buyer("IT"): ("S", "19", "DE"),  # no rate entered: below the threshold of distance sales
        Buyer("US", "california "): ("S", "7.25", "US-California"),
        Buyer("US", "Texas"): ("O", "0", "US"),
        Buyer("CH"): ("G", "0", "CH"),
    }
    assert {buyer: found(buyer) for buyer in cases} == cases
    small = Seller(TaxStatus.SMALL_BUSINESS, "DE", is_inclusive=False)
    assert found(Buyer("FR", has_vat_id=True), small) == ("E", "0", "DE")
    american = Seller(TaxStatus.REGISTERED, "US", is_inclusive=False)
    assert found(Buyer("DE"), american) == ("S", "19", "DE")
    assert found(Buyer("IT"), american) == ("O", "0", "IT")


def test_a_rate_applies_from_its_first_instant_to_its_last() -> None:
    change = datetime(2026, 7, 1, tzinfo=UTC)
    add_rate("DE", "19", valid_until=change)
    add_rate("DE", "16", valid_from=change)
    before = change - timedelta(microseconds=1)
    assert (found(Buyer("DE"), at=before)[1], found(Buyer("DE"), at=change)[1]) == ("19", "16")
    with pytest.raises(IntegrityError, match="billing_tax_rate_one_at_a_time"), transaction.atomic():
        add_rate("DE", "25", valid_from=change + timedelta(days=1))


@pytest.mark.parametrize(
    ("amount", "rate", "exclusive", "inclusive"),
    [
        (Money(800, "EUR"), "19", 152, 128),
        (Money(50, "EUR"), "19", 10, 8),  # 9.5 is rounded up
        (Money(500, "JPY"), "10", 50, 45),
        (Money(12_345, "KWD"), "5", 620, 590),  # in tens: 617.25 and 587.86
        (Money(1_234_500, "IDR"), "11", 135_800, 122_300),  # whole rupiah: 1357.95 and 1223.38
    ],
)
def test_tax_is_rounded_once_to_what_can_be_paid(amount: Money, rate: str, exclusive: int, inclusive: int) -> None:
    charged = Tax(TaxCategory.STANDARD, Decimal(rate), "VAT", "DE")
    assert charged.of(amount, is_inclusive=False) == Money(exclusive, amount.currency)
    assert charged.of(amount, is_inclusive=True) == Money(inclusive, amount.currency)


def test_the_database_computes_the_same_tax_for_random_customers_and_amounts() -> None:
    add_rate("DE", "19")
    add_rate("FR", "20", valid_until=NOON)
    add_rate("FR", "20.5", valid_from=NOON)
    add_rate("ES", "7", region="Canary Islands", name="IGIC")
    add_rate("US", "7.25", region="california")
    add_rate("CH", "0", category=TaxCategory.EXPORT)
    rates, chance = list(TaxRate.objects.all()), random.Random(8)
    wrong: list[object] = []
    countries = ["", "DE", "FR", "ES", "GR", "US", "CH", "JP"]
    with connection.cursor() as cursor:
        for _ in range(400):
            status, home = chance.choice(TaxStatus.values), chance.choice(countries[1:])
            seller = Seller(TaxStatus(status), home, is_inclusive=chance.random() < 0.5)
            region = chance.choice(["", "California", " canary islands "])
            buyer = Buyer(chance.choice(countries), region, has_vat_id=chance.random() < 0.5)
            at = NOON + timedelta(microseconds=chance.choice([-1, 0]))
            cursor.execute(
                "SELECT category, rate, name, jurisdiction FROM billing_tax_of(%s, %s, %s, %s, %s, %s)",
                [status, home, buyer.country, buyer.region, buyer.has_vat_id, at],
            )
            expected = tax.tax_of(seller=seller, buyer=buyer, rates=rates, at=at)
            rows = (
                [] if expected is None else [(expected.category, expected.rate, expected.name, expected.jurisdiction)]
            )
            wrong += [(seller, buyer)] if cursor.fetchall() != rows else []

            currency = chance.choice(["EUR", "JPY", "KWD", "IDR"])
            amount = Money(chance.randrange(10 ** chance.randrange(1, 16)), currency)
            rate = Decimal(chance.randrange(1, 10**6)).scaleb(-chance.randrange(4, 11))
            charged = Tax(TaxCategory.STANDARD, rate, "VAT", "DE").of(amount, is_inclusive=seller.is_inclusive)
            step = payable_step(currency).minor
            cursor.execute("SELECT billing_tax_amount(%s, %s, %s, %s)", [amount.minor, rate, seller.is_inclusive, step])
            wrong += [(amount, rate)] if cursor.fetchone() != (charged.minor,) else []
        cursor.execute(
            "SELECT array_agg(a || b) FILTER (WHERE billing_is_eu(a || b)) FROM"
            " (SELECT chr(generate_series(65, 90)) AS a) x, (SELECT chr(generate_series(65, 90)) AS b) y"
        )
        assert set(cursor.fetchone()[0]) == EU
    assert wrong == []


def test_a_draft_adds_tax_once_to_the_sum_of_its_lines() -> None:
    set_up_shop()
    invoice = draft(at_address(country="DE"), 99, 99, 99)
    # 56.43; line by line three times 19
    assert (invoice.net_minor, invoice.tax_minor, invoice.total_minor) == (297, 56, 353)
    assert [(row.category, row.net_minor, row.tax_minor) for row in invoice.taxes.all()] == [("S", 297, 56)]


def test_where_prices_include_tax_the_price_is_what_is_paid() -> None:
    set_up_shop("inclusive")
    for fields in ({"country": "DE"}, {"country": "US"}, {"country": "FR", "tax_id": "FR40303265045"}):
        invoice = draft(at_address(**fields), 800, 199)
        assert invoice.total_minor == 999, fields
        invoicing.issue_invoice(invoice=invoice, at=NOON)
        run_commit_triggers()
    taxes = Invoice.objects.order_by("pk").values_list("taxes__category", "net_minor", "tax_minor")
    assert list(taxes) == [("S", 839, 160), ("O", 999, 0), ("AE", 999, 0)]


def test_a_sum_of_items_that_is_not_net_or_total_is_refused_at_commit() -> None:
    set_up_shop("inclusive")
    invoice = draft(at_address(country="DE"), 800)
    Invoice.objects.filter(pk=invoice.pk).update(is_tax_inclusive=False)
    invoicing.issue_invoice(invoice=invoice, at=NOON)
    with pytest.raises(IntegrityError, match="has items of 800 net and a net amount of 672"):
        run_commit_triggers()


def test_an_invoice_keeps_the_address_that_its_tax_was_computed_by() -> None:
    set_up_shop()
    organization = at_address(country="FR", tax_id="fr 40 303 265 045", city="Lyon")
    invoice = draft(organization, 800)
    accounts.change_billing_contact(
        organization=organization, fields={"country": "DE", "tax_id": ""}, actor=organization.owner
    )
    issued = invoicing.issue_invoice(invoice=invoice, at=NOON)

    address = issued.reload().billing_address
    assert (address["country"], address["tax_id"], address["city"]) == ("FR", "FR40303265045", "Lyon")
    assert issued.place_evidence == {"country": "FR", "client_address": "203.0.113.7"}
    assert issued.tax_minor == 0
    assert not organization.reload().has_vat_id


def test_a_vat_id_with_wrong_check_digits_saves_no_tax() -> None:
    set_up_shop()
    assert draft(at_address(country="FR", tax_id="FR41303265045"), 800).tax_minor == 152
