"""A document as EN 16931 data: CII XML at Factur-X's level "EN 16931".

The library checks the structure (XSD) only. The sums are checked here in Decimal; a test runs the official rules.
"""

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

from facturx import generate_cii_xml

from accounts.vat import vat_id
from billing.documents.document import Document, Line, TaxGroup
from billing.models import TaxCategory
from core.money import Money, exponent, payable_step

INVOICE, CREDIT_NOTE = "380", "381"  # UNTDID 1001
ONE = "C62"  # UN/ECE Recommendation 20
DISCOUNT = "95"  # UNTDID 5189
REASON_CODES = {"AE": "VATEX-EU-AE", "G": "VATEX-EU-G", "O": "VATEX-EU-O"}
NOT_IN_CODE_LIST = frozenset({"BTC", "ETH", "USDT", "USDC", "XTS", "X" * 3})
NOT_IN_ISO = frozenset({"XK"})


class NotWritable(ValueError):
    """EN 16931 has no place for the document, or the document does not say what it asks for; the text says what."""


def xml_of(document: Document) -> bytes:
    """The document's XML, checked. Raises NotWritable."""
    reason = next(missing(document), "")
    if reason:
        raise NotWritable(reason)
    data = data_of(document)
    wrong = next(contradictions(data, document), "")
    if wrong:
        raise NotWritable(wrong)
    try:
        return bytes(generate_cii_xml(data, level="en16931", check_xsd=True, check_schematron=None))
    except Exception as error:  # the library raises plain Exception for what the XSD refuses
        raise NotWritable(f"the data is refused: {str(error)[:200]}") from error


def missing(document: Document) -> Iterator[str]:
    """What the document lacks, the first first."""
    seller, buyer = document.seller, document.buyer
    if document.net.currency in NOT_IN_CODE_LIST or exponent(document.net.currency) > 2:
        yield f"amounts of {document.net.currency} cannot be written with two decimals"
    categories = {group.category for group in document.taxes}
    if not categories or (len(document.taxes) > 1 and TaxCategory.OUTSIDE in categories):
        yield f"it has {len(document.taxes)} rates of tax" + (", one of them outside its scope" if categories else "")
    for name in ("name", "address", "city", "country"):
        if not seller.get(name):
            yield f"the seller has no {name}"
    if not buyer.get("country"):
        yield "the buyer has no country"
    if NOT_IN_ISO & {seller.get("country"), buyer.get("country")}:
        yield "a country is not in ISO 3166-1"
    if TaxCategory.OUTSIDE in categories and not seller.get("registration"):
        yield "the seller has no registration"
    if categories - {TaxCategory.OUTSIDE} and not seller.get("tax_id"):
        yield "the seller has no tax id"
    if TaxCategory.EXPORT in categories and not seller_vat_id(seller):
        yield "the seller has no VAT id"


def data_of(document: Document) -> dict[str, Any]:
    """The document by the terms of EN 16931. Amounts are texts: of the library's types only those are exact."""
    groups = document.taxes
    positive = [line for line in document.lines if line.net.minor >= 0]
    discounts = [line for line in document.lines if line.net.minor < 0]
    currency = document.net.currency
    line_sum = sum((line.net.minor for line in positive), 0)
    discount_sum = -sum((line.net.minor for line in discounts), 0)
    periods = [line.period for line in document.lines if line.period]
    data = {
        "BT-1": document.number,
        "BT-2": document.issued_on.isoformat(),
        "BT-3": CREDIT_NOTE if document.credits else INVOICE,
        "BT-5": currency,
        "BT-72": document.issued_on.isoformat(),
        "BG-4": party(document.seller, groups[0], is_seller=True),
        "BG-7": party(buyer_as_party(document.buyer), groups[0], is_seller=False),
        "BG-25": [line_terms(number, line, groups[line.tax]) for number, line in enumerate(positive, 1)],
        "BG-23": [tax_terms(group) for group in by_rate(groups)],
        "BT-106": text(Money(line_sum, currency)),
        "BT-109": text(document.net),
        "BT-110": text(document.tax),
        "BT-112": text(document.total),
        "BT-115": text(document.total - document.paid),
    }
    if discounts:
        data["BT-107"] = text(Money(discount_sum, currency))
        data["BG-20"] = [discount_terms(line, groups[line.tax]) for line in discounts]
    if document.paid:
        data["BT-113"] = text(document.paid)
    if periods:
        data["BT-73"] = min(period.start for period in periods).date().isoformat()
        data["BT-74"] = max(period.end for period in periods).date().isoformat()
    if document.credits:
        number, day = document.credits
        data["BG-3"] = [{"BT-25": number, "BT-26": day.isoformat()}]
    elif document.total != document.paid:
        data["BT-9"] = (document.due_at or document.issued_at).date().isoformat()
    return data


