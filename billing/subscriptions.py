"""Subscriptions: opened with the order, activated by the first payment, advanced by each later one.

The last functions are about subscriptions at a gateway that charge for ours.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Q

from accounts.models import Organization
from billing import events
from billing.events import StopReason
from billing.models import (
    PERIOD_KINDS,
    BillingMode,
    GatewayCancelTask,
    GatewaySubscription,
    InvoiceItem,
    ItemKind,
    Payment,
    PaymentAllocation,
    PaymentState,
    Period,
    Subscription,
    SubscriptionItem,
    SubscriptionPause,
    SubscriptionStatus,
    next_period_end,
)
from catalog.models import AddonPrice, PlanPrice
from core import audit, bulk, tenancy, work
from core.money import Money, Rate, total

# Those with a period that goes on. As the index of what is due has it.
PERIOD_STATUSES = (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE)
GOING_ON = (*PERIOD_STATUSES, SubscriptionStatus.SUSPENDED, SubscriptionStatus.PAUSED)  # begun and not over
OVER = frozenset({SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED})


@dataclass(frozen=True)
class SoldDiscount:
    """What is taken off each of a subscription's first `periods` periods, or off every one where that is None."""

    description: str
    amount: Money
    periods: int | None = None


def lock_subscription(subscription_id: UUID) -> Subscription:
    """The subscription under its row lock; the caller holds a transaction."""
    return Subscription.objects.select_for_update(no_key=True).get(pk=subscription_id)


def lock_subscriptions_of(invoice_ids: Collection[UUID]) -> list[Subscription]:
    """What the invoices are for under its locks, before any wallet; the caller holds the invoices' locks."""
    invoiced = InvoiceItem.objects.filter(invoice__in=invoice_ids, subscription__isnull=False).values("subscription_id")
    return list(Subscription.objects.select_for_update(no_key=True).filter(pk__in=invoiced).order_by("pk"))


def open_subscription(
    *,
    organization: Organization,
    plan_price: PlanPrice,
    addon_prices: Sequence[AddonPrice] = (),
    discounts: Sequence[SoldDiscount] = (),
    billing_mode: BillingMode = BillingMode.SELF,
    is_auto_renewed: bool = False,
    label: str = "",
    at: datetime,
) -> Subscription:
    """A pending subscription. It keeps the prices it is sold at, whatever is offered later.

    An add-on's price that is there several times is one item with that quantity. `label` is its name on later
    invoices. `is_auto_renewed` is the customer's choice: only then is the method saved.
    """
    sold: Counter[PlanPrice | AddonPrice] = Counter([plan_price, *addon_prices])
    lasting = [-discount.amount for discount in discounts if discount.periods is None]
    amounts = [Rate(Decimal(price.unit_price.minor), price.currency).times(units) for price, units in sold.items()]
    recurring = total([*amounts, *lasting], plan_price.currency)
    with tenancy.as_worker():
        subscription = Subscription.objects.create(
            organization=organization,
            term=plan_price.term,
            currency=recurring.currency,
            amount_minor=recurring.minor,
            billing_mode=billing_mode,
            is_auto_renewed=is_auto_renewed,
            label=label,
            created_at=at,
        )
        SubscriptionItem.objects.bulk_create(
            SubscriptionItem(
                subscription=subscription,
                organization_id=organization.pk,
                valid_from=at,
                position=position,
                quantity=units,
                **(discount_fields(row) if isinstance(row, SoldDiscount) else price_fields(row)),
            )
            for position, (row, units) in enumerate([*sold.items(), *((row, 1) for row in discounts)])
        )
    return subscription


def price_fields(price: PlanPrice | AddonPrice) -> dict[str, Any]:
    """What an item says that is sold at this price."""
    priced = {"unit_minor": price.unit_price.minor, "currency": price.currency}
    if isinstance(price, PlanPrice):
        description = f"{price.plan.product.name} {price.plan.name}"
        return priced | {"kind": ItemKind.PLAN, "plan_price": price, "description": description}
    return priced | {"kind": ItemKind.ADDON, "addon_price": price, "description": price.addon.name}


