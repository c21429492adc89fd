"""Changing what a subscription consists of: items that begin and end, and what was paid for those that end."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from fractions import Fraction
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from billing import invoicing, tax
from billing.models import (
    PERIOD_KINDS,
    Invoice,
    InvoiceItem,
    InvoiceState,
    ItemKind,
    Period,
    PriceMove,
    Subscription,
    SubscriptionItem,
)
from billing.proration import NewItem, PaidTime, split_discount
from catalog.models import AddonPrice, PlanPrice, Term
from core import tenancy
from core.ids import uuid7
from core.money import Rate, total

BILLED = (*PERIOD_KINDS, ItemKind.PRORATION)


def in_force(at: datetime) -> Q:
    """Items that are part of their subscription at an instant."""
    return Q(valid_from__lte=at) & (Q(valid_until=None) | Q(valid_until__gt=at))


def billed_from(subscription: Subscription, at: datetime) -> list[InvoiceItem]:
    """The lines that bill the subscription's items for a time after `at`, paid or not."""
    rows = InvoiceItem.objects.filter(subscription=subscription, kind__in=BILLED, is_void=False, period_end__gt=at)
    rows = rows.filter(subscription_item__valid_from__isnull=False)  # or its change was not made
    return list(rows.select_related("invoice", "subscription_item").order_by("period_start", "position"))


def paid_times(lines: Sequence[InvoiceItem], item_ids: Collection[UUID], *, is_tax_inclusive: bool) -> list[PaidTime]:
    """What was paid for these items by such lines: less discounts, and less what was given back of their invoices.

    With its tax where prices include that today, also where they did not when it was paid.
    """
    by_invoice: dict[Invoice, list[InvoiceItem]] = defaultdict(list)
    for line in lines:
        if line.subscription_item_id in item_ids and line.invoice.state == InvoiceState.PAID:
            by_invoice[line.invoice].append(line)
    times = []
    for invoice, wanted in by_invoice.items():
        kept = total((left for _row, left in invoicing.open_allocations(Q(invoice=invoice))), invoice.currency)
        part_kept = 1 - taken_back(invoice, kept.minor)
        if invoice.is_tax_inclusive is not is_tax_inclusive and invoice.net_minor:
            with_tax = Fraction(invoice.total_minor, invoice.net_minor)
            part_kept *= with_tax if is_tax_inclusive else 1 / with_tax
        net = net_of_discounts(list(invoice.items.all()))
        for line in wanted:
            if line.subscription_item and line.period_start and line.period_end:
                period = Period(line.period_start, line.period_end)
                times.append(
                    PaidTime(line.subscription_item, period, net[line.pk] * part_kept, tax.tax_of_invoice(invoice))
                )
    return times


def taken_back(invoice: Invoice, kept_minor: int) -> Fraction:
    """What was given back of an invoice, as a part of all that it charged: what it credited was paid for before."""
    if not invoice.total_minor:
        return Fraction(0)
    items = list(invoice.items.all())
    listed = sum(item.amount_minor for item in items)
    charged = sum(item.amount_minor for item in items if item.kind != ItemKind.CREDIT)
    return Fraction(invoice.total_minor - kept_minor, invoice.total_minor) * Fraction(listed, charged)


def net_of_discounts(lines: Sequence[InvoiceItem]) -> dict[UUID, Fraction]:
    """What each line for a plan or an add-on came to, less its share of the discounts on its subscription or on all."""
    charged = [line for line in lines if line.kind in BILLED]
    net = {line.pk: Fraction(line.amount_minor) for line in charged}
    for discount in (line for line in lines if line.kind == ItemKind.DISCOUNT):
        on = [line for line in charged if discount.subscription_id in {None, line.subscription_id}]
        shares = split_discount(discount.amount_minor, [line.amount_minor for line in on])
        for line, share in zip(on, shares, strict=True):
            net[line.pk] += share
    return net


def full_periods(subscription: Subscription, lines: Sequence[InvoiceItem], at: datetime) -> list[Period]:
    """The whole billing periods, from the one that runs at `at` to the last one that is paid."""
    periods = {
        Period(line.period_start, line.period_end)
        for line in lines
        if line.kind == ItemKind.PLAN and line.period_start and line.period_end
    }
    if subscription.current_period_start is not None and subscription.current_period_end is not None:
        periods.add(Period(subscription.current_period_start, subscription.current_period_end))
    return sorted((period for period in periods if period.end > at), key=lambda period: period.start)


