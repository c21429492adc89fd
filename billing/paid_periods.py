"""The current period of a subscription when money for a later period goes back, and when it comes back after all."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from django.db.models import F

from billing import subscriptions
from billing.models import PERIOD_KINDS, InvoiceItem, InvoiceState, Period, Subscription


def put_back(*, invoice_id: UUID, at: datetime) -> None:
    """Where a refunded invoice paid a period early, the subscription has the last period again that is paid.

    A period that has begun stays: it ends at its time, also where its money comes back. The caller holds the locks.
    """
    early = Subscription.objects.filter(
        invoice_items__invoice=invoice_id,
        invoice_items__kind__in=PERIOD_KINDS,
        invoice_items__period_end=F("current_period_end"),
        current_period_start__gt=at,
    )
    for row in early.distinct().order_by("pk"):
        paid = InvoiceItem.objects.filter(
            subscription=row,
            kind__in=PERIOD_KINDS,
            invoice__state=InvoiceState.PAID,
            period_end__lt=row.current_period_end,
        )
        last = paid.order_by("-period_end").first()
        if last is not None:
            row.current_period_start, row.current_period_end = last.period_start, last.period_end
            row.save(update_fields=["current_period_start", "current_period_end"])


def restore(*, invoice_ids: Collection[UUID]) -> None:
    """What such invoices paid is paid again: their subscriptions have those periods. The caller holds the locks."""
    lines = InvoiceItem.objects.filter(
        invoice__in=invoice_ids,
        kind__in=PERIOD_KINDS,
        period_end__gt=F("subscription__current_period_end"),
        subscription__status__in=subscriptions.GOING_ON,
    ).select_related("subscription")
    for line in lines.order_by("subscription_id", "period_end"):
        if line.subscription and line.period_start and line.period_end:
            period = Period(line.period_start, line.period_end)
            subscriptions.advance(subscription=line.subscription, period=period)