def discount_fields(discount: SoldDiscount) -> dict[str, Any]:
    """What an item says that takes something off."""
    return {
        "kind": ItemKind.DISCOUNT,
        "description": discount.description,
        "unit_minor": -discount.amount.minor,
        "currency": discount.amount.currency,
        "periods": discount.periods,
    }


def activate(subscriptions: Mapping[Subscription, Period | None], *, at: datetime) -> dict[UUID, Period]:
    """Begin their first periods and return them by id: each as its gateway bills it, else from `at`.

    The caller holds the rows' locks. One that has begun keeps its period. One that was canceled unpaid is revived: its
    payment arrived.
    """
    periods: dict[UUID, Period] = {}
    begun: dict[Period, list[UUID]] = defaultdict(list)
    for row, period in subscriptions.items():
        if row.current_period_start is not None and row.current_period_end is not None:
            periods[row.pk] = Period(row.current_period_start, row.current_period_end)
        else:
            row.transition_to(SubscriptionStatus.ACTIVE)
            periods[row.pk] = first = period or Period(at, next_period_end(at, row.term, at.day))
            begun[first].append(row.pk)
    for first, ids in begun.items():
        Subscription.objects.filter(pk__in=ids).update(
            status=SubscriptionStatus.ACTIVE,
            anchor_day=first.start.day,
            canceled_at=None,
            current_period_start=first.start,
            current_period_end=first.end,
        )
    end_limited_discounts(subscriptions, begun)
    return periods


def end_limited_discounts(terms: Collection[Subscription], begun: Mapping[Period, Collection[UUID]]) -> None:
    """Discounts for a number of periods end with the last of these, now that it is known when the first begins."""
    first_of = {pk: first for first, ids in begun.items() for pk in ids}
    term_of = {row.pk: row.term for row in terms}
    items = list(SubscriptionItem.objects.filter(subscription__in=first_of, periods__isnull=False, valid_until=None))
    for item in items:
        first = first_of[item.subscription_id]
        end = first.end
        for _later in range((item.periods or 1) - 1):
            end = next_period_end(end, term_of[item.subscription_id], first.start.day)
        item.valid_until = end
    bulk.update_rows(items, ["valid_until"])


def advance(*, subscription: Subscription, period: Period) -> bool:
    """A later period is paid: move on to it and recover; False where neither was left to do.

    Also from the refund of an earlier period that came between this one's charge and its event. The caller sends
    `subscriptions_recovered`.
    """
    with tenancy.as_worker():
        row = lock_subscription(subscription.pk)
        is_later = row.current_period_end is not None and period.end > row.current_period_end
        is_behind = row.status in {SubscriptionStatus.PAST_DUE, SubscriptionStatus.SUSPENDED}
        if is_later:
            row.current_period_start, row.current_period_end = period.start, period.end
        if is_behind:
            row.transition_to(SubscriptionStatus.ACTIVE)
        if is_later or is_behind:
            row.save(update_fields=["current_period_start", "current_period_end", "status"])
    return is_later or is_behind


def mark_past_due(*, subscription: Subscription) -> None:
    """A renewal was not paid. A subscription that is not active stays as it is."""
    with tenancy.as_worker():
        row = lock_subscription(subscription.pk)
        if row.status == SubscriptionStatus.ACTIVE:
            row.transition_to(SubscriptionStatus.PAST_DUE)
            row.save(update_fields=["status"])


def lift_past_due(*, subscription: Subscription, at: datetime) -> None:
    """What was due is paid. A subscription that is not past due stays as it is."""
    with tenancy.as_worker():
        row = lock_subscription(subscription.pk)
        if row.status == SubscriptionStatus.PAST_DUE:
            row.transition_to(SubscriptionStatus.ACTIVE)
            row.save(update_fields=["status"])
            events.subscriptions_recovered.send(Subscription, subscription_ids=[row.pk], at=at)


