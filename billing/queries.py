"""Reads of invoices, under row-level security."""

from dataclasses import dataclass

from django.db import models

from accounts.models import Organization
from accounts.permissions import Access, Action
from billing.invoicing import MONEY_UNDER_WAY
from billing.models import (
    AccountKind,
    BankTransfer,
    CreditNote,
    GatewaySubscription,
    Invoice,
    InvoiceItem,
    InvoiceState,
    LedgerAccount,
    Payment,
    PaymentAllocation,
    PaymentMethod,
    PaymentState,
)
from billing.models.declines import NOT_WANTED
from core.compiled import compiled
from core.money import Money

ISSUED = (InvoiceState.OPEN, InvoiceState.OVERDUE, InvoiceState.PAID, InvoiceState.REFUNDED, InvoiceState.VOID)
DUE = (InvoiceState.OPEN, InvoiceState.OVERDUE)


def invoices_for(access: Access, action: Action) -> "models.QuerySet[Invoice]":
    """Issued invoices to which the user may do the action."""
    return Invoice.objects.filter(organization__in=access.organizations(action), state__in=ISSUED)


def invoices_of(access: Access, organization: Organization) -> "models.QuerySet[Invoice]":
    """The organization's issued invoices, newest first, with their first line as `summary`."""
    first = InvoiceItem.objects.filter(invoice=models.OuterRef("pk")).order_by("position").values("description")[:1]
    return (
        invoices_for(access, Action.INVOICE_VIEW)
        .filter(organization=organization)
        .annotate(summary=models.Subquery(first))
        .fetch_mode(models.FETCH_RAISE)
        .order_by("-issued_at", "-sequence_year", "-sequence")
    )


def invoices_due(access: Access, organization: Organization) -> "models.QuerySet[Invoice]":
    """Issued invoices that are not paid, the oldest first."""
    return invoices_of(access, organization).filter(state__in=DUE).order_by("issued_at")


@dataclass(frozen=True)
class Due:
    """Invoices of a currency that are not paid."""

    count: int
    total: Money


def due_of(organization: Organization) -> list[Due]:
    """What is due in each currency in which several invoices are."""
    rows = Invoice.objects.filter(organization=organization, state__in=DUE).order_by().values("currency")
    summed = rows.annotate(count=models.Count("pk"), minor=models.Sum("total_minor")).filter(count__gt=1)
    return [Due(row["count"], Money(row["minor"], row["currency"])) for row in summed.order_by("currency")]


def top_ups_for(access: Access, action: Action) -> "models.QuerySet[Payment]":
    """Payments into the wallet to which the user may do the action."""
    rows = Payment.objects.filter(organization__in=access.organizations(action), invoice=None)
    return rows.select_related("invoice", "organization")


def credit_of(organization: Organization) -> list[Money]:
    """The organization's credit in each currency in which it has some, or has paid invoices with some."""
    return [Money(minor, currency) for minor, currency in _credit(organization)]


@compiled
def _credit(organization: Organization) -> "models.QuerySet[LedgerAccount, tuple[int, str]]":
    used = PaymentAllocation.objects.filter(
        organization=models.OuterRef("organization"), currency=models.OuterRef("currency"), payment=None
    )
    rows = LedgerAccount.objects.filter(organization=organization, kind=AccountKind.WALLET)
    wallets = rows.annotate(credit_minor=models.F("balance_minor") + models.F("promotional_minor"))
    shown = wallets.filter(models.Q(credit_minor__gt=0) | models.Exists(used)).order_by("currency")
    return shown.values_list("credit_minor", "currency")


def credit_notes_for(access: Access, action: Action) -> "models.QuerySet[CreditNote]":
    """Credit notes of invoices to which the user may do the action, with what their document says."""
    notes = CreditNote.objects.filter(organization__in=access.organizations(action), number__isnull=False)
    return notes.select_related("invoice").prefetch_related("invoice__taxes")


def invoice_for_page(invoices: "models.QuerySet[Invoice]") -> "models.QuerySet[Invoice]":
    """These invoices with their lines, credit notes and what paid them, for the page of one invoice."""
    paid_with = models.Prefetch("allocations", queryset=PaymentAllocation.objects.select_related("payment"))
    return (
        invoices.select_related("organization")
        .prefetch_related("items", "taxes", "credit_notes", paid_with)
        .fetch_mode(models.FETCH_RAISE)
    )


def payment_under_way_of(invoice: Invoice) -> Payment | None:
    """What needs nothing of the customer: money that staff check, else what a bank processes, else an open charge."""
    is_charge = models.Q(payment_method__isnull=False, state=PaymentState.PENDING)
    rows = Payment.objects.filter(is_charge | models.Q(state__in=MONEY_UNDER_WAY), invoice=invoice)
    return rows.select_related("payment_method", "organization").order_by("-state").first()


def last_decline_of(invoice: Invoice) -> Payment | None:
    """The latest attempt to charge a saved method for the invoice, where that was refused."""
    rows = Payment.objects.filter(invoice=invoice, payment_method__isnull=False, state=PaymentState.FAILED)
    return (
        rows.exclude(failure_code__in=["", NOT_WANTED]).select_related("payment_method").order_by("-created_at").first()
    )


def methods_for(access: Access, action: Action) -> "models.QuerySet[PaymentMethod]":
    """Saved methods that were not removed, to which the user may do the action."""
    rows = PaymentMethod.objects.filter(organization__in=access.organizations(action), detached_at=None)
    return rows.select_related("organization")


def methods_of(organization: Organization) -> list[PaymentMethod]:
    """The organization's saved methods for its page, the default first."""
    rows = PaymentMethod.objects.filter(organization=organization, detached_at=None)
    return list(rows.fetch_mode(models.FETCH_RAISE).order_by("-is_default", "-created_at"))


def is_renewed_by_gateway(organization: Organization) -> bool:
    """Whether a gateway renews subscriptions of the organization itself."""
    return GatewaySubscription.objects.filter(organization=organization, ended_at=None).exists()


def transfers_for(access: Access, action: Action) -> "models.QuerySet[BankTransfer]":
    """Bank transfers for which the user may do the action, with their payments."""
    rows = BankTransfer.objects.filter(organization__in=access.organizations(action))
    return rows.select_related("payment").fetch_mode(models.FETCH_RAISE)