def add_items(*, subscription: Subscription, items: Sequence[NewItem]) -> list[NewItem]:
    """Write items that are not part of the subscription yet; `switch_items` makes them so."""
    position = subscription.items.count()
    with tenancy.within_worker():
        rows = []
        for offset, new in enumerate(items):
            row = SubscriptionItem(
                subscription=subscription,
                organization_id=subscription.organization_id,
                kind=ItemKind.PLAN if isinstance(new.price, PlanPrice) else ItemKind.ADDON,
                plan_price=new.price if isinstance(new.price, PlanPrice) else None,
                addon_price=new.price if isinstance(new.price, AddonPrice) else None,
                description=new.description[:255],
                quantity=new.units,
                unit_minor=new.price.unit_price.minor,
                currency=new.price.currency,
                valid_from=None,
                position=position + offset,
            )
            rows.append(row)
        SubscriptionItem.objects.bulk_create(rows)
    return [replace(new, item=row) for new, row in zip(items, rows, strict=True)]


def switch_items(
    *, subscription: Subscription, ended: Collection[UUID], begun: Collection[UUID], term: Term, at: datetime
) -> None:
    """From `at` on the subscription has these items instead of those. The caller holds its lock.

    What a period costs, and how long the next one is, follow at once: the present one is paid.
    """
    with tenancy.within_worker():
        SubscriptionItem.objects.filter(pk__in=ended).update(valid_until=at)
        SubscriptionItem.objects.filter(pk__in=begun).update(valid_from=at)
        carry_price_moves(ended, begun)
        set_price(subscription, term, at)


def undo_switch(
    *, subscription: Subscription, ended: Mapping[str, str], begun: Collection[UUID], term: Term, at: datetime
) -> None:
    """Take back what `switch_items` was to do at an instant that has not come. The caller holds the lock.

    `ended` says until when each item was valid before, empty for good.
    """
    with tenancy.within_worker():
        carry_price_moves(begun, ended)
        SubscriptionItem.objects.filter(pk__in=begun).update(valid_from=None, valid_until=None)
        for item_id, valid_until in ended.items():
            SubscriptionItem.objects.filter(pk=item_id).update(valid_until=valid_until or None)
        set_price(subscription, term, at)


def sell_again(*, subscription: Subscription, ended: Mapping[str, str], begun: Collection[UUID], term: Term) -> None:
    """From the next period on the subscription has again what ended before, instead of what begun. The caller holds
    its lock. `ended` says until when each item was valid, empty for good.

    Of what is billed by the hour, no hour may be charged since: then it is as if nothing had begun.
    """
    at = subscription.current_period_end
    if at is None:
        raise ValueError(f"subscription {subscription.pk} has no period")
    if not SubscriptionItem.objects.filter(pk__in=begun, valid_from__lt=at).exists():
        undo_switch(subscription=subscription, ended=ended, begun=begun, term=term, at=at)
        return
    with tenancy.within_worker():
        carry_price_moves(begun, ended)
        rows = list(SubscriptionItem.objects.filter(pk__in=ended))
        SubscriptionItem.objects.filter(pk__in=begun).update(valid_until=at)
        for row in rows:
            item_id, until = row.pk, ended[str(row.pk)]
            if not until or datetime.fromisoformat(until) > at:
                row.pk, row.valid_from, row.valid_until = uuid7(), at, datetime.fromisoformat(until) if until else None
                row.save(force_insert=True)
                PriceMove.objects.filter(item=item_id, applied_at=None, canceled_at=None).update(item=row)
        set_price(subscription, term, at)


def carry_price_moves(source: Collection[Any], target: Collection[Any]) -> None:
    """Where units of an add-on stay at the price that they were sold at, its campaign moves those instead."""
    moves = PriceMove.objects.filter(item__in=source, applied_at=None, canceled_at=None)
    is_moved = Exists(PriceMove.objects.filter(item=OuterRef("pk"), canceled_at=None))
    for row in SubscriptionItem.objects.filter(~is_moved, pk__in=target, addon_price__isnull=False):
        move = moves.filter(item__addon_price=row.addon_price_id).first()
        if move is not None:
            move.item = row
            move.save(update_fields=["item"])


def set_price(subscription: Subscription, term: Term, at: datetime) -> None:
    """Make the subscription's price the sum of the items that it has at `at`, but for discounts of some periods."""
    items = subscription.items.filter(in_force(at), periods=None)
    amounts = (Rate(item.unit_minor, item.currency).times(item.quantity) for item in items)
    subscription.term, subscription.amount_minor = term, total(amounts, subscription.currency).minor
    subscription.save(update_fields=["term", "amount_minor"])
