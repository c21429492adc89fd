"""What renews: opened when ordered, activated by the first payment, moved on by each later one."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from accounts.models import Organization
from billing import events
from billing.models import BillingMode, ItemKind, Subscription, SubscriptionItem, SubscriptionStatus
from billing.periods import Period, next_period_end
from catalog.models import AddonPrice, PlanPrice
from core import tenancy
from core.money import total

__all__ = [
    "activate",
    "advance",
    "cancel_at_period_end",
    "cancel_pending",
    "end_subscription",
    "mark_past_due",
    "next_period_end",
    "open_subscription",
]


def open_subscription(
    *,
    organization: Organization,
    plan_price: PlanPrice,
    addon_prices: Sequence[AddonPrice] = (),
    billing_mode: BillingMode = BillingMode.SELF,
    at: datetime,
) -> Subscription:
    """A pending subscription at the prices it is sold at, which it keeps whatever is offered later."""
    prices: list[PlanPrice | AddonPrice] = [plan_price, *addon_prices]
    recurring = total((price.amount for price in prices), plan_price.currency)
    with tenancy.as_worker():
        subscription = Subscription.objects.create(
            organization=organization,
            term=plan_price.term,
            currency=recurring.currency,
            amount_minor=recurring.minor,
            billing_mode=billing_mode,
            created_at=at,
        )
        SubscriptionItem.objects.bulk_create(
            _item(subscription, price, position) for position, price in enumerate(prices)
        )
    return subscription


def _item(subscription: Subscription, price: PlanPrice | AddonPrice, position: int) -> SubscriptionItem:
    item = SubscriptionItem(
        subscription=subscription,
        organization_id=subscription.organization_id,
        unit_minor=price.amount_minor,
        currency=price.currency,
        position=position,
    )
    if isinstance(price, PlanPrice):
        item.kind, item.plan_price = ItemKind.PLAN, price
        item.description = f"{price.plan.product.name} {price.plan.name}"
    else:
        item.kind, item.addon_price, item.description = ItemKind.ADDON, price, price.addon.name
    return item


def locked(subscription_id: UUID) -> Subscription:
    """The subscription under its row lock; the caller holds a transaction."""
    return Subscription.objects.select_for_update(no_key=True).get(pk=subscription_id)


def activate(*, subscription: Subscription, period: Period | None = None, at: datetime) -> Period:
    """Begin the first period at `at`, or as the billing_mode says; once begun, the first period is simply returned.

    A subscription that was canceled unpaid is revived, because its money came after all.
    """
    with tenancy.as_worker():
        row = locked(subscription.pk)
        if row.current_period_start is None:
            first = period or Period(at, next_period_end(at, row.term, at.day))
            row.transition_to(SubscriptionStatus.ACTIVE)
            row.anchor_day, row.canceled_at = first.start.day, None
            row.current_period_start, row.current_period_end = first.start, first.end
            row.save()
    return _current_period(row)


def _current_period(row: Subscription) -> Period:
    if row.current_period_start is None or row.current_period_end is None:
        raise ValueError(f"subscription {row.pk} has no period")
    return Period(row.current_period_start, row.current_period_end)


def advance(*, subscription: Subscription, period: Period, at: datetime) -> None:
    """A later period is paid: move on to it and recover; an older period than the current one changes nothing."""
    with tenancy.as_worker():
        row = locked(subscription.pk)
        if row.current_period_end is not None and period.end > row.current_period_end:
            row.current_period_start, row.current_period_end = period.start, period.end
            row.save(update_fields=["current_period_start", "current_period_end"])
        if row.status in {SubscriptionStatus.PAST_DUE, SubscriptionStatus.SUSPENDED}:
            row.transition_to(SubscriptionStatus.ACTIVE)
            row.save(update_fields=["status"])
            events.subscription_recovered.send(Subscription, subscription=row, at=at)


def mark_past_due(*, subscription: Subscription, at: datetime) -> bool:
    """A renewal could not be collected; False when that does not apply (any more)."""
    with tenancy.as_worker():
        row = locked(subscription.pk)
        if row.status != SubscriptionStatus.ACTIVE:
            return False
        row.transition_to(SubscriptionStatus.PAST_DUE)
        row.save(update_fields=["status"])
        events.subscription_past_due.send(Subscription, subscription=row, at=at)
    return True


def cancel_pending(*, subscription: Subscription, at: datetime) -> bool:
    """Cancel what was ordered and not paid; False when it is past that."""
    with tenancy.as_worker():
        row = locked(subscription.pk)
        if row.status != SubscriptionStatus.PENDING:
            return False
        row.transition_to(SubscriptionStatus.CANCELED)
        row.canceled_at = at
        row.save(update_fields=["status", "canceled_at"])
    return True


def cancel_at_period_end(*, subscription: Subscription, is_wanted: bool, at: datetime) -> None:
    """Let it run out with its period, or take that back."""
    with tenancy.as_worker():
        row = locked(subscription.pk)
        row.cancels_at_period_end, row.is_auto_renewed = is_wanted, not is_wanted
        row.canceled_at = at if is_wanted else None
        row.save(update_fields=["cancels_at_period_end", "is_auto_renewed", "canceled_at"])


def note_collection_ended(*, subscription_id: UUID, at: datetime) -> None:
    """The gateway that collected it collects no more."""
    with tenancy.as_worker():
        rows = Subscription.objects.filter(pk=subscription_id, collection_ended_at__isnull=True)
        rows.update(collection_ended_at=at)


def end_subscription(*, subscription: Subscription, reason: str, at: datetime) -> bool:
    """End it for good; False when it has ended or never began."""
    with tenancy.as_worker():
        row = locked(subscription.pk)
        if SubscriptionStatus.ENDED not in Subscription.TRANSITIONS[SubscriptionStatus(row.status)]:
            return False
        row.transition_to(SubscriptionStatus.ENDED)
        row.ended_at = at
        row.save(update_fields=["status", "ended_at"])
        events.subscription_ended.send(Subscription, subscription=row, reason=reason, at=at)
    return True
