"""Which subscriptions are paid for now."""

from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet

from billing.item_changes import BILLED
from billing.models import AccountKind, InvoiceState, LedgerAccount, PaymentAllocation, Subscription


def funded(subscriptions: "QuerySet[Subscription]", at: datetime) -> "QuerySet[Subscription]":
    """Those whose time at `at` is paid, with what a change added to it: nothing of that was refunded, and no bank
    disputes its payment or took a part of it. Where the paid time is over, its last period counts. Of a server that was
    transferred, the time that its organization before paid counts as well.

    What is paid with credit is not, while the organization that paid owes: credit of it went back after it was spent.

    What a bank took of another period is no reason to suspend a server that is paid for: neither of an earlier one,
    nor of a later one that was paid early. Nor is what was given back of a change that never began.
    """
    owes = owing().filter(organization=OuterRef("organization"), currency=OuterRef("currency"))
    by_hour = Q(metered_from__isnull=False)
    before = {"invoice__items__subscription__order_item__transfers__server": OuterRef("order_item__server")}
    return subscriptions.filter(
        ~(Exists(owes) & by_hour),
        *(~Exists(lost) for lost in withdrawn(at, invoice__items__subscription=OuterRef("pk"))),
        *(~Exists(lost) for lost in withdrawn(at, **before)),
    )


def withdrawn(at: datetime, **of: Any) -> "tuple[QuerySet[PaymentAllocation], ...]":
    """What paid the time of the outer subscription by the invoice lines `of` it, and is not here any more: refunded,
    disputed, lost, or credit that is owed.
    """
    runs = Q(invoice__items__period_start__lte=at, invoice__items__period_end__gt=at)
    was_last = Q(invoice__items__period_end__gte=OuterRef("current_period_end"), invoice__items__period_end__lte=at)
    paid_by = PaymentAllocation.objects.filter(
        runs | was_last,
        invoice__items__kind__in=BILLED,
        invoice__items__subscription_item__valid_from__isnull=False,
        **of,
    )
    owes = owing().filter(organization=OuterRef("organization"), currency=OuterRef("currency"))
    return (
        paid_by.filter(invoice__state=InvoiceState.REFUNDED),
        paid_by.filter(payment__disputes__isnull=False, payment__disputes__closed_at=None),
        paid_by.filter(reversals__dispute__isnull=False, reversals__undone_at=None),
        paid_by.filter(Exists(owes), payment=None),
    )


def owing() -> "QuerySet[LedgerAccount]":
    """What organizations owe in a currency, because money went back of which the credit was spent."""
    return LedgerAccount.objects.filter(kind=AccountKind.RECEIVABLE, balance_minor__lt=0)
