"""What a plan with add-ons comes to: its price and its limits. Only `OrderQuote.with_tax` reads the database."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.utils.translation import gettext as _

from accounts.models import Organization
from billing import tax
from billing.invoicing import InvoiceLine
from billing.models import ItemKind
from billing.subscriptions import SoldDiscount
from billing.tax import Taxed
from catalog.models import Addon, AddonKind, AddonPrice, Coupon, Plan, PlanPrice, Promotion, Term
from core.money import Money, Rate, payable_step, total
from servers.capacity import Size

HOURS_OF_A_MONTH = 730


@dataclass(frozen=True)
class PricedItem:
    """What one server is sold at. Prices come with their plan, product and add-on selected.

    An add-on is there as often as it is sold: three units of one are three times its price.
    """

    plan_price: PlanPrice
    addon_prices: Sequence[AddonPrice] = ()
    promotion: Promotion | None = None


@dataclass(frozen=True)
class CouponUse:
    """A coupon that the customer may use, for servers of these plans; where there are none, of every plan."""

    coupon: Coupon
    plan_ids: frozenset[UUID] = frozenset()


@dataclass(frozen=True)
class Quote:
    """Everything that will be charged for one server, in one currency and term.

    `lines` are the prices; `discounts` are taken off the plan and its add-ons, and never more than they cost.
    """

    lines: tuple[InvoiceLine, ...]
    discounts: tuple[SoldDiscount, ...]
    currency: str
    term: Term

    @property
    def lines_due(self) -> list[InvoiceLine]:
        """The lines that are billed with the order. Hours are charged from the wallet when they are used."""
        return [line for line in self.lines if self.term != Term.HOURLY or not line.is_recurring]

    @property
    def amounts(self) -> list[Money]:
        """What is added up: the amounts of what is due, and what is taken off."""
        return [*(line.amount for line in self.lines_due), *(-discount.amount for discount in self.discounts)]

    @property
    def due_today(self) -> Money:
        """The first period and the one-time fees less the discounts, without tax that is added."""
        return total(self.amounts, self.currency)

    @property
    def discountable(self) -> Money:
        """What discounts can still be taken off: the plan and its add-ons, less those that it has."""
        recurring = total((line.amount for line in self.lines if line.is_recurring), self.currency)
        return recurring - total((discount.amount for discount in self.discounts), self.currency)

    @property
    def recurring(self) -> Money | Rate:
        """What the next period costs; an hour's price is exact, however fine."""
        return self.price_of_period(2)

    @property
    def later_prices(self) -> list[tuple[int, Money | Rate]]:
        """After how many periods the price changes once more after the second one, and what it is from then on."""
        ends = sorted({row.periods for row in self.discounts if row.periods is not None and row.periods > 1})
        return [(count, self.price_of_period(count + 1)) for count in ends]

    def price_of_period(self, number: int) -> Money | Rate:
        """What the period costs; the first is number 1, here without its one-time fees."""
        lines = [line for line in self.lines if line.is_recurring]
        if self.term == Term.HOURLY:
            return Rate(sum((Decimal(line.unit.minor) * line.quantity for line in lines), Decimal(0)), self.currency)
        lasting = [row.amount for row in self.discounts if row.periods is None or number <= row.periods]
        return total((line.amount for line in lines), self.currency) - total(lasting, self.currency)


@dataclass(frozen=True)
class OrderQuote:
    """Everything that will be charged for an order, one quote for each server; all are in one currency."""

    servers: tuple[Quote, ...]
    taxed: Taxed | None = None

    @property
    def currency(self) -> str:
        """The currency of every price."""
        return self.servers[0].currency

    @property
    def discounts(self) -> list[tuple[str, Money]]:
        """What is taken off all servers, by what it is for."""
        found: dict[str, Money] = {}
        for discount in (row for server in self.servers for row in server.discounts):
            found[discount.description] = found.get(discount.description, Money.zero(self.currency)) + discount.amount
        return list(found.items())

    @property
    def due_today(self) -> Money:
        """What all servers cost now, with their tax once that is known."""
        return self.taxed.total if self.taxed else total((row.due_today for row in self.servers), self.currency)

    @property
    def shares(self) -> list[Money]:
        """What of the amount due each server bears, with its share of the tax. They add up to exactly that."""
        prices = [server.due_today for server in self.servers]
        if self.taxed is None or self.taxed.is_inclusive:
            return prices
        return [price + share for price, share in zip(prices, shares_of(self.taxed.tax, prices), strict=True)]

    @property
    def hourly(self) -> Rate:
        """What an hour of all servers that are billed so costs, without tax that is added."""
        rates = (Decimal(row.recurring.minor) for row in self.servers if row.term == Term.HOURLY)
        return Rate(sum(rates, Decimal(0)), self.currency)

    @property
    def hours_of_a_month(self) -> Money:
        """What all hours of an average month would cost of those servers, without tax that is added."""
        return self.hourly.times(HOURS_OF_A_MONTH)

    def with_tax(self, organization: Organization | None, at: datetime) -> "OrderQuote":
        """The quote with the tax that the organization, or a visitor, pays."""
        amounts = [amount for server in self.servers for amount in server.amounts]
        taxed = tax.assess(organization=organization, amounts=amounts, currency=self.currency, at=at)
        return replace(self, taxed=taxed)


