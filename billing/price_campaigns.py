"""Price-change campaigns: previewed, announced with a notice period, applied by `renew`, canceled before the date."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.utils.translation import gettext as _

from billing import events
from billing.models import (
    BillingMode,
    CampaignStatus,
    PriceCampaign,
    PriceMove,
    Subscription,
    SubscriptionItem,
    next_period_end,
)
from billing.subscriptions import GOING_ON
from catalog.models import PlanPrice, Term
from core import audit, bulk, site_settings, tenancy
from core.money import Money, Rate

BATCH = 200  # of organizations: each gets an e-mail, which is composed in its transaction


class CampaignRefused(ValueError):
    """The campaign cannot be announced or canceled now; the text tells staff why."""


@dataclass(frozen=True)
class Preview:
    """Who moves, and what they pay a month before and after, without tax and discounts."""

    subscriptions: int
    customers: int
    before: Money
    after: Money

    @property
    def difference(self) -> Money:
        """What a month brings more; below zero where the price falls."""
        return self.after - self.before


def items_to_move(campaign: PriceCampaign) -> "QuerySet[SubscriptionItem]":
    """What was sold at another price, and goes on, and is renewed by us. Discounts stay as they were given.

    Also what a scheduled plan change ends with the period: the change may be canceled, or not be carried out. And what
    is canceled, until it is over: its customer may undo that.
    """
    price = campaign.price
    if price.term == Term.HOURLY:
        return SubscriptionItem.objects.none()
    sold = (
        Q(plan_price__plan=price.plan_id, plan_price__term=price.term)
        if isinstance(price, PlanPrice)
        else Q(addon_price__addon=price.addon_id, addon_price__term=price.term)
    )
    rows = SubscriptionItem.objects.filter(
        sold,
        Q(valid_until=None) | Q(valid_until__gte=F("subscription__current_period_end")),
        currency=price.currency,
        valid_from__isnull=False,
        subscription__status__in=GOING_ON,
        subscription__billing_mode=BillingMode.SELF,
    )
    if campaign.sold_before is not None:
        rows = rows.filter(valid_from__lt=campaign.sold_before)
    is_moved = Exists(PriceMove.objects.filter(item=OuterRef("pk"), canceled_at=None))
    return rows.exclude(unit_minor=price.amount_minor).exclude(is_moved)


def preview(campaign: PriceCampaign) -> Preview:
    """What the campaign does: of a draft, to those whom it would move now; else to those whom it moves."""
    price = campaign.price
    goes_on = Q(subscription__cancels_at_period_end=False)
    rows = items_to_move(campaign).filter(goes_on, valid_until=None)
    if campaign.status != CampaignStatus.DRAFT:
        rows = SubscriptionItem.objects.filter(
            goes_on, price_moves__in=campaign.moves.filter(canceled_at=None).values("pk"), currency=price.currency
        )
    found = rows.aggregate(
        subscriptions=Count("subscription", distinct=True),
        customers=Count("organization", distinct=True),
        before=Sum(F("quantity") * F("unit_minor")),
        quantity=Sum("quantity"),
    )
    monthly = Decimal(1) / max(Term(price.term).months, 1)
    return Preview(
        found["subscriptions"],
        found["customers"],
        Rate(found["before"] or Decimal(0), price.currency).times(monthly),
        Rate(Decimal(price.amount_minor), price.currency).times(monthly * (found["quantity"] or 0)),
    )


def announce(*, campaign: PriceCampaign, actor: object, at: datetime) -> int:
    """Fix who moves, and have each told by e-mail; how many items. Raises CampaignRefused."""
    with tenancy.as_worker():
        row = PriceCampaign.objects.select_for_update(no_key=True, of=("self",)).get(pk=campaign.pk)
        if row.status != CampaignStatus.DRAFT:
            raise CampaignRefused(_("This campaign was announced or canceled already."))
        notice = site_settings.get("billing.price_notice_days")
        if row.effective_at < at + timedelta(days=notice):
            raise CampaignRefused(_("Customers are told %(days)s days before: choose a later day.") % {"days": notice})
        if row.price.superseded_at is not None:
            raise CampaignRefused(_("This price is no longer offered. Choose the present one."))
        if row.price.term == Term.HOURLY:
            raise CampaignRefused(_("What is billed by the hour keeps its price."))
        row.transition_to(CampaignStatus.ANNOUNCED)
        row.announced_at = at
        row.save(update_fields=["status", "announced_at"])
        items = items_to_move(row).values_list("pk", "subscription_id", "organization_id")
        moves = [
            PriceMove(
                campaign=row,
                item_id=item,
                subscription_id=subscription,
                organization_id=owner,
                unit_minor=row.price.amount_minor,
            )
            for item, subscription, owner in items.order_by("pk").iterator()
        ]
        PriceMove.objects.bulk_create(moves, batch_size=2000)
        audit.record(action="price_campaign.announce", entity=row, actor=actor, new={"moves": len(moves)}, at=at)
    return len(moves)


def tell_due(*, at: datetime) -> int:
    """Tell customers of announced campaigns when their price changes, and of canceled ones that it does not; how many.

    Each is told once, batch by batch. Whoever is moved by another campaign hears first that the canceled one is over.
    """
    told = 0
    for tell_batch in (_take_back_batch, _tell_batch):
        while batch := tell_batch(at):
            told += batch
    return told


def _tell_batch(at: datetime) -> int:
    """How many moves were looked at. What is over, or whose plan was changed meanwhile, is not moved, nor told.

    What a scheduled plan change is to end waits until the change is made, or canceled. So does what its customer
    canceled until it is over: who undoes that is told then, with the whole notice.
    """
    notice = timedelta(days=site_settings.get("billing.price_notice_days"))
    lead = timedelta(days=site_settings.get("billing.invoice_lead_days"))
    with tenancy.as_worker():
        is_canceled = Q(subscription__status__in=GOING_ON, subscription__cancels_at_period_end=True)
        is_open = Q(item__valid_until=None) | Q(item__valid_until__lte=at)
        waiting = PriceMove.objects.filter(~is_canceled, is_open, notified_at=None, canceled_at=None)
        rows = list(
            of_next_customers(waiting)
            .select_for_update(no_key=True, skip_locked=True, of=("self",))
            .select_related("campaign", "item", "subscription")
        )
        told = []
        for row in rows:
            sold, item = row.subscription, row.item
            is_over = sold.status not in GOING_ON or item.valid_until is not None
            if is_over or sold.current_period_end is None or sold.anchor_day is None or item.valid_from is None:
                row.canceled_at = at
                continue
            # Its invoice is issued some days before the period: not before the campaign's day. And what a plan change
            # begins with a period is sold at its price for that one.
            earliest = max(row.campaign.effective_at, at + notice, item.valid_from) + lead + timedelta(days=1)
            row.notified_at, row.begins_at = at, first_period_from(sold, earliest)
            told.append(row)
        bulk.update_rows(rows, ["notified_at", "begins_at", "canceled_at"])
        events.price_moves_announced.send(PriceMove, move_ids=one_of_each_customer(told), at=at)
    return len(rows)


def _take_back_batch(at: datetime) -> int:
    """Tell who was told of a new price that it does not come; how many."""
    with tenancy.as_worker():
        waiting = PriceMove.objects.filter(notified_at__isnull=False, canceled_at__isnull=False, taken_back_at=None)
        told = list(of_next_customers(waiting).select_for_update(no_key=True, skip_locked=True))
        PriceMove.objects.filter(pk__in=[row.pk for row in told]).update(taken_back_at=at)
        events.price_moves_canceled.send(PriceMove, move_ids=one_of_each_customer(told), at=at)
    return len(told)


def of_next_customers(waiting: "QuerySet[PriceMove]") -> "QuerySet[PriceMove]":
    """All waiting moves of some organizations, so that one message tells each of all its own."""
    customers = waiting.order_by("pk").values_list("organization", flat=True)[:BATCH]
    return waiting.filter(organization__in=list(customers)).order_by("pk")


def one_of_each_customer(moves: Iterable[PriceMove]) -> list[UUID]:
    """The first move of each organization, whose message tells of the others (`PriceMove.told_together`)."""
    return list({row.organization_id: row.pk for row in reversed(list(moves))}.values())


def first_period_from(subscription: Subscription, earliest: datetime) -> datetime:
    """When the first of a begun subscription's later periods begins that begins no earlier than this."""
    begins = subscription.current_period_end
    if begins is None or subscription.anchor_day is None:
        raise ValueError(f"subscription {subscription.pk} has no period")
    while begins < earliest:
        begins = next_period_end(begins, subscription.term, subscription.anchor_day)
    return begins


def cancel(*, campaign: PriceCampaign, actor: object, at: datetime) -> None:
    """Drop the campaign before its day: everybody keeps their price. `tell_due` tells that to who was told of the new
    one. Twice is harmless.

    Raises CampaignRefused.
    """
    with tenancy.as_worker():
        row = PriceCampaign.objects.select_for_update(no_key=True, of=("self",)).get(pk=campaign.pk)
        if row.status == CampaignStatus.CANCELED:
            return
        if row.status == CampaignStatus.ANNOUNCED and row.effective_at <= at:
            raise CampaignRefused(_("The new price is in force: offer the old one again instead."))
        row.transition_to(CampaignStatus.CANCELED)
        row.save(update_fields=["status"])
        moves = row.moves.filter(canceled_at=None)
        told = moves.exclude(notified_at=None).count()
        moves.update(canceled_at=at)
        audit.record(action="price_campaign.cancel", entity=row, actor=actor, new={"told": told}, at=at)
