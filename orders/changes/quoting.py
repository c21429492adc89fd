"""What a change of a server's plan, add-ons or billing cycle costs, when it begins, and whether it can be made."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import item_changes, metering, proration, tax
from billing.invoicing import InvoiceLine
from billing.models import (
    PERIOD_KINDS,
    BillingMode,
    ItemKind,
    Subscription,
    SubscriptionItem,
    SubscriptionStatus,
)
from billing.proration import NewItem
from billing.tax import Taxed
from catalog.models import Addon, AddonKind, AddonPrice, PlanPrice, Term
from core.money import Money, Rate, total
from orders.changes.models import UNITS_LINE
from orders.funding import funded
from orders.models import OrderItem, OrderStatus
from orders.quote import ServerLimits, server_limits
from servers import builds, resizing
from servers.capacity import Growth, Size
from servers.live import usage
from servers.models import Blueprint, Server

OVER = gettext_lazy("This server is no longer renewed, so its plan can no longer be changed.")
OTHER_BILLING = gettext_lazy("A server keeps being billed by the hour, or by longer periods. Order a new one instead.")


class ChangeRefused(Exception):
    """This change cannot be made; the text says why to the customer."""


@dataclass(frozen=True)
class Selection:
    """What the customer wants the server to be sold as: prices of one term, in the subscription's currency.

    An add-on is there as often as the server is to have it, at the price of those that it does not have yet.
    """

    plan_price: PlanPrice
    addon_prices: Sequence[AddonPrice] = ()

    @property
    def term(self) -> Term:
        """The billing cycle."""
        return Term(self.plan_price.term)


@dataclass(frozen=True)
class ChangeQuote:
    """A change with everything that it costs. `ended` and `added` are what differs; the rest stays as it was sold.

    `units` says of each add-on whose number changes how many there are before and after, by its name.
    """

    selection: Selection
    units: Mapping[str, tuple[int, int]]
    ended: Sequence[SubscriptionItem]
    added: Sequence[NewItem]
    lines: Sequence[InvoiceLine]
    taxed: Taxed
    recurring: Money | Rate
    limits: ServerLimits
    growth: Growth
    blueprint: Blueprint
    quoted_at: datetime
    effective_at: datetime

    @property
    def is_immediate(self) -> bool:
        """Whether it begins when it is paid, and not with the next period."""
        return self.effective_at == self.quoted_at

    @property
    def due(self) -> Money:
        """What is due at once, with tax."""
        return self.taxed.total

    def frozen_lines(self) -> list[dict[str, Any]]:
        """The lines as they are kept and shown, what changes of the add-ons, and the tax that comes on top."""
        lines: list[dict[str, Any]] = [
            {"kind": UNITS_LINE, "description": name, "before": before, "after": after, "amount_minor": 0}
            for name, (before, after) in self.units.items()
        ]
        lines += [
            {
                "kind": line.kind,
                "description": line.description,
                "amount_minor": line.amount.minor,
                "start": line.period.start.isoformat() if line.period else "",
                "end": line.period.end.isoformat() if line.period else "",
            }
            for line in self.lines
        ]
        lines += [
            {"kind": row.kind, "description": row.description, "amount_minor": 0}
            for row in self.ended
            if row.kind == ItemKind.DISCOUNT
        ]
        for line in () if self.taxed.is_inclusive else self.taxed.lines:
            if line.amount:
                name = f"{line.tax.name} {line.tax.rate.normalize():f} %"
                lines.append({"kind": "tax", "description": name, "amount_minor": line.amount.minor})
        return lines


def quote_change(*, item: OrderItem, selection: Selection, quoted_at: datetime) -> ChangeQuote:
    """The change at what it costs as of `quoted_at`. Raises ChangeRefused.

    What makes the server larger, with no smaller price, begins at once; all else with the next period, or hour: nothing
    that is paid for is taken away. The item comes with its subscription and its server's blueprint joined.
    """
    subscription, server = item.subscription, item.server
    if (reason := refusal(item, quoted_at)) or server is None:
        raise ChangeRefused(reason)
    if (selection.term == Term.HOURLY) != is_hourly(subscription):
        raise ChangeRefused(OTHER_BILLING)
    current = items_of(subscription, quoted_at)
    ended, added = difference(current, selection, subscription)
    require_sold(ended, added)
    discounts = discounts_of(subscription, quoted_at)
    kept = [row for row in current if row not in ended] + ([] if ended else discounts)
    recurring = recurring_of([row for row in kept if row.periods is None], added, subscription)
    limits = limits_after(server, current, ended, selection)
    blueprint = require_buildable(server, selection, limits, quoted_at)
    is_more = isinstance(recurring, Money) and recurring >= subscription.amount
    is_at_once = selection.term == subscription.term and is_more and is_larger(limits, size_of(server))
    lines = lines_at_once(subscription, ended, added, quoted_at) if is_at_once else []
    taxed = assess(lines, subscription, quoted_at)
    if min(taxed.net.minor, taxed.tax.minor) < 0:  # more tax was paid than there is now
        lines, taxed = [], assess((), subscription, quoted_at)
    period_end = next_hour(subscription, quoted_at) if is_hourly(subscription) else subscription.current_period_end
    if not lines and (subscription.cancels_at_period_end or period_end is None):
        raise ChangeRefused(OVER)
    effective_at = quoted_at if lines or period_end is None else period_end
    # A discount was given for what was sold with it.
    over = [row for row in discounts if ended and (row.valid_until is None or row.valid_until > effective_at)]
    return ChangeQuote(
        selection=selection,
        units=changed_units(current, selection),
        ended=[*ended, *over],
        added=added,
        lines=lines,
        taxed=taxed,
        recurring=recurring,
        limits=limits,
        growth=resizing.growth_of(server, limits.size),
        blueprint=blueprint,
        quoted_at=quoted_at,
        effective_at=effective_at,
    )


def is_hourly(subscription: Subscription) -> bool:
    """Whether the subscription's hours are charged as they are used."""
    return subscription.term == Term.HOURLY


