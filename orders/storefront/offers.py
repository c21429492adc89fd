"""What can be ordered now: products, plans with their prices and where each is available, and add-ons."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.models import Organization
from catalog import queries as catalog
from catalog.models import AddonKind, AddonPrice, Image, Plan, PlanPrice, Product, Promotion, Term
from core import formats
from core.money import Money, Rate, payable_step
from orders.quote import HOURS_OF_A_MONTH, server_limits
from orders.storefront.currencies import sold_currency
from orders.waitlist import entries as waitlist
from servers import builds, capacity
from servers import queries as servers
from servers.models import Blueprint, Region


@dataclass(frozen=True)
class ProductCard:
    """A product as lists show it: how many of its plans are sold, and the lowest monthly price of these.

    `before` is what that plan costs without its promotion.
    """

    product: Product
    plan_count: int
    price: Money | None
    period: str
    before: Money | None = None


@dataclass(frozen=True)
class PlanOffer:
    """A plan at its price for one term; `before` is what it costs without its promotion."""

    plan: Plan
    price: Money | Rate
    period: str
    is_available: bool
    before: Money | None = None
    promotion: Promotion | None = None


@dataclass(frozen=True)
class TermOffer:
    """What a plan costs for one term: its price, what that is a month, and what it saves against paying monthly."""

    price: Money | Rate
    period: str
    monthly: Money | None
    saving: str


@dataclass(frozen=True)
class Offer:
    """Everything about a product that its page, the form and the quote need; read in a fixed number of queries."""

    product: Product
    prices: Sequence[PlanPrice]
    addon_prices: Sequence[AddonPrice]
    regions: Sequence[Region]
    available: Mapping[UUID, set[str]]  # the codes of the plans that fit, by region
    promotions: Mapping[UUID, Sequence[Promotion]]  # by plan
    images: Mapping[UUID, Sequence[Image]]  # by plan
    currency: str
    currencies: Sequence[str]  # those in which anything is sold
    reserved: AbstractSet[tuple[UUID, UUID]] = frozenset()  # for the reader: plan and region
    waited_for: AbstractSet[tuple[UUID, UUID]] = frozenset()

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
            is_available = any(self.is_available(code, region) for region in self.regions)
            promotion, before = self.promotion_of(price), None
            shown_price: Money | Rate = price.unit_price
            if promotion is not None:
                shown_price, before = price.amount - promotion.off(price.amount), price.amount
            offer = PlanOffer(price.plan, shown_price, period_name(shown_term), is_available, before, promotion)
            offers.append(offer)
        return offers

    def term_offer(self, code: str, term: Term) -> TermOffer | None:
        """What the plan costs for the term; None where it is not sold so."""
        price = self.price(code, term)
        if price is None:
            return None
        if term == Term.HOURLY:
            monthly = Rate(Decimal(price.unit_price.minor), price.currency).times(HOURS_OF_A_MONTH)
            return TermOffer(price.unit_price, period_name(term), monthly, "")
        promotion, by_month = self.promotion_of(price), self.price(code, Term.MONTHLY)
        amount = price.amount - promotion.off(price.amount) if promotion else price.amount
        saving = saving_text(by_month.amount, price.amount, term.months) if by_month else ""
        return TermOffer(amount, period_name(term), per_month(amount, term.months), saving)

    def promotion_of(self, price: PlanPrice) -> Promotion | None:
        """The best promotion of the price."""
        return best_promotion(self.promotions.get(price.plan_id, ()), price)

    def price(self, code: str, term: str) -> PlanPrice | None:
        """The price of a plan for a term, None where it is not sold so."""
        return next((price for price in self.prices if (price.plan.code, price.term) == (code, term)), None)

    def images_of(self, code: str) -> Sequence[Image]:
        """The images that a server of the plan may begin with; none where it has no choice."""
        return next((self.images.get(row.plan_id, ()) for row in self.prices if row.plan.code == code), ())

    def addons(self, term: str) -> list[AddonPrice]:
        """Add-ons with their price for the term."""
        return [price for price in self.addon_prices if price.term == term]

    def shown_for(self, term: str) -> list[PlanPrice | AddonPrice | Promotion]:
        """The prices of every plan and add-on for the term, with the plans' promotions."""
        prices = [price for price in self.prices if price.term == term]
        promotions = dict.fromkeys(promotion for price in prices if (promotion := self.promotion_of(price)))
        return [*prices, *self.addons(term), *promotions]

    def is_available(self, code: str, region: Region) -> bool:
        """Whether the reader can have the plan in the region now; only placing the order reserves it."""
        plan = self.plan(code)
        if plan is None or (plan.pk, region.pk) in self.reserved:
            return plan is not None
        is_left = plan.stock != 0 and (plan.pk, region.pk) not in self.waited_for
        return is_left and code in self.available.get(region.pk, set())

    def plan(self, code: str) -> Plan | None:
        """The plan with the code, None where no such plan is sold."""
        return next((price.plan for price in self.prices if price.plan.code == code), None)


