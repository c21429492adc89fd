"""Which subscriptions are paid for now."""

from datetime import datetime

from django.db.models import Exists, OuterRef, Q, QuerySet

from billing.item_changes import BILLED
from billing.models import AccountKind, InvoiceState, LedgerAccount, PaymentAllocation, Subscription


def funded(subscriptions: "QuerySet[Subscription]", at: datetime) -> "QuerySet[Subscription]":
    """Those whose time at `at` is paid, with what a change added to it: nothing of that was refunded, and no bank
    disputes its payment or took a part of it. Where the paid time is over, its last period counts.

    What is paid with credit is not, while the organization owes: credit of it went back after it was spent.

    What a bank took of another period is no reason to suspend a server that is paid for: neither of an earlier one,
    nor of a later one that was paid early. Nor is what was given back of a change that never began.
    """
    runs = Q(invoice__items__period_start__lte=at, invoice__items__period_end__gt=at)
    was_last = Q(invoice__items__period_end__gte=OuterRef("current_period_end"), invoice__items__period_end__lte=at)
    paid_by = PaymentAllocation.objects.filter(
        runs | was_last,
        invoice__items__subscription=OuterRef("pk"),
        invoice__items__kind__in=BILLED,
        invoice__items__subscription_item__valid_from__isnull=False,
    )
    refunded = paid_by.filter(invoice__state=InvoiceState.REFUNDED)
    disputed = paid_by.filter(payment__disputes__isnull=False, payment__disputes__closed_at=None)
    lost = paid_by.filter(reversals__dispute__isnull=False, reversals__undone_at=None)
    owes = owing().filter(organization=OuterRef("organization"), currency=OuterRef("currency"))
    is_by_credit = Exists(paid_by.filter(payment=None)) | Q(metered_from__isnull=False)
    return subscriptions.filter(~Exists(refunded), ~Exists(disputed), ~Exists(lost), ~(Exists(owes) & is_by_credit))


def owing() -> "QuerySet[LedgerAccount]":
    """What organizations owe in a currency, because money went back of which the credit was spent."""
    return LedgerAccount.objects.filter(kind=AccountKind.RECEIVABLE, balance_minor__lt=0)