class MixedPrices(ValueError):
    """Prices of different terms or currencies cannot be quoted together."""


def quote(
    *,
    plan_price: PlanPrice,
    addon_prices: Sequence[AddonPrice] = (),
    promotion: Promotion | None = None,
    coupon_use: CouponUse | None = None,
) -> Quote:
    """See `quotes`, for one server."""
    return quotes([PricedItem(plan_price, addon_prices, promotion)], coupon_use)[0]


def quotes(items: Sequence[PricedItem], coupon_use: CouponUse | None = None) -> list[Quote]:
    """The price of each server of an order, for the page, the order and the invoice alike.

    A coupon is taken off all of them together, and each bears its share. Raises MixedPrices.
    """
    priced = [quote_without_coupon(item) for item in items]
    if coupon_use is None:
        return priced
    covered = [
        row.discountable if is_covered(coupon_use, item) else Money.zero(row.currency)
        for item, row in zip(items, priced, strict=True)
    ]
    coupon = coupon_use.coupon
    shares = shares_of(coupon.off(total(covered, priced[0].currency)), covered)
    text = _("Coupon %(code)s") % {"code": coupon.code}
    return [
        replace(row, discounts=(*row.discounts, SoldDiscount(text, share, coupon.sold_periods))) if share else row
        for row, share in zip(priced, shares, strict=True)
    ]


def quote_without_coupon(item: PricedItem) -> Quote:
    """The price of a plan with add-ons at the plan's promotion. Raises MixedPrices."""
    plan_price = item.plan_price
    term, currency = Term(plan_price.term), plan_price.currency
    if any((price.term, price.currency) != (term, currency) for price in item.addon_prices):
        raise MixedPrices("every price of a quote has the plan's term and currency")
    plan = plan_price.plan
    lines = [InvoiceLine(ItemKind.PLAN, f"{plan.product.name} {plan.name}", plan_price.unit_price, price=plan_price)]
    lines += [
        InvoiceLine(ItemKind.ADDON, price.addon.name, price.unit_price, quantity=units, price=price)
        for price, units in Counter(item.addon_prices).items()
    ]
    if plan_price.setup_fee or term == Term.HOURLY:  # which has nothing else to bill with the order
        lines.append(InvoiceLine(ItemKind.SETUP, _("Setup fee"), plan_price.setup_fee, is_recurring=False))
    promotion = item.promotion
    discounts: tuple[SoldDiscount, ...] = ()
    if promotion is not None and term != Term.HOURLY and (off := promotion.off(plan_price.amount)):
        discounts = (SoldDiscount(promotion.name, off, promotion.sold_periods),)
    return Quote(tuple(lines), discounts, currency, term)


def is_covered(coupon_use: CouponUse, item: PricedItem) -> bool:
    """Whether the coupon is for servers of this plan. An hour's price is finer than a discount could be."""
    is_its_plan = not coupon_use.plan_ids or item.plan_price.plan_id in coupon_use.plan_ids
    return is_its_plan and item.plan_price.term != Term.HOURLY


def shares_of(amount: Money, prices: Sequence[Money]) -> list[Money]:
    """The amount split in proportion to the prices, to what can be paid; no share is more than its price."""
    whole, step = sum(price.minor for price in prices), payable_step(amount.currency).minor
    shares, passed, given = [], 0, 0
    for price in prices:
        passed += price.minor
        until = amount.minor * passed // whole // step * step if passed < whole else amount.minor
        shares.append(Money(until - given, amount.currency))
        given = until
    return shares


@dataclass(frozen=True)
class ServerLimits:
    """What a server may use of its node, and how many databases and backups its panel allows."""

    size: Size
    databases: int
    backups: int


def server_limits(plan: Plan, addons: Sequence[Addon] = ()) -> ServerLimits:
    """The plan's limits, raised by each add-on's quantity of its kind, as often as it is there."""
    extra = dict.fromkeys(AddonKind, 0)
    for addon in addons:
        extra[AddonKind(addon.kind)] += addon.quantity
    size = Size(
        memory_mib=plan.memory_mib + extra[AddonKind.MEMORY],
        disk_mib=plan.disk_mib + extra[AddonKind.DISK],
        cpu_percent=plan.cpu_percent + extra[AddonKind.CPU],
        ports=plan.ports + extra[AddonKind.PORTS],
    )
    return ServerLimits(size, plan.databases + extra[AddonKind.DATABASES], plan.backups + extra[AddonKind.BACKUPS])
