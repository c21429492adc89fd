"""What a plan with add-ons comes to: its price and its limits. Only `with_tax` reads the database."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from django.utils.translation import gettext as _

from accounts.models import Organization
from billing import tax
from billing.invoicing import InvoiceLine
from billing.models import ItemKind
from billing.tax import Taxed
from catalog.models import Addon, AddonKind, AddonPrice, Plan, PlanPrice, Term
from core.money import Money, Rate, total
from servers.capacity import Size


@dataclass(frozen=True)
class Quote:
    """Everything that will be charged for one server, in one currency and term."""

    lines: tuple[InvoiceLine, ...]
    currency: str
    term: Term
    taxed: Taxed | None = None

    @property
    def due_today(self) -> Money:
        """The first period and the one-time fees, with their tax once that is known."""
        return self.taxed.total if self.taxed else total((line.amount for line in self.lines), self.currency)

    def with_tax(self, organization: Organization | None, at: datetime) -> "Quote":
        """The quote with the tax that the organization, or a visitor, pays."""
        amounts = [line.amount for line in self.lines]
        return replace(
            self, taxed=tax.assess(organization=organization, amounts=amounts, currency=self.currency, at=at)
        )

    @property
    def recurring(self) -> Money | Rate:
        """What each later period costs; an hour's price is exact, however fine."""
        lines = [line for line in self.lines if line.is_recurring]
        if self.term == Term.HOURLY:
            return Rate(sum((Decimal(line.unit.minor) * line.quantity for line in lines), Decimal(0)), self.currency)
        return total((line.amount for line in lines), self.currency)


class MixedPrices(ValueError):
    """Prices of different terms or currencies cannot be quoted together."""


def quote(*, plan_price: PlanPrice, addon_prices: Sequence[AddonPrice] = ()) -> Quote:
    """The price of a plan with add-ons, for the page, the order and the invoice alike.

    Prices come with their plan, product and add-on selected. Raises MixedPrices.
    """
    term, currency = plan_price.term, plan_price.currency
    if any((price.term, price.currency) != (term, currency) for price in addon_prices):
        raise MixedPrices("every price of a quote has the plan's term and currency")
    plan = plan_price.plan
    lines = [InvoiceLine(ItemKind.PLAN, f"{plan.product.name} {plan.name}", plan_price.unit_price, price=plan_price)]
    lines += [InvoiceLine(ItemKind.ADDON, price.addon.name, price.unit_price, price=price) for price in addon_prices]
    if plan_price.setup_fee:
        lines.append(InvoiceLine(ItemKind.SETUP, _("Setup fee"), plan_price.setup_fee, is_recurring=False))
    return Quote(tuple(lines), currency, Term(term))


@dataclass(frozen=True)
class ServerLimits:
    """What a server may use of its node, and how many databases and backups its panel allows."""

    size: Size
    databases: int
    backups: int


def server_limits(plan: Plan, addons: Sequence[Addon] = ()) -> ServerLimits:
    """The plan's limits, raised by each add-on's quantity of its kind."""
    extra = dict.fromkeys(AddonKind, 0)
    for addon in addons:
        extra[AddonKind(addon.kind)] += addon.quantity
    size = Size(
        memory_mib=plan.memory_mib + extra[AddonKind.MEMORY],
        disk_mib=plan.disk_mib + extra[AddonKind.DISK],
        cpu_percent=plan.cpu_percent,
        ports=plan.ports + extra[AddonKind.PORTS],
    )
    return ServerLimits(size, plan.databases + extra[AddonKind.DATABASES], plan.backups + extra[AddonKind.BACKUPS])