def cancel_pending(*, subscription: Subscription, at: datetime) -> bool:
    """Cancel what was ordered and not paid; False when it is not pending."""
    with tenancy.as_worker():
        row = lock_subscription(subscription.pk)
        if row.status != SubscriptionStatus.PENDING:
            return False
        row.transition_to(SubscriptionStatus.CANCELED)
        row.canceled_at = at
        row.save(update_fields=["status", "canceled_at"])
    return True


def cancel_at_period_end(*, subscription: Subscription, at: datetime) -> None:
    """Let the subscription end with its period."""
    with tenancy.as_worker():
        row = lock_subscription(subscription.pk)
        row.cancels_at_period_end, row.canceled_at = True, at
        row.save(update_fields=["cancels_at_period_end", "canceled_at"])


def undo_cancellation(*, subscription: Subscription) -> None:
    """Let the subscription renew again after its period."""
    with tenancy.as_worker():
        row = lock_subscription(subscription.pk)
        row.cancels_at_period_end, row.canceled_at = False, None
        row.cancellation_reason = row.cancellation_comment = ""
        row.save(update_fields=["cancels_at_period_end", "canceled_at", "cancellation_reason", "cancellation_comment"])


def stop_renewal(*, of: Q, reason: StopReason, at: datetime) -> None:
    """The money that paid these was taken back for good: they are not charged again, and end with their period.

    Should the money come back after all, the period that it paid is delivered. The caller holds their locks.
    """
    charged = GatewaySubscription.objects.filter(subscription=OuterRef("pk"), is_duplicate=False, ended_at=None)
    with tenancy.as_worker():
        charging = Exists(charged) | Q(billing_mode=BillingMode.SELF)
        renewed = Subscription.objects.filter(of, charging, status__in=(*PERIOD_STATUSES, SubscriptionStatus.PAUSED))
        for row in renewed.distinct().order_by("pk"):
            if not row.cancels_at_period_end:
                cancel_at_period_end(subscription=row, at=at)
            request_cancellation(subscription=row, reason=reason, at=at)


def end_due(*, at: datetime) -> int:
    """End what was canceled and whose period is over; how many. What a gateway still renews ends when it does there."""
    due = Subscription.objects.filter(canceled_and_over(at))

    def end(subscription_id: UUID) -> bool:
        with tenancy.as_worker():
            row = lock_subscription(subscription_id)
            if not due.filter(pk=row.pk).exists():  # renewed, or uncanceled, meanwhile
                return False
            return end_subscription(subscription=row, reason="canceled at the period's end", at=at)

    return work.run_each(list(due.values_list("pk", flat=True)), end, name="end of a subscription")


def canceled_and_over(at: datetime) -> Q:
    """Canceled, its last period over, no gateway renews it, and no payment for a later one is on its way."""
    renewed = GatewaySubscription.objects.filter(
        subscription=OuterRef("pk"), ended_at__isnull=True, cancel_requested_at__isnull=True
    )
    paying = InvoiceItem.objects.filter(
        subscription=OuterRef("pk"),
        kind__in=PERIOD_KINDS,
        is_void=False,
        period_start__gte=OuterRef("current_period_end"),
        invoice__payments__state__in=[PaymentState.PROCESSING, PaymentState.UNDER_REVIEW],
    )
    is_over = Q(status__in=GOING_ON, cancels_at_period_end=True, current_period_end__lte=at)
    return Q(~Exists(renewed), ~Exists(paying)) & is_over


def end_subscription(*, subscription: Subscription, reason: str, at: datetime) -> bool:
    """End the subscription for good; False when it has ended or never began."""
    with tenancy.as_worker():
        row = lock_subscription(subscription.pk)
        if SubscriptionStatus.ENDED not in Subscription.TRANSITIONS[SubscriptionStatus(row.status)]:
            return False
        row.transition_to(SubscriptionStatus.ENDED)
        row.ended_at, row.pauses_until = at, None
        row.deletion_due_at = row.deletion_if_over(at)
        row.save(update_fields=["status", "ended_at", "deletion_due_at", "pauses_until"])
        SubscriptionPause.objects.filter(subscription=row, ended_at=None).update(ended_at=at)
        request_cancellation(subscription=row, at=at)
        row.items.filter(valid_until__isnull=True, valid_from__lt=at).update(valid_until=at)
        events.subscriptions_ended.send(Subscription, subscription_ids=[row.pk], reason=reason, at=at)
    return True


