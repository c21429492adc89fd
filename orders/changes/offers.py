"""What a server can be changed to: plans, billing cycles and add-ons, at the prices that count for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.models import Subscription, SubscriptionItem
from catalog import queries as catalog
from catalog.models import Addon, AddonPrice, PlanPrice, Term
from orders.changes.quoting import Selection, items_of
from servers import builds
from servers.models import Server


class NotSoldSo(LookupError):
    """The plan, or an add-on, is not sold with the billing cycle; `name` is which."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class ChangeOffer:
    """Everything that the form of a change needs. What the server has already, it keeps at the price it was sold at."""

    subscription: Subscription
    items: Sequence[SubscriptionItem]
    plan_prices: Sequence[PlanPrice]
    addon_prices: Sequence[AddonPrice]

    @property
    def plan_price(self) -> PlanPrice:
        """The price at which the server's plan was sold."""
        return next(row.plan_price for row in self.items if row.plan_price is not None)

    @property
    def sold_addons(self) -> list[AddonPrice]:
        """The prices at which the server's add-ons were sold."""
        return [row.addon_price for row in self.items if row.addon_price is not None]

    def units_of(self, addon: Addon) -> int:
        """How many of the add-on the server has."""
        return sum(row.quantity for row in self.items if row.addon_price and row.addon_price.addon_id == addon.pk)

    def further_price(self, addon: Addon) -> AddonPrice | None:
        """What one more of the add-on costs for the present billing cycle; None where it is not offered so."""
        term = self.subscription.term
        return next((row for row in self.addon_prices if (row.addon_id, row.term) == (addon.pk, term)), None)

    def max_units(self, addon: Addon) -> int:
        """How many of the add-on the server can have: what it has, it keeps."""
        return max(self.units_of(addon), addon.max_units if self.further_price(addon) else 0)

    @property
    def terms(self) -> list[Term]:
        """Billing cycles that any plan is sold with, shortest first. What is billed by the hour has no other one."""
        if self.subscription.term == Term.HOURLY:
            return [Term.HOURLY]
        sold = {price.term for price in self.plan_prices} | {self.subscription.term}
        return [term for term in Term if term in sold and term != Term.HOURLY]

    def plans(self) -> list[PlanPrice]:
        """Each plan at its price for the present billing cycle, or the shortest that it has."""
        own = self.plan_price
        order = [Term(self.subscription.term), *self.terms]
        chosen: dict[UUID, PlanPrice] = {own.plan_id: own}
        for term in order:
            for price in self.plan_prices:
                if price.term == term:
                    chosen.setdefault(price.plan_id, price)
        return sorted(chosen.values(), key=lambda price: (price.plan.position, price.plan.memory_mib, price.plan.code))

    def addons(self) -> list[AddonPrice]:
        """Each add-on at its price for the present billing cycle."""
        chosen = {price.addon_id: price for price in self.sold_addons}
        for price in self.addon_prices:
            if price.term == self.subscription.term:
                chosen.setdefault(price.addon_id, price)
        return list(chosen.values())

    def selection(self, *, plan: str, term: str, units: Mapping[str, int]) -> Selection:
        """The prices of what was chosen, by codes: of add-ons how many there are to be.

        Raises NotSoldSo, also for a plan that is not offered for this server.
        """
        own = [self.plan_price] if term == self.subscription.term else []
        plans = {price.plan.code: price for price in reversed([*own, *self.plan_prices]) if price.term == term}
        if plan not in plans:
            offered_plans = {price.plan.code: price.plan.name for price in self.plans()}
            raise NotSoldSo(offered_plans.get(plan, plan))
        chosen: list[AddonPrice] = []
        for addon in {price.addon.code: price.addon for price in self.addons()}.values():
            if wanted := units.get(addon.code, 0):
                is_kept = term == self.subscription.term and wanted <= self.units_of(addon)
                offered = [*(self.sold_addons if is_kept else []), *self.addon_prices]
                found = next((row for row in offered if (row.addon_id, row.term) == (addon.pk, term)), None)
                if found is None:
                    raise NotSoldSo(addon.name)
                chosen += [found] * wanted
        return Selection(plans[plan], chosen)


def change_offer(subscription: Subscription, server: Server, at: datetime) -> ChangeOffer:
    """What the server can be changed to. Its blueprint is joined, and it has a subscription that runs."""
    items = items_of(subscription, at)
    product = next(row.plan_price for row in items if row.plan_price is not None).plan.product
    plans = list(catalog.plans_for_sale(product))
    deliverable = builds.build_facts(server.blueprint).addons
    addons = catalog.current_addon_prices(product, subscription.currency)
    return ChangeOffer(
        subscription=subscription,
        items=items,
        plan_prices=catalog.current_plan_prices(plans, subscription.currency),
        addon_prices=[price for price in addons if price.addon.kind in deliverable],
    )