def for_reader(offers: Mapping[str, Offer], organization: Organization | None) -> dict[str, Offer]:
    """The offers with what somebody waits for, and what is reserved for this reader."""
    plans = {price.plan for offer in offers.values() for price in offer.prices}
    waited_for, reserved = waitlist.taken_up(plans, organization)
    return {slug: replace(offer, waited_for=waited_for, reserved=reserved) for slug, offer in offers.items()}


def per_month(amount: Money, months: int) -> Money | None:
    """What each of several months costs, to what can be paid; None for one month."""
    if months < 2:
        return None
    step = payable_step(amount.currency)
    return step * Rate(Decimal(amount.minor) / (months * step.minor), amount.currency).times(1).minor


def saving_text(monthly: Money, price: Money, months: int) -> str:
    """What the price of several months saves against as many single ones: "2 months free", else "save 5%"."""
    saved = monthly.minor * months - price.minor
    if saved <= 0 or months < 2:
        return ""
    free, rest = divmod(saved, monthly.minor)
    if not rest:
        return ngettext("%(count)s month free", "%(count)s months free", free) % {"count": free}
    share = saved * 100 // (monthly.minor * months)
    return _("save %(share)s") % {"share": formats.percent(Decimal(share))} if share else ""


def best_promotion(promotions: Iterable[Promotion], price: PlanPrice) -> Promotion | None:
    """Which of the promotions takes most off the price; None where none does, as of the price of an hour."""
    off = {promotion: promotion.off(price.amount).minor for promotion in promotions}
    best = max(off, key=lambda promotion: off[promotion], default=None)
    return best if best is not None and off[best] and price.term != Term.HOURLY else None


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


@dataclass(frozen=True)
class Listing:
    """Every product for sale in one currency, and the currencies in which anything is sold."""

    cards: Sequence[ProductCard]
    currency: str
    currencies: Sequence[str]


def listing_of(currency: str) -> Listing:
    """What is for sale in the currency; in the shop's where nothing is sold in it."""
    currencies = catalog.currencies_for_sale()
    shown = sold_currency(currency, currencies)
    return Listing(product_cards(shown), shown, currencies)


def product_cards(currency: str) -> list[ProductCard]:
    """Every product for sale, with those of its plans that can be built and have a price in the currency."""
    products = list(catalog.products_for_sale())
    plans = buildable_plans(catalog.plans_for_sale(*products), servers.blueprints_of(*products))
    prices: dict[UUID, list[PlanPrice]] = defaultdict(list)
    for price in catalog.current_plan_prices(list(plans), currency):
        prices[price.plan.product_id].append(price)
    promotions = catalog.promotions_of(plans)
    return [product_card(product, prices[product.pk], promotions) for product in products]


def product_card(
    product: Product, prices: Sequence[PlanPrice], promotions: Mapping[UUID, Sequence[Promotion]]
) -> ProductCard:
    """The card of a product with these prices."""
    lowest: tuple[Money, Money] | None = None  # with and without a promotion
    for price in prices:
        if price.term == Term.MONTHLY:
            promotion = best_promotion(promotions.get(price.plan_id, ()), price)
            reduced = price.amount - promotion.off(price.amount) if promotion else price.amount
            lowest = (reduced, price.amount) if lowest is None or reduced < lowest[0] else lowest
    return ProductCard(
        product=product,
        plan_count=len({price.plan_id for price in prices}),
        price=lowest[0] if lowest else None,
        period=period_name(Term.MONTHLY),
        before=lowest[1] if lowest and lowest[0] < lowest[1] else None,
    )


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
        promotions=catalog.promotions_of(plans),
        images=servers.images_for(usable),
        currency=currency,
        currencies=catalog.currencies_for_sale(),
    )