def link_gateway_subscription(*, payment_id: UUID, reference: str, at: datetime) -> None:
    """Store which gateway subscription, `reference`, charges for the one that this payment was to begin.

    Calling it twice is harmless; the caller has settled the payment just now and holds its lock.
    """
    payment = Payment.objects.get(pk=payment_id)
    if payment.invoice_id is None:
        return
    subscription = Subscription.objects.filter(invoice_items__invoice=payment.invoice_id).order_by("pk").first()
    if subscription is None:
        return
    _row, is_new = GatewaySubscription.objects.get_or_create(
        gateway=payment.gateway,
        reference=reference,
        defaults={
            "organization_id": subscription.organization_id,
            "subscription": subscription,
            "payment": payment,
            "is_live": payment.is_live,
            "is_duplicate": subscription.gateway_subscriptions.filter(is_duplicate=False).exists(),
        },
    )
    if is_new:
        choose_charging(subscription=subscription, at=at)


def choose_charging(*, subscription: Subscription, at: datetime) -> None:
    """Of several gateway subscriptions, because a sale was paid twice, that whose payment paid it goes on charging.

    The others are ended: they would charge every month again. While all their payments are under review nothing is
    decided. For a subscription that is over, none goes on. The caller holds the locks of the payments' invoice.
    """
    with tenancy.as_worker():
        rows = list(subscription.gateway_subscriptions.order_by("created_at", "pk"))
        allocations = PaymentAllocation.objects.filter(payment__in=[row.payment_id for row in rows])
        paid = set(allocations.values_list("payment_id", flat=True))
        chosen = next((row for row in rows if row.payment_id in paid), None)
        if chosen is not None and chosen.is_duplicate:
            subscription.gateway_subscriptions.filter(is_duplicate=False).update(is_duplicate=True)
            chosen.is_duplicate = False
            chosen.save(update_fields=["is_duplicate"])
        if subscription.status in OVER:
            request_cancellation(subscription=subscription, at=at)
        for row in rows:
            if chosen is not None and row != chosen:
                request_cancellation(subscription=subscription, reason=StopReason.DUPLICATE, at=at, only=row)


def end_charging_of(*, payment: Payment, reason: StopReason, at: datetime) -> None:
    """A payment that paid nothing here went back: what it began at the gateway is ended."""
    if not payment.allocations.exists():
        for row in payment.gateway_subscriptions.select_related("subscription"):
            request_cancellation(subscription=row.subscription, reason=reason, at=at, only=row)


def request_cancellation(
    *,
    subscription: Subscription,
    reason: StopReason | None = None,
    at: datetime,
    only: GatewaySubscription | None = None,
) -> None:
    """Have the gateway end all its subscriptions that charge for this one, or `only` one of them; twice is harmless.

    With a `reason` the customer, who has not asked for it, is told by e-mail.
    """
    with tenancy.as_worker():
        rows = subscription.gateway_subscriptions.filter(ended_at__isnull=True)
        for row in rows.filter(pk=only.pk) if only else rows:
            _task, is_new = GatewayCancelTask.objects.get_or_create(gateway_subscription=row, defaults={"run_at": at})
            if is_new:
                row.cancel_requested_at = at
                row.save(update_fields=["cancel_requested_at"])
                audit.record(
                    action="subscription.end_at_gateway",
                    entity=subscription,
                    actor=row.gateway,
                    new={"reference": row.reference, "is_duplicate": row.is_duplicate},
                    at=at,
                )
                work.wake_worker(GatewayCancelTask)
                if reason is not None:
                    events.renewals_stopped.send(Subscription, subscription_ids=[subscription.pk], reason=reason, at=at)


def mark_gateway_ended(*, gateway: str, reference: str, at: datetime) -> None:
    """The gateway subscription charges no more."""
    with tenancy.as_worker():
        GatewaySubscription.objects.filter(gateway=gateway, reference=reference, ended_at__isnull=True).update(
            ended_at=at
        )
