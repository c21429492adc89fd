"""What a choice costs: one pure function, used by the page, the order and the invoice alike."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from billing.models import ItemKind
from catalog.models import AddonPrice, PlanPrice, Term
from core.money import Money, total


@dataclass(frozen=True)
class QuoteLine:
    """A line as the customer reads it. GatewaySubscription lines come again each period, the others are paid once."""

    kind: ItemKind
    label: str
    unit: Money
    quantity: int = 1
    is_recurring: bool = True
    price: PlanPrice | AddonPrice | None = None

    @property
    def money(self) -> Money:
        """Quantity times unit."""
        return self.unit * self.quantity


@dataclass(frozen=True)
class Quote:
    """Everything that will be charged for one server, in one currency and term."""

    lines: tuple[QuoteLine, ...]
    currency: str
    term: Term

    @property
    def due_today(self) -> Money:
        """First period and what is paid once."""
        return total((line.money for line in self.lines), self.currency)

    @property
    def recurring(self) -> Money:
        """What each later period costs."""
        return total((line.money for line in self.lines if line.is_recurring), self.currency)


class NotTogether(ValueError):
    """Prices of different terms or currencies do not make one quote."""


def quote(*, plan_price: PlanPrice, addon_prices: Sequence[AddonPrice] = ()) -> Quote:
    """The quote for a plan with add-ons. Reads nothing: the prices bring their plan, product and add-on along."""
    wanted = (plan_price.term, plan_price.currency)
    if any((price.term, price.currency) != wanted for price in addon_prices):
        raise NotTogether("every price of a quote has the plan's term and currency")
    lines = [_plan_line(plan_price), *(_addon_line(price) for price in addon_prices), *_setup_lines(plan_price)]
    return Quote(tuple(lines), plan_price.currency, Term(plan_price.term))


def _plan_line(price: PlanPrice) -> QuoteLine:
    return QuoteLine(ItemKind.PLAN, f"{price.plan.product.name} {price.plan.name}", price.amount, price=price)


def _addon_line(price: AddonPrice) -> QuoteLine:
    return QuoteLine(ItemKind.ADDON, price.addon.name, price.amount, price=price)


def _setup_lines(price: PlanPrice) -> list[QuoteLine]:
    if not price.setup_fee:
        return []
    return [QuoteLine(ItemKind.SETUP, _("Setup fee"), price.setup_fee, is_recurring=False)]
