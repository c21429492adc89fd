"""What an invoice or a credit note says, from its frozen rows alone: the same whenever it is asked for."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import accumulate, pairwise
from typing import Any, cast
from uuid import UUID

from django.utils.translation import gettext as _

from billing.models import CreditNote, Invoice, InvoiceItem, InvoiceTax, Period
from core import formats
from core.money import Money


@dataclass(frozen=True)
class Line:
    """A line as printed, its amount without tax, and which of the document's taxes it has."""

    text: str
    period: Period | None
    quantity: Decimal
    unit_minor: Decimal
    amount: Money
    net: Money
    tax: int = 0


@dataclass(frozen=True)
class TaxGroup:
    """What is taxed alike."""

    category: str
    rate: Decimal
    name: str
    net: Money
    amount: Money


@dataclass(frozen=True)
class Document:
    """An invoice, or a credit note that `credits` an invoice: its number and day."""

    number: str
    issued_at: datetime
    due_at: datetime | None
    seller: dict[str, Any]
    buyer: dict[str, str]
    lines: tuple[Line, ...]
    taxes: tuple[TaxGroup, ...]
    net: Money
    tax: Money
    total: Money
    paid: Money
    is_inclusive: bool
    credits: tuple[str, date] | None = None

    @property
    def issued_on(self) -> date:
        """The day on it, in UTC as its number's year is."""
        return self.issued_at.date()


def of_invoice(invoice: Invoice) -> Document:
    """The document of an issued invoice: what is frozen of it, so that paying or voiding it changes nothing.

    One without a due date was issued by its payment, and one of hours by what had been taken for them.
    """
    items = list(invoice.items.all())
    groups = [group_of(row) for row in invoice.taxes.all()]
    issued_at = cast("datetime", invoice.issued_at)
    is_paid = invoice.due_at is None or invoice.usage_month is not None
    return Document(
        number=str(invoice.number),
        issued_at=issued_at,
        due_at=invoice.due_at,
        seller=invoice.seller,
        buyer=invoice.billing_address,
        lines=lines_of(items, [group.net for group in groups] or [invoice.net]),
        taxes=tuple(groups),
        net=invoice.net,
        tax=invoice.tax,
        total=invoice.total,
        paid=invoice.total if is_paid else Money.zero(invoice.currency),
        is_inclusive=invoice.is_tax_inclusive,
    )


def of_credit_note(note: CreditNote) -> Document:
    """The document of a credit note, the same once it is void: one line, or one for each tax of the invoice."""
    invoice = note.invoice
    issued_at, invoiced_at = cast("datetime", note.issued_at), cast("datetime", invoice.issued_at)
    net, tax = Money(note.net_minor, note.currency), Money(note.tax_minor, note.currency)
    text = _("Credit for invoice %(number)s: %(reason)s") % {"number": invoice.number, "reason": note.reason}
    groups = [group_of(row) for row in invoice.taxes.all()]
    nets, taxes = shares([group.net for group in groups], net), shares([group.amount for group in groups], tax)
    texts = [f"{text} ({group.name} {formats.percent(group.rate)})" for group in groups] if nets[1:] else [text]
    return Document(
        number=str(note.number),
        issued_at=issued_at,
        due_at=None,
        seller=note.seller,
        buyer=note.billing_address,
        lines=tuple(
            Line(each, None, Decimal(1), Decimal(of_net.minor), of_net, of_net, place)
            for place, (each, of_net) in enumerate(zip(texts, nets or [net], strict=True))
        ),
        taxes=tuple(
            replace(group, net=of_net, amount=of_tax) for group, of_net, of_tax in zip(groups, nets, taxes, strict=True)
        ),
        net=net,
        tax=tax,
        total=note.total,
        paid=Money.zero(note.currency),
        is_inclusive=False,
        credits=(str(invoice.number), invoiced_at.date()),
    )


def lines_of(items: list[InvoiceItem], nets: list[Money]) -> tuple[Line, ...]:
    """The items as lines; those of one tax have its net amount together."""
    of_items: dict[UUID, Money] = {}
    for place, net in enumerate(nets):
        alike = [item for item in items if item.tax_position == place]
        of_items |= dict(zip((item.pk for item in alike), shares([item.amount for item in alike], net), strict=True))
    return tuple(
        Line(
            item.description,
            Period(item.period_start, item.period_end) if item.period_start and item.period_end else None,
            item.quantity,
            item.unit_minor,
            item.amount,
            of_items[item.pk],
            item.tax_position,
        )
        for item in items
    )


def group_of(row: InvoiceTax) -> TaxGroup:
    """A tax line of an invoice."""
    return TaxGroup(row.category, row.rate, row.name, row.net, row.amount)


def shares(amounts: list[Money], whole: Money) -> list[Money]:
    """`whole` in parts that are to each other as the amounts are: whole minor units whose sum is exact."""
    sums = [0, *accumulate(amount.minor for amount in amounts)]
    if not sums[-1]:
        return [Money.zero(whole.currency) for _amount in amounts]
    rounded = [(2 * part * whole.minor + sums[-1]) // (2 * sums[-1]) for part in sums]
    return [Money(after - before, whole.currency) for before, after in pairwise(rounded)]