def next_hour(subscription: Subscription, at: datetime) -> datetime:
    """The next hour that is not charged yet."""
    started = metering.hour_of(at)
    return max(subscription.current_period_end or started, started + metering.HOUR)


def recurring_of(
    kept: Sequence[SubscriptionItem], added: Sequence[NewItem], subscription: Subscription
) -> Money | Rate:
    """What a period costs with these items; of an hour it is exact, however fine."""
    if is_hourly(subscription):
        prices = [row.unit_minor * row.quantity for row in kept]
        added_prices = [Decimal(new.price.unit_price.minor) * new.units for new in added]
        return Rate(sum([*prices, *added_prices], Decimal(0)), subscription.currency)
    added_amounts = (Rate(Decimal(new.price.amount_minor), new.price.currency).times(new.units) for new in added)
    return total([*map(price_of, kept), *added_amounts], subscription.currency)


def lines_at_once(
    subscription: Subscription, ended: Sequence[SubscriptionItem], added: Sequence[NewItem], at: datetime
) -> list[InvoiceLine]:
    """What a change costs that begins at once: the rest of what is paid, less what was paid for it.

    No lines where more was paid than it costs: what is paid for is used up first.
    """
    billed = item_changes.billed_from(subscription, at)
    is_tax_inclusive = assess((), subscription, at).is_inclusive
    paid = item_changes.paid_times(billed, {row.pk for row in ended}, is_tax_inclusive=is_tax_inclusive)
    lines = [
        *proration.unused_lines(paid, subscription=subscription, at=at),
        *proration.remaining_lines(
            added, item_changes.full_periods(subscription, billed, at), subscription=subscription, at=at
        ),
    ]
    return lines if sum(line.amount.minor for line in lines) >= 0 else []


def items_of(subscription: Subscription, at: datetime) -> list[SubscriptionItem]:
    """The plan and the add-ons of the subscription at an instant, with what they are joined."""
    rows = subscription.items.filter(item_changes.in_force(at), kind__in=PERIOD_KINDS)
    return list(rows.select_related("plan_price__plan__product", "addon_price__addon"))


