"""Everything that is due in a currency paid at once: with credit as far as it goes, and the rest by the saved card."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Exists, F, OuterRef

from accounts.models import Organization
from billing import credit, gateway_accounts, invoice_payment, payment_methods
from billing.models import Invoice, InvoiceState
from billing.saved_charges import ChargeDecision
from core import tenancy
from core.money import Money, total

MOST = 50  # invoices at once; what is left is paid by another click
LEFT = {ChargeDecision.NO_METHOD, ChargeDecision.TOO_LITTLE, ChargeDecision.BEING_PAID}


@dataclass(frozen=True)
class Result:
    """How many invoices credit paid and the card is charged for, and what is left to pay otherwise."""

    by_credit: int
    by_card: int
    left: Money


def pay_all(*, organization: Organization, currency: str, at: datetime) -> Result:
    """Pay what is due, the earliest first: with credit what it pays whole, and each other one by the default method.

    One whose money is on its way stays as it is. Twice is harmless. Raises the errors of `outside`.
    """
    with tenancy.as_worker(organization):
        rows = Invoice.objects.filter(
            organization=organization,
            currency=currency,
            state__in=(InvoiceState.OPEN, InvoiceState.OVERDUE),
        ).exclude(Exists(gateway_accounts.gateway_billed(OuterRef("pk"))))
        due = list(rows.order_by(F("due_at").asc(nulls_last=True), "issued_at", "pk")[:MOST])
        method = payment_methods.default_method(organization)
        balance = credit.balance_of(organization.pk, currency)
    by_credit, by_card, left = 0, 0, list[Money]()
    for invoice in due:
        decision = ChargeDecision.NO_METHOD
        if balance >= invoice.total and invoice_payment.pay_with_credit(invoice=invoice, at=at):
            by_credit += invoice.reload().state == InvoiceState.PAID
            balance = credit.balance_of(organization.pk, currency)
            continue
        if method is not None:
            decision = invoice_payment.charge_method(invoice=invoice, method=method, at=at)
            balance = credit.balance_of(organization.pk, currency)  # a part of it may be reserved now
        if decision in LEFT:
            left.append(invoice.total)
        by_card += decision == ChargeDecision.REQUESTED
    return Result(by_credit, by_card, total(left, currency))