def line_terms(number: int, line: Line, group: TaxGroup) -> dict[str, str]:
    """A line, at its net price."""
    return {
        "BT-126": str(number),
        "BT-153": plain(line.text)[:255] or "-",
        "BT-130": ONE,
        **price_of(line.quantity, line.unit_minor, line.amount, line.net),
        "BT-131": text(line.net),
        "BT-151": group.category,
        **rate_as("BT-152", group),
    }


def discount_terms(line: Line, group: TaxGroup) -> dict[str, str]:
    """A line below zero as an allowance: prices are never negative."""
    return {
        "amount": text(-line.net),
        "reason": plain(line.text)[:100],
        "reason_code": DISCOUNT,
        "vat_category_code": group.category,
        **rate_as("vat_rate", group),
    }


def tax_terms(group: TaxGroup) -> dict[str, str]:
    """What is taxed alike, and why nothing is charged where nothing is."""
    return {
        "BT-116": text(group.net),
        "BT-117": text(group.amount),
        "BT-118": group.category,
        **rate_as("BT-119", group),
        **({"BT-121": REASON_CODES[group.category]} if group.category in REASON_CODES else {}),
        **({"BT-120": "Small business"} if group.category == TaxCategory.EXEMPT else {}),
    }


def by_rate(groups: Iterable[TaxGroup]) -> list[TaxGroup]:
    """One group for each category and rate: taxes of two places may have the same."""
    merged: dict[tuple[str, Decimal], TaxGroup] = {}
    for group in groups:
        known = merged.get((group.category, group.rate))
        both = replace(known, net=known.net + group.net, amount=known.amount + group.amount) if known else group
        merged[group.category, group.rate] = both
    return list(merged.values())


def rate_as(term: str, group: TaxGroup) -> dict[str, str]:
    """The rate under this term; what is outside the scope of tax has none."""
    return {} if group.category == TaxCategory.OUTSIDE else {term: percent(group.rate)}


def price_of(quantity: Decimal, unit_minor: Decimal, amount: Money, net: Money) -> dict[str, str]:
    """Quantity and net price; where the printed price includes tax, one of the net amount."""
    if amount != net:
        quantity, unit_minor = Decimal(1), Decimal(net.minor)
    price = unit_minor.scaleb(-exponent(net.currency))
    return {"BT-129": f"{quantity.normalize():f}", "BT-146": f"{price:f}"}


def buyer_as_party(buyer: dict[str, str]) -> dict[str, str]:
    """The buyer with the names that the seller's details have."""
    name = buyer.get("billing_name") or buyer.get("billing_email") or "-"
    return {**buyer, "name": name, "address": buyer.get("address_line", "")}


