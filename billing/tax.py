"""Tax: which rate applies to whom, and what it comes to.

`taxes_for` is pure. The database computes the same for sets of organizations: `billing_tax_of` and
`billing_tax_amount` (migration 0002).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, localcontext
from typing import Protocol

from accounts.models import Organization
from accounts.vat import EU
from billing.models import Invoice, TaxCategory, TaxRate, TaxStatus
from core import site_settings
from core.money import PRODUCT_DIGITS, Money, payable_step, total

NAME = "VAT"  # of what no rate names


@dataclass(frozen=True)
class Seller:
    """Who sells: where, whether registered for tax, and whether prices include it."""

    status: TaxStatus
    country: str
    is_inclusive: bool

    @property
    def adds_tax(self) -> bool:
        """Whether customers may pay more than the price."""
        return self.status == TaxStatus.REGISTERED and not self.is_inclusive


@dataclass(frozen=True)
class Buyer:
    """What a customer's tax depends on. Without a country it is the seller's own."""

    country: str = ""
    region: str = ""
    has_vat_id: bool = False


@dataclass(frozen=True)
class Tax:
    """A rate in percent that applies to somebody, and why."""

    category: TaxCategory
    rate: Decimal
    name: str
    jurisdiction: str

    def of(self, amount: Money, *, is_inclusive: bool) -> Money:
        """The tax on the amount, or the tax within it: rounded once, half up, to what can be paid of the currency."""
        if amount.minor < 0:  # of what is given back, as much as was charged
            return -self.of(-amount, is_inclusive=is_inclusive)
        step = payable_step(amount.currency).minor
        with localcontext(prec=PRODUCT_DIGITS):
            parts = amount.minor * self.rate
            whole = (100 + (self.rate if is_inclusive else 0)) * step
            return Money(int((2 * parts + whole) // (2 * whole)) * step, amount.currency)

    @property
    def reason(self) -> str:
        """Why nothing is charged, as printed; empty where something is."""
        return self.category.reason


@dataclass(frozen=True)
class TaxLine:
    """The tax on all that is taxed alike."""

    tax: Tax
    net: Money
    amount: Money


@dataclass(frozen=True)
class Taxed:
    """What lines come to: `total` is `net` and the tax of each of `lines`. Without lines, nothing is said about tax."""

    net: Money
    lines: tuple[TaxLine, ...]
    is_inclusive: bool

    @property
    def tax(self) -> Money:
        """All tax together."""
        return total((line.amount for line in self.lines), self.net.currency)

    @property
    def total(self) -> Money:
        """What is to be paid."""
        return self.net + self.tax


def shop() -> Seller:
    """The seller by the shop's settings."""
    return Seller(
        status=TaxStatus(site_settings.get("tax.status")),
        country=site_settings.get("tax.country"),
        is_inclusive=site_settings.get("tax.prices") == "inclusive",
    )


def buyer_of(organization: Organization | None) -> Buyer:
    """The organization by its billing address; a visitor is taxed as at the seller's place."""
    if organization is None:
        return Buyer()
    return Buyer(organization.country, organization.region, organization.has_vat_id)


def assess(
    *,
    organization: Organization | None,
    amounts: Iterable[Money],
    paid_before: Iterable[tuple[Tax, Money]] = (),
    currency: str,
    seller: Seller | None = None,
    at: datetime,
) -> Taxed:
    """What the amounts come to for the organization, sold by the shop or another `seller`, at the rates in force."""
    seller, buyer = seller or shop(), buyer_of(organization)
    return taxes_for(
        seller=seller,
        buyer=buyer,
        rates=rates_between(seller, buyer),
        amounts=amounts,
        paid_before=paid_before,
        currency=currency,
        at=at,
    )


class Taxable(Protocol):
    """A line with its amount; of what is given back, with the tax that it was paid with."""

    @property
    def amount(self) -> Money:
        """What it comes to as listed."""

    @property
    def paid_with(self) -> Tax | None:
        """None: it has the tax of today."""


