"""Which subscriptions are paid for now."""

from django.db.models import Exists, OuterRef, QuerySet

from billing.item_changes import BILLED
from billing.models import InvoiceState, PaymentAllocation, Subscription


def funded(subscriptions: "QuerySet[Subscription]") -> "QuerySet[Subscription]":
    """Those whose current period is paid, with what a change added to it: nothing of that was refunded, and no bank
    disputes its payment or took a part of it.

    What a bank took of an earlier period is a loss of ours, and no reason to suspend a server that is paid for. Nor is
    what was given back of a change that never began.
    """
    paid_by = PaymentAllocation.objects.filter(
        invoice__items__subscription=OuterRef("pk"),
        invoice__items__kind__in=BILLED,
        invoice__items__subscription_item__valid_from__isnull=False,
        invoice__items__period_start__lt=OuterRef("current_period_end"),
        invoice__items__period_end__gt=OuterRef("current_period_start"),
    )
    refunded = paid_by.filter(invoice__state=InvoiceState.REFUNDED)
    disputed = paid_by.filter(payment__disputes__isnull=False, payment__disputes__closed_at=None)
    lost = paid_by.filter(reversals__dispute__isnull=False, reversals__undone_at=None)
    return subscriptions.filter(~Exists(refunded), ~Exists(disputed), ~Exists(lost))
