"""A document as PDF/A-3, the same bytes whenever it is made, with its EN 16931 XML where that can be written."""

import io
import json
import logging
from datetime import UTC
from functools import cache
from pathlib import Path
from typing import Any

import pikepdf
import typst
from django.conf import settings
from django.utils import timezone, translation
from django.utils.translation import gettext as _
from lxml import etree

from billing.documents.document import Document, Line
from billing.documents.einvoice import NotWritable, xml_of
from billing.models import TaxCategory
from core import formats
from core.money import Rate

log = logging.getLogger(__name__)
STANDARDS: Any = ["a-3a", "ua-1"]  # the library's type names every standard, and a list of fewer is none of it
NAMESPACE = "urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#"
X, RDF = "adobe:ns:meta/", "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
EXTENSION, SCHEMA, PROPERTY = (f"http://www.aiim.org/pdfa/ns/{name}" for name in ("extension/", "schema#", "property#"))
DESCRIPTIONS = {
    "DocumentFileName": "The name of the embedded XML document",
    "DocumentType": "The type of the hybrid document",
    "Version": "The version of the XML schema",
    "ConformanceLevel": "The conformance level of the embedded XML document",
}
VALUES = {
    "DocumentFileName": "factur-x.xml",
    "DocumentType": "INVOICE",
    "Version": "1.0",
    "ConformanceLevel": "EN 16931",
}


def pdf_of(document: Document) -> bytes:
    """The file. Where its data cannot be written as XML, or its text not as an archive, it goes without: see the log.

    It takes some 20 ms. The bytes depend on the document alone: language, time zone and time are fixed.
    """
    with translation.override(settings.LANGUAGE_CODE), timezone.override(UTC):
        shown = json.dumps(shown_of(document))
        try:
            xml = xml_of(document)
        except NotWritable as reason:
            log.warning("document %s has no embedded XML: %s", document.number, reason)
            xml = b""
        try:
            return compiled(document, shown, xml)
        except typst.TypstError as error:  # a character that no font has is an error of the archive's standards only
            log.warning("document %s is no PDF/A: %s", document.number, str(error)[:300])
            return typeset(document, {"document": shown}, [])


def compiled(document: Document, shown: str, xml: bytes) -> bytes:
    """The archive file, with the XML if there is one."""
    if not xml:
        return typeset(document, {"document": shown}, STANDARDS)
    return with_metadata(typeset(document, {"document": shown, "xml": xml.decode()}, STANDARDS))


def typeset(document: Document, inputs: dict[str, str], standards: Any) -> bytes:
    """The template filled in. Fonts are those in the library, so that every machine makes the same file."""
    return bytes(
        typst.compile(
            template(),
            format="pdf",
            sys_inputs=inputs,
            pdf_standards=standards,
            timestamp=int(document.issued_at.timestamp()),
            ignore_system_fonts=True,
        )
    )


@cache
def template() -> bytes:
    """The template's source."""
    return Path(__file__).with_name("document.typ").read_bytes()


def with_metadata(file: bytes) -> bytes:
    """The file with what Factur-X asks for in its metadata: the extension schema is added to those that typst wrote."""
    with pikepdf.open(io.BytesIO(file)) as pdf:
        packet = pdf.Root.Metadata.read_bytes()
        head, middle, tail = packet.partition(b"<x:xmpmeta")
        body, end, after = tail.partition(b"</x:xmpmeta>")
        tree = etree.fromstring(middle + body + end)
        rdf = tree.find(f"{{{RDF}}}RDF")
        bag = tree.find(f".//{{{EXTENSION}}}schemas/{{{RDF}}}Bag")
        bag.append(extension_schema())
        described = etree.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": ""}, nsmap={"fx": NAMESPACE})
        for name, value in VALUES.items():
            etree.SubElement(described, f"{{{NAMESPACE}}}{name}").text = value
        pdf.Root.Metadata.write(head + etree.tostring(tree) + after)
        written = io.BytesIO()
        pdf.save(written, deterministic_id=True, fix_metadata_version=False)
        return written.getvalue()


