"""Writes to the catalog: new prices, stock."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import models

from accounts.models import User
from catalog.models import Addon, AddonPrice, Plan, PlanPrice, Term
from core import audit, tenancy
from core.money import Money, Rate


class SoldOut(Exception):
    """A plan with limited stock has none left."""

    def __init__(self, plan_id: UUID) -> None:
        super().__init__(f"plan {plan_id} is sold out")
        self.plan_id = plan_id


def offer_price(
    *,
    item: Plan | Addon,
    term: Term,
    amount: Money | Rate,
    setup_fee_minor: int = 0,
    actor: User | str | None = None,
    at: datetime,
) -> PlanPrice | AddonPrice:
    """Sell the plan or add-on at this price from now on; subscriptions keep the price they were sold at.

    The price of an hour may be a Rate, finer than any amount. Only a plan has a setup fee. The same price again changes
    nothing. ValueError for a Rate of a longer term.
    """
    rate = Rate(Decimal(amount.minor), amount.currency)
    if isinstance(amount, Rate) and term != Term.HOURLY:
        raise ValueError(f"a {term} price is an amount, not a rate")
    fields: dict[str, Any] = {
        "amount_minor": rate.times(1).minor,
        "rate_minor": rate.minor if term == Term.HOURLY else None,
    }
    if isinstance(item, Plan):
        fields["setup_fee_minor"] = setup_fee_minor
    with tenancy.as_worker():
        type(item)._default_manager.select_for_update(no_key=True).get(pk=item.pk)  # one offer at a time
        rows = item.prices.filter(term=term, currency=amount.currency, superseded_at__isnull=True)
        current = rows.first()
        if current and all(getattr(current, name) == value for name, value in fields.items()):
            return current
        rows.update(superseded_at=at)
        price = item.prices.create(term=term, currency=amount.currency, offered_at=at, **fields)
        audit.record(
            action=f"{item._meta.model_name}.offer_price",
            entity=item,
            actor=actor,
            old=_audited(current) if current else None,
            new=_audited(price),
            at=at,
        )
    return price


def _audited(price: PlanPrice | AddonPrice) -> dict[str, object]:
    exact = str(price.rate_minor) if price.rate_minor is not None else price.amount_minor
    return {"amount_minor": exact, "currency": price.currency, "term": price.term}


def take_stock(*, plan_id: UUID) -> bool:
    """Take one unit; False when the plan's stock is unlimited, SoldOut when none is left."""
    with tenancy.as_worker():
        if Plan.objects.filter(pk=plan_id, stock__gte=1).update(stock=models.F("stock") - 1):
            return True
        if Plan.objects.filter(pk=plan_id, stock__isnull=True).exists():
            return False
    raise SoldOut(plan_id)


def return_stock(*, plan_id: UUID) -> None:
    """Put a unit back; does nothing when the plan's stock has become unlimited."""
    with tenancy.as_worker():
        Plan.objects.filter(pk=plan_id, stock__isnull=False).update(stock=models.F("stock") + 1)
