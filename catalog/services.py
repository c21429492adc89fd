"""Writes to the catalog: superseding prices, counting stock."""

from datetime import datetime
from uuid import UUID

from django.db import models

from accounts.models import User
from catalog.models import Addon, AddonPrice, Plan, PlanPrice, Term
from core import audit, tenancy
from core.money import Money


class SoldOut(Exception):
    """No piece of a plan with limited stock is left."""


def offer_plan_price(
    *,
    plan: Plan,
    term: Term,
    amount: Money,
    setup_fee_minor: int = 0,
    stripe_price_id: str = "",
    actor: User | str | None = None,
    at: datetime,
) -> PlanPrice:
    """Sell the plan at this price from now on; subscriptions keep the price they were sold at.

    The same price again changes nothing.
    """
    with tenancy.as_worker():
        Plan.objects.select_for_update(no_key=True).get(pk=plan.pk)
        rows = PlanPrice.objects.filter(plan=plan, term=term, currency=amount.currency, superseded_at__isnull=True)
        current = rows.first()
        fields = {"amount_minor": amount.minor, "setup_fee_minor": setup_fee_minor, "stripe_price_id": stripe_price_id}
        if current and _is_same(current, fields):
            return current
        rows.update(superseded_at=at)
        price = PlanPrice.objects.create(plan=plan, term=term, currency=amount.currency, offered_at=at, **fields)
        audit.record(action="plan.offer_price", entity=plan, actor=actor, old=_shown(current), new=_shown(price))
    return price


def offer_addon_price(
    *,
    addon: Addon,
    term: Term,
    amount: Money,
    stripe_price_id: str = "",
    actor: User | str | None = None,
    at: datetime,
) -> AddonPrice:
    """Sell the add-on at this price from now on. The same price again changes nothing."""
    with tenancy.as_worker():
        Addon.objects.select_for_update(no_key=True).get(pk=addon.pk)
        rows = AddonPrice.objects.filter(addon=addon, term=term, currency=amount.currency, superseded_at__isnull=True)
        current = rows.first()
        fields = {"amount_minor": amount.minor, "stripe_price_id": stripe_price_id}
        if current and _is_same(current, fields):
            return current
        rows.update(superseded_at=at)
        price = AddonPrice.objects.create(addon=addon, term=term, currency=amount.currency, offered_at=at, **fields)
        audit.record(action="addon.offer_price", entity=addon, actor=actor, old=_shown(current), new=_shown(price))
    return price


def _is_same(price: PlanPrice | AddonPrice, fields: dict[str, object]) -> bool:
    return all(getattr(price, name) == value for name, value in fields.items())


def _shown(price: PlanPrice | AddonPrice | None) -> dict[str, object] | None:
    return {"amount_minor": price.amount_minor, "currency": price.currency, "term": price.term} if price else None


def take_stock(*, plan_id: UUID) -> bool:
    """Take one piece; False where the plan's stock is unlimited, SoldOut where none is left."""
    with tenancy.as_worker():
        if Plan.objects.filter(pk=plan_id, stock__gte=1).update(stock=models.F("stock") - 1):
            return True
        if Plan.objects.filter(pk=plan_id, stock__isnull=True).exists():
            return False
    raise SoldOut(f"plan {plan_id} is sold out")


def return_stock(*, plan_id: UUID) -> None:
    """Give a taken piece back; harmless where the plan's stock has become unlimited meanwhile."""
    with tenancy.as_worker():
        Plan.objects.filter(pk=plan_id, stock__isnull=False).update(stock=models.F("stock") + 1)
