"""What can be ordered at this moment: plans with their prices, where there is room for them, and what can be added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from catalog import queries as catalog
from catalog.models import AddonPrice, Plan, PlanPrice, Product, Term
from core.money import Money
from orders.sizes import limits_of
from servers import capacity
from servers import queries as servers
from servers.models import Blueprint, Location

PERIODS = {
    Term.HOURLY: "hour",
    Term.MONTHLY: "month",
    Term.QUARTERLY: "quarter",
    Term.SEMIANNUALLY: "half-year",
    Term.YEARLY: "year",
}


@dataclass(frozen=True)
class PlanOffer:
    """A plan as the shop shows it."""

    plan: Plan
    price: Money
    period: str
    is_available: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(object.__getattribute__(self, "plan"), name)


@dataclass(frozen=True)
class Offer:
    """Everything about a product that its page, the form and the quote need; read in a fixed number of queries."""

    product: Product
    prices: Sequence[PlanPrice]
    addon_prices: Sequence[AddonPrice]
    blueprints: Mapping[UUID | None, Blueprint]
    locations: Sequence[Location]
    room: Mapping[UUID, set[str]] = field(default_factory=dict)

    @property
    def terms(self) -> list[Term]:
        """Terms that any plan is sold for, shortest first."""
        sold = {price.term for price in self.prices}
        return [term for term in Term if term in sold]

    def plans(self, term: Term | None = None) -> list[PlanOffer]:
        """Each plan with its price for the term, or for the shortest it has."""
        by_plan: dict[str, list[PlanPrice]] = {}
        for price in self.prices:
            by_plan.setdefault(price.plan.code, []).append(price)
        return [self._plan(prices, term) for prices in by_plan.values()]

    def _plan(self, prices: list[PlanPrice], term: Term | None) -> PlanOffer:
        order = list(Term)
        shortest = min(prices, key=lambda price: order.index(Term(price.term)))
        price = next((price for price in prices if price.term == term), shortest)
        is_available = price.plan.stock != 0 and any(price.plan.code in codes for codes in self.room.values())
        return PlanOffer(price.plan, price.amount, period_name(Term(price.term)), is_available)

    def price(self, code: str, term: str) -> PlanPrice | None:
        """The price of a plan for a term, None where it is not sold so."""
        return next((price for price in self.prices if (price.plan.code, price.term) == (code, term)), None)

    def addons(self, term: str) -> list[AddonPrice]:
        """Add-ons with their price for the term."""
        return [price for price in self.addon_prices if price.term == term]

    def has_room(self, code: str, location: Location) -> bool:
        """Whether the plan fits somewhere in the location now; checkout holds it or says that it is gone."""
        return code in self.room.get(location.pk, set())

    def blueprint(self, plan: Plan) -> Blueprint | None:
        """How the plan is built: its own blueprint, else its product's."""
        return self.blueprints.get(plan.pk) or self.blueprints.get(None)


def period_name(term: Term) -> str:
    """The term as it stands after a price: "month"."""
    names = {
        "hour": _("hour"),
        "month": _("month"),
        "quarter": _("quarter"),
        "half-year": _("half-year"),
        "year": _("year"),
    }
    return names[PERIODS[term]]


def offer_of(product: Product, currency: str) -> Offer:
    """The product's offer in a currency."""
    prices = catalog.current_plan_prices(list(catalog.plans_for_sale(product)), currency)
    blueprints = {blueprint.plan_id: blueprint for blueprint in servers.blueprints_of(product)}
    locations = servers.locations_of(list(blueprints.values()))
    return Offer(
        product=product,
        prices=prices,
        addon_prices=catalog.current_addon_prices(product, currency),
        blueprints=blueprints,
        locations=locations,
        room=_room(blueprints, prices),
    )


def _room(blueprints: Mapping[UUID | None, Blueprint], prices: Sequence[PlanPrice]) -> dict[UUID, set[str]]:
    plans = {price.plan.code: price.plan for price in prices}
    room: dict[UUID, set[str]] = {}
    for plan_id, blueprint in blueprints.items():
        own = {code: plan for code, plan in plans.items() if (plan.pk if plan.pk in blueprints else None) == plan_id}
        sizes = {code: limits_of(plan).size for code, plan in own.items()}
        for location_id, codes in capacity.availability(blueprint=blueprint, sizes=sizes).items():
            room.setdefault(location_id, set()).update(codes)
    return room