def assess_lines(
    lines: Sequence[Taxable], *, organization: Organization, currency: str, seller: Seller | None = None, at: datetime
) -> Taxed:
    """What the lines come to with the organization's tax."""
    return assess(
        organization=organization,
        amounts=[line.amount for line in lines if line.paid_with is None],
        paid_before=[(line.paid_with, line.amount) for line in lines if line.paid_with is not None],
        currency=currency,
        seller=seller,
        at=at,
    )


def tax_of_invoice(invoice: Invoice) -> Tax | None:
    """What the lines of an invoice were taxed with, but for those that give back what was paid before."""
    row = next(iter(invoice.taxes.all()), None)
    return Tax(TaxCategory(row.category), row.rate, row.name, row.jurisdiction) if row else None


def is_taxed_as_now(invoice: Invoice, organization: Organization, at: datetime) -> bool:
    """Whether the draft has the organization's present tax and address."""
    seller, buyer = shop(), buyer_of(organization)
    now = tax_of(seller=seller, buyer=buyer, rates=rates_between(seller, buyer), at=at)
    drafted = [(row.category, row.rate, row.name, row.jurisdiction) for row in invoice.taxes.all()]
    if now is None:
        return not drafted
    is_same_address = invoice.billing_address == organization.billing_details
    return drafted == [(now.category, now.rate, now.name, now.jurisdiction)] and is_same_address


def rates_between(seller: Seller, buyer: Buyer) -> Iterable[TaxRate]:
    """Every rate, of whatever time, that may apply to what the seller sells the buyer."""
    if seller.status != TaxStatus.REGISTERED:
        return ()
    return TaxRate.objects.filter(country__in={seller.country, buyer.country})


def taxes_for(
    *,
    seller: Seller,
    buyer: Buyer,
    rates: Iterable[TaxRate],
    amounts: Iterable[Money],
    paid_before: Iterable[tuple[Tax, Money]] = (),
    currency: str,
    at: datetime,
) -> Taxed:
    """What the amounts come to. Tax is computed once of the sum of all that is taxed alike.

    What was `paid_before` and is given back, below zero, has the tax that it was paid with. Where prices include tax,
    the sum is what is paid, whatever the customer's tax.
    """
    listed = total(amounts, currency)
    tax = tax_of(seller=seller, buyer=buyer, rates=rates, at=at)
    alike: dict[Tax, Money] = {} if tax is None else {tax: listed}
    for paid_with, amount in paid_before:
        alike[paid_with] = alike.get(paid_with, Money.zero(currency)) + amount
    is_inclusive = seller.is_inclusive and bool(alike)
    lines = []
    for each, of_each in alike.items():
        amount = each.of(of_each, is_inclusive=is_inclusive)
        lines.append(TaxLine(each, of_each - amount if is_inclusive else of_each, amount))
    net = total((line.net for line in lines), currency)
    return Taxed(net + listed if tax is None else net, tuple(lines), is_inclusive)


def tax_of(*, seller: Seller, buyer: Buyer, rates: Iterable[TaxRate], at: datetime) -> Tax | None:
    """The customer's tax; None where the seller's status is not set.

    Within the EU a business with a VAT ID of another country owes it itself. Anybody else pays the rate of their
    region, else of their country. An EU country without a rate has that of an EU seller, as below the threshold of
    distance sales. Everywhere else nothing is charged.
    """
    if seller.status == TaxStatus.NONE:
        return None
    if seller.status == TaxStatus.SMALL_BUSINESS:
        return Tax(TaxCategory.EXEMPT, Decimal(0), NAME, seller.country)
    country = buyer.country or seller.country
    is_in_eu = {seller.country, country} <= EU
    if is_in_eu and country != seller.country and buyer.has_vat_id:
        return Tax(TaxCategory.REVERSE_CHARGE, Decimal(0), NAME, country)
    places = [(country, buyer.region.strip().lower()), (country, ""), *([(seller.country, "")] if is_in_eu else [])]
    in_force = {
        (rate.country, rate.region.lower()): rate
        for rate in rates
        if rate.valid_from <= at and (rate.valid_until is None or at < rate.valid_until)
    }
    found = next((in_force[place] for place in places if place in in_force), None)
    if found is None:
        return Tax(TaxCategory.OUTSIDE, Decimal(0), NAME, country)
    return Tax(TaxCategory(found.category), found.rate, found.name, found.jurisdiction)