def party(details: dict[str, Any], group: TaxGroup, *, is_seller: bool) -> dict[str, str]:
    """Seller or buyer. What is outside the scope of VAT names no VAT id."""
    lines = [plain(line) for line in str(details.get("address", "")).splitlines() if line.strip()][:3]
    named = {
        "name": plain(details["name"]),
        "country_code": details["country"],
        "postcode": plain(details.get("postal_code", "")),
        "city": plain(details.get("city", "")),
        "legal_identifier": plain(details.get("registration", "")),
        **{f"addr_l{number}": line for number, line in enumerate(lines, 1)},
    }
    if group.category != TaxCategory.OUTSIDE:
        tax_id = plain(details.get("tax_id", ""))
        vat = vat_id(tax_id, details["country"])
        named |= {"vat_identifier": vat} if vat else {"tax_identifier": tax_id} if is_seller else {}
    return {name: value for name, value in named.items() if value}


def seller_vat_id(seller: dict[str, Any]) -> str:
    """The seller's VAT id, where it has one."""
    return vat_id(seller.get("tax_id", ""), seller.get("country", ""))


def contradictions(data: dict[str, Any], document: Document) -> Iterator[str]:
    """The sums that do not agree, by the names of EN 16931's rules (the official ones let some of these pass)."""
    amount = {name: Decimal(value) for name, value in data.items() if isinstance(value, str) and is_amount(name)}
    lines = [(line["BT-151"], line.get("BT-152"), Decimal(line["BT-131"])) for line in data["BG-25"]]
    allowances = [
        (row["vat_category_code"], row.get("vat_rate"), Decimal(row["amount"])) for row in data.get("BG-20", [])
    ]
    taxed = [
        (group["BT-118"], group.get("BT-119"), Decimal(group["BT-116"]), Decimal(group["BT-117"]))
        for group in data["BG-23"]
    ]

    def net_at(category: str, rate: str | None) -> Decimal:
        more = sum(net for *key, net in lines if key == [category, rate])
        return Decimal(more - sum(net for *key, net in allowances if key == [category, rate]))

    rules = {
        "BR-CO-10": amount["BT-106"] == sum(net for *_key, net in lines),
        "BR-CO-11": amount.get("BT-107", Decimal(0)) == sum(net for *_key, net in allowances),
        "BR-CO-13": amount["BT-109"] == amount["BT-106"] - amount.get("BT-107", Decimal(0)),
        "BR-CO-14": amount["BT-110"] == sum(tax for *_group, tax in taxed),
        "BR-CO-15": amount["BT-112"] == amount["BT-109"] + amount["BT-110"],
        "BR-CO-16": amount["BT-115"] == amount["BT-112"] - amount.get("BT-113", Decimal(0)),
        # Each tax by itself, before those of one rate are added up. The official rule lets all below 1.00 pass.
        "BR-CO-17": all(is_rounded(group, is_credit=document.credits is not None) for group in document.taxes),
        "BR-S-08": all(net == net_at(category, rate) for category, rate, net, _tax in taxed),
    }
    yield from (f"{rule} does not hold" for rule, holds in rules.items() if not holds)


def is_rounded(group: TaxGroup, *, is_credit: bool) -> bool:
    """Whether the tax is its rate of the net amount, but for one step of what can be paid of the currency.

    Of a credit note two, because the parts of an invoice's tax are rounded so that all of them together are the tax.
    """
    step = payable_step(group.net.currency).minor
    return abs(group.amount.minor - group.net.minor * group.rate / 100) <= step * (2 if is_credit else 1)


def is_amount(term: str) -> bool:
    """Whether the term is one of the document's sums."""
    return term in {"BT-106", "BT-107", "BT-109", "BT-110", "BT-112", "BT-113", "BT-115"}


def text(amount: Money) -> str:
    """In major units with the currency's decimals."""
    return f"{amount.amount:.{exponent(amount.currency)}f}"


def percent(rate: Decimal) -> str:
    """A rate without trailing zeros."""
    return f"{rate.normalize():f}"


def plain(value: str) -> str:
    """The text without control characters, which XML has no place for."""
    return "".join(each for each in value if unicodedata.category(each)[0] != "C").strip()