def discounts_of(subscription: Subscription, at: datetime) -> list[SubscriptionItem]:
    """The discounts that the subscription has at an instant."""
    return list(subscription.items.filter(item_changes.in_force(at), kind=ItemKind.DISCOUNT))


def require_sold(ended: Sequence[SubscriptionItem], added: Sequence[NewItem]) -> None:
    """Raise ChangeRefused where nothing would change, or something new is no longer for sale."""
    if not ended and not added:
        raise ChangeRefused(_("This is what you have already. Choose another plan, add-on or billing cycle."))
    kept = {row.addon_price_id for row in ended}  # of which some units stay
    if withdrawn := [new.description for new in added if not is_sold(new.price) and new.price.pk not in kept]:
        raise ChangeRefused(_("%(name)s is no longer sold. Choose something else.") % {"name": withdrawn[0]})


def assess(lines: Sequence[InvoiceLine], subscription: Subscription, at: datetime) -> Taxed:
    """What the lines come to with the organization's tax."""
    return tax.assess_lines(lines, organization=subscription.organization, currency=subscription.currency, at=at)


def refusal(item: OrderItem, at: datetime) -> str:
    """Why nothing about this sale can be changed now, whatever is chosen; empty where something can.

    An order that is not delivered as a whole may be refunded with all its servers, but not with changes of them.
    """
    subscription, server = item.subscription, item.server
    if server is None:
        return str(OVER)
    if item.order.status != OrderStatus.ACTIVE:
        return _("The plan can be changed when all servers of its order are set up.")
    if subscription.billing_mode == BillingMode.GATEWAY:
        return _(
            "The payment provider renews this server at a fixed price, so its plan cannot be changed here. "
            "Contact support, and we will help."
        )
    if subscription.pauses_until is not None:
        return _("This server pauses. You can change its plan when that is over, or when you end the pause.")
    if subscription.status != SubscriptionStatus.ACTIVE or subscription.current_period_end is None:
        return _("The plan can be changed once everything that is due for this server is paid.")
    if subscription.current_period_end <= at and not is_hourly(subscription):
        return _("This server is about to be renewed. You can change its plan after that.")
    if not funded(Subscription.objects.filter(pk=subscription.pk), at).exists():
        return _("The plan can be changed once everything that is due for this server is paid.")
    if server.status not in resizing.RESIZABLE or server.has_holds() or server.resize_asked_at is not None:
        return _("The plan can be changed when the server is set up and not suspended.")
    unpaid = [line for line in item_changes.billed_from(subscription, at) if line.invoice.state != "paid"]
    if unpaid:
        return _("The next period of this server is billed already. Pay that invoice first, then change the plan.")
    return ""


def difference(
    current: Sequence[SubscriptionItem], selection: Selection, subscription: Subscription
) -> tuple[list[SubscriptionItem], list[NewItem]]:
    """The items that end, and what is added. Within the same billing cycle, what stays keeps its price.

    Where an add-on has several prices, because its units were bought at different times, the cheapest stay longest.
    """
    plan_price = selection.plan_price
    sold = list(current) if selection.term == subscription.term else []
    kept = [row for row in sold if sold_id(row) == plan_price.plan_id]
    added = [] if kept else [NewItem(plan_price, f"{plan_price.plan.product.name} {plan_price.plan.name}")]
    for price, wanted in Counter(selection.addon_prices).items():
        left = wanted
        for row in sorted(sold, key=lambda row: row.unit_minor):
            if row.addon_price is None or row.addon_price.addon_id != price.addon_id:
                continue
            staying = min(left, row.quantity)
            left -= staying
            if staying == row.quantity:
                kept.append(row)
            elif staying:
                added.append(NewItem(row.addon_price, price.addon.name, units=staying))
        if left:
            added.append(NewItem(price, price.addon.name, units=left))
    return [row for row in current if row not in kept], added


