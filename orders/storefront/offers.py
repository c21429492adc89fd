"""What can be ordered now: products, plans with their prices and where each is available, and add-ons."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.models import Organization
from catalog import queries as catalog
from catalog.models import AddonKind, AddonPrice, Plan, PlanPrice, Product, Term
from core import site_settings
from core.money import Money, Rate
from orders.quote import server_limits
from servers import builds, capacity
from servers import queries as servers
from servers.models import Blueprint, Region


@dataclass(frozen=True)
class ProductCard:
    """A product as lists show it: how many of its plans are sold, and the lowest monthly price of these."""

    product: Product
    plan_count: int
    price: Money | None
    period: str


@dataclass(frozen=True)
class PlanOffer:
    """A plan at its price for one term."""

    plan: Plan
    price: Money | Rate
    period: str
    is_available: bool


@dataclass(frozen=True)
class Offer:
    """Everything about a product that its page, the form and the quote need; read in a fixed number of queries."""

    product: Product
    prices: Sequence[PlanPrice]
    addon_prices: Sequence[AddonPrice]
    regions: Sequence[Region]
    available: Mapping[UUID, set[str]]  # the codes of the plans that fit, by region

    @property
    def terms(self) -> list[Term]:
        """Terms that any plan is sold for, shortest first."""
        sold = {price.term for price in self.prices}
        return [term for term in Term if term in sold]

    def plans(self, term: Term | None = None) -> list[PlanOffer]:
        """Each plan with its price for the term, or for the shortest it has."""
        by_plan: dict[str, dict[Term, PlanPrice]] = {}
        for price in self.prices:
            by_plan.setdefault(price.plan.code, {})[Term(price.term)] = price
        offers = []
        for code, prices in by_plan.items():
            shown_term = term if term in prices else min(prices, key=list(Term).index)
            price = prices[shown_term]
            is_available = price.plan.stock != 0 and any(code in codes for codes in self.available.values())
            offers.append(PlanOffer(price.plan, price.unit_price, period_name(shown_term), is_available))
        return offers

    def price(self, code: str, term: str) -> PlanPrice | None:
        """The price of a plan for a term, None where it is not sold so."""
        return next((price for price in self.prices if (price.plan.code, price.term) == (code, term)), None)

    def addons(self, term: str) -> list[AddonPrice]:
        """Add-ons with their price for the term."""
        return [price for price in self.addon_prices if price.term == term]

    def prices_for(self, term: str) -> list[PlanPrice | AddonPrice]:
        """The prices of every plan and add-on for the term."""
        prices: list[PlanPrice | AddonPrice] = [*self.prices, *self.addon_prices]
        return [price for price in prices if price.term == term]

    def is_available(self, code: str, region: Region) -> bool:
        """Whether the plan fits somewhere in the region now; only placing the order reserves it."""
        return code in self.available.get(region.pk, set())


def period_name(term: Term) -> str:
    """The term as it is written after a price: "month"."""
    names = {
        Term.HOURLY: _("hour"),
        Term.MONTHLY: _("month"),
        Term.QUARTERLY: _("quarter"),
        Term.SEMIANNUALLY: _("half-year"),
        Term.YEARLY: _("year"),
    }
    return names[term]


def currency_of(organization: Organization | None) -> str:
    """The organization's currency; visitors see the shop's."""
    return organization.currency if organization else str(site_settings.get("shop.currency"))


def product_cards(currency: str) -> list[ProductCard]:
    """Every product for sale, with those of its plans that can be built and have a price in the currency."""
    products = list(catalog.products_for_sale())
    plans = buildable_plans(catalog.plans_for_sale(*products), servers.blueprints_of(*products))
    prices: dict[UUID, list[PlanPrice]] = defaultdict(list)
    for price in catalog.current_plan_prices(list(plans), currency):
        prices[price.plan.product_id].append(price)
    return [
        ProductCard(
            product=product,
            plan_count=len({price.plan_id for price in prices[product.pk]}),
            price=min((price.amount for price in prices[product.pk] if price.term == Term.MONTHLY), default=None),
            period=period_name(Term.MONTHLY),
        )
        for product in products
    ]


def buildable_plans(plans: Iterable[Plan], blueprints: Iterable[Blueprint]) -> dict[Plan, list[Blueprint]]:
    """The plans that can be built, each with the blueprints for it; the others are not offered."""
    usable = {
        plan: [each for each in servers.blueprints_for(plan, blueprints) if builds.can_build_plan(each, plan)]
        for plan in plans
    }
    return {plan: rows for plan, rows in usable.items() if rows}


def offer_of(product: Product, currency: str) -> Offer:
    """The product's offer in a currency."""
    blueprints = servers.blueprints_of(product)
    usable = buildable_plans(catalog.plans_for_sale(product), blueprints)
    plans = list(usable)
    available = capacity.availability(
        sizes={plan.code: server_limits(plan).size for plan in plans},
        blueprints={plan.code: usable[plan] for plan in plans},
    )
    undelivered = {  # an add-on is offered only where each of the product's plans can have it
        kind
        for kind in AddonKind
        for plan in plans
        if not any(kind in builds.build_facts(each).addons for each in usable[plan])
    }
    prices = catalog.current_plan_prices(plans, currency)
    addon_prices = catalog.current_addon_prices(product, currency)
    return Offer(
        product=product,
        prices=prices,
        addon_prices=[price for price in addon_prices if price.addon.kind not in undelivered],
        regions=servers.regions_of(blueprints),
        available=available,
    )