def extension_schema() -> Any:
    """Factur-X's own properties, declared as PDF/A asks of every schema that it does not know."""
    resource = {f"{{{RDF}}}parseType": "Resource"}
    schema = etree.Element(f"{{{RDF}}}li", resource, nsmap={"pdfaSchema": SCHEMA, "pdfaProperty": PROPERTY})
    for name, value in (("schema", "Factur-X PDFA Extension Schema"), ("namespaceURI", NAMESPACE), ("prefix", "fx")):
        etree.SubElement(schema, f"{{{SCHEMA}}}{name}").text = value
    sequence = etree.SubElement(etree.SubElement(schema, f"{{{SCHEMA}}}property"), f"{{{RDF}}}Seq")
    for name, description in DESCRIPTIONS.items():
        declared = etree.SubElement(sequence, f"{{{RDF}}}li", resource)
        facts = {"name": name, "valueType": "Text", "category": "external", "description": description}
        for fact, value in facts.items():
            etree.SubElement(declared, f"{{{PROPERTY}}}{fact}").text = value
    return schema


def shown_of(document: Document) -> dict[str, object]:
    """Every text of the file, in the active language."""
    kind = _("Credit note") if document.credits else _("Invoice")
    seller, buyer = document.seller, document.buyer
    facts = [(_("Issued"), formats.day(document.issued_on))]
    if document.credits:
        number, on = document.credits
        facts += [(_("Invoice"), number), (_("Invoice date"), formats.day(on))]
    elif document.due_at and not document.paid:
        facts.append((_("Due"), formats.day(document.due_at)))
    return {
        "lang": settings.LANGUAGE_CODE,
        "hue": seller.get("hue", 264),
        "title": f"{kind} {document.number}",
        "heading": kind,
        "number": document.number,
        "issued": document.issued_on.isoformat(),
        "seller": lines_of(
            seller["name"],
            *seller.get("address", "").splitlines(),
            f"{seller.get('postal_code', '')} {seller.get('city', '')}",
            formats.country(seller.get("country", "")),
            seller.get("tax_id", ""),
            seller.get("registration", ""),
        ),
        "seller_note": lines_of(*seller.get("note", "").splitlines()),
        "buyer": lines_of(
            buyer.get("billing_name") or buyer.get("billing_email", ""),
            buyer.get("address_line", ""),
            f"{buyer.get('postal_code', '')} {buyer.get('city', '')}",
            buyer.get("region", ""),
            formats.country(buyer.get("country", "")),
            buyer.get("tax_id", ""),
        ),
        "foot": f"{seller['name']} · {kind} {document.number}",
        "facts": facts,
        "labels": {
            "buyer": _("Billed to"),
            "columns": [_("Description"), _("Quantity"), _("Price"), _("Amount")],
        },
        "lines": [shown_line(line) for line in document.lines],
        "sums": sums_of(document),
        "reasons": lines_of(*(TaxCategory(group.category).reason for group in document.taxes)),
    }


def shown_line(line: Line) -> dict[str, str]:
    """A line's texts."""
    return {
        "text": line.text,
        "period": formats.period(line.period.start, line.period.end) if line.period else "",
        "quantity": formats.number(line.quantity, places=10),
        "unit": str(Rate(line.unit_minor, line.amount.currency)),
        "amount": str(line.amount),
    }


def sums_of(document: Document) -> list[tuple[str, str, bool]]:
    """The sums under the lines: label, amount, and whether it is the one to be seen first."""
    sums = []
    names = [(f"{group.name} {formats.percent(group.rate)}", group) for group in document.taxes]
    if document.is_inclusive:
        sums.append((_("Total"), str(document.total), True))
        sums += [(_("Includes %(tax)s") % {"tax": name}, str(group.amount), False) for name, group in names]
        sums += [(_("Net amount"), str(document.net), False)]
    else:
        if document.taxes:
            sums.append((_("Subtotal"), str(document.net), False))
        sums += [(name, str(group.amount), False) for name, group in names]
        sums.append((_("Total"), str(document.total), True))
    if document.paid:
        sums += [(_("Paid"), str(-document.paid), False), (_("Due"), str(document.total - document.paid), False)]
    return sums


def lines_of(*texts: str) -> list[str]:
    """The texts that say something."""
    return [text.strip() for text in texts if text.strip()]