def changed_units(current: Sequence[SubscriptionItem], selection: Selection) -> dict[str, tuple[int, int]]:
    """How many of each add-on there are before and after, by its name, where that differs."""
    before: Counter[str] = Counter()
    for row in current:
        if row.addon_price is not None:
            before[row.addon_price.addon.name] += row.quantity
    after = Counter(price.addon.name for price in selection.addon_prices)
    return {name: (before[name], after[name]) for name in before | after if before[name] != after[name]}


def is_sold(price: PlanPrice | AddonPrice) -> bool:
    """Whether the plan or add-on of a price is for sale."""
    if isinstance(price, PlanPrice):
        return price.plan.is_active and price.plan.product.is_active
    return price.addon.is_active


def sold_id(row: SubscriptionItem) -> UUID:
    """The plan or add-on that an item is about."""
    price = row.plan_price or row.addon_price
    if isinstance(price, PlanPrice):
        return price.plan_id
    if price is None:
        raise ValueError(f"subscription item {row.pk} has no price")
    return price.addon_id


def price_of(row: SubscriptionItem) -> Money:
    """What a period of an item costs, as it was sold."""
    return Rate(row.unit_minor, row.currency).times(row.quantity)


def limits_after(
    server: Server, current: Sequence[SubscriptionItem], ended: Sequence[SubscriptionItem], selection: Selection
) -> ServerLimits:
    """What the server may use then. A plan that stays is as large as it was sold, whatever the catalog says now."""
    addons = [price.addon for price in selection.addon_prices]
    plan_item = next(row for row in current if row.kind == ItemKind.PLAN)
    if sold_id(plan_item) != selection.plan_price.plan_id:
        return server_limits(selection.plan_price.plan, addons)
    before = [row.addon_price.addon for row in current if row.addon_price for _unit in range(row.quantity)]
    has = size_of(server)
    extra = {kind: added_by(addons, kind) - added_by(before, kind) for kind in AddonKind}
    size = Size(
        memory_mib=has.size.memory_mib + extra[AddonKind.MEMORY],
        disk_mib=has.size.disk_mib + extra[AddonKind.DISK],
        cpu_percent=has.size.cpu_percent + extra[AddonKind.CPU],
        ports=has.size.ports + extra[AddonKind.PORTS],
    )
    return ServerLimits(size, has.databases + extra[AddonKind.DATABASES], has.backups + extra[AddonKind.BACKUPS])


def added_by(addons: Sequence[Addon], kind: AddonKind) -> int:
    """How much the add-ons of a kind add together."""
    return sum(addon.quantity for addon in addons if addon.kind == kind)


def size_of(server: Server) -> ServerLimits:
    """What the server may use now."""
    size = Size(server.memory_mib, server.disk_mib, server.cpu_percent, server.ports_limit)
    return ServerLimits(size, server.databases_limit, server.backups_limit)


def is_larger(new: ServerLimits, old: ServerLimits) -> bool:
    """Whether nothing becomes less."""

    def dimensions(limits: ServerLimits) -> tuple[int, ...]:
        size = limits.size
        return (size.memory_mib, size.disk_mib, size.cpu_percent, size.ports, limits.databases, limits.backups)

    return all(larger >= smaller for larger, smaller in zip(dimensions(new), dimensions(old), strict=True))


def require_buildable(server: Server, selection: Selection, limits: ServerLimits, at: datetime) -> Blueprint:
    """The blueprint by which the server can become this. Raises ChangeRefused."""
    blueprint = resizing.blueprint_for_plan(server, selection.plan_price.plan)
    addons = {price.addon.kind for price in selection.addon_prices}
    if blueprint is None or not builds.can_build(blueprint, ports=limits.size.ports, addons=addons):
        raise ChangeRefused(
            _("This server cannot become one of this plan with these add-ons where it is. Choose something else.")
        )
    latest = usage.usage_of(server, at=at).latest
    if latest is not None and limits.size.disk_mib < latest.disk_mib:
        raise ChangeRefused(
            _("The server's files take %(used)s MiB, and it would have %(disk)s MiB then. Delete some first.")
            % {"used": latest.disk_mib, "disk": limits.size.disk_mib}
        )
    return blueprint
