"""What a server that a provider has could be sold as, and what it would earn.

It fits a plan that has at least its size and is built there from the same egg, or the same plan of the provider. Of
those the cheapest counts, by its current price for a month in the shop's currency.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from catalog.models import Plan, PlanPrice, Term
from core.money import Money
from servers.models import Blueprint, Build, DriftFinding, DriftKind, RemoteServerSeen, Server
from servers.queries import blueprints_for

HOURS_PER_MONTH = 730


@dataclass(frozen=True)
class PlanFit:
    """A plan, the blueprint that builds it at a provider, and what it costs a month; None where it has no price."""

    plan: Plan
    blueprint: Blueprint
    monthly: Money | None

    def is_built_like(self, seen: RemoteServerSeen) -> bool:
        """Whether the server is made of the same egg or the same plan of the provider, as far as that one says."""
        egg = self.blueprint.egg
        ref = egg.ref if egg is not None else self.blueprint.plan_ref
        return seen.build_ref in {"", ref}

    def covers(self, seen: RemoteServerSeen) -> bool:
        """Whether the plan has at least what the server has. A machine has what its provider's plan says."""
        if self.blueprint.build == Build.MACHINE and seen.build_ref:
            return True
        sizes = ((seen.memory_mib, self.plan.memory_mib), (seen.disk_mib, self.plan.disk_mib))
        return all(0 < has <= sold for has, sold in sizes) and seen.cpu_percent <= self.plan.cpu_percent


@dataclass(frozen=True)
class PlanFits:
    """The fits of every provider, by its id, in one currency. Read once, however many servers are asked about."""

    currency: str
    of_provider: dict[UUID, list[PlanFit]] = field(default_factory=dict)

    def best(self, seen: RemoteServerSeen) -> PlanFit | None:
        """The cheapest fit with a price that the server fits."""
        fitting = [
            (fit.monthly, fit.plan.memory_mib, fit.plan.code, fit)
            for fit in self.of_provider.get(seen.provider_id, ())
            if fit.monthly is not None and fit.is_built_like(seen) and fit.covers(seen)
        ]
        return min(fitting, key=lambda row: row[:3])[-1] if fitting else None

    def of_plan(self, provider_id: UUID, plan_id: UUID) -> PlanFit | None:
        """The plan as it is built at the provider."""
        return next((each for each in self.of_provider.get(provider_id, ()) if each.plan.pk == plan_id), None)


def read_plan_fits(currency: str, *, provider_ids: Collection[UUID]) -> PlanFits:
    """What the providers' blueprints build, at the current prices. Three queries."""
    usable = Blueprint.objects.filter(provider__in=provider_ids, is_active=True, product__is_active=True)
    blueprints = list(usable.select_related("egg", "provider").order_by("name"))
    products = {blueprint.product_id for blueprint in blueprints}
    plans = list(Plan.objects.filter(product__in=products, is_active=True).select_related("product").order_by("code"))
    prices = monthly_prices(plans, currency)
    found: dict[UUID, list[PlanFit]] = defaultdict(list)
    for plan in plans:
        for blueprint in blueprints_for(plan, blueprints):
            if blueprint.build != Build.MACHINE or blueprint.plan_id == plan.pk:
                found[blueprint.provider_id].append(PlanFit(plan, blueprint, prices.get(plan.pk)))
    return PlanFits(currency, dict(found))


def monthly_prices(plans: Sequence[Plan], currency: str) -> dict[UUID, Money]:
    """What each plan costs a month: of a longer billing cycle its share, of an hour 730 of them. By the shortest first,
    but by the hour last.
    """
    rows = PlanPrice.objects.filter(plan__in=plans, currency=currency, superseded_at=None)
    found: dict[UUID, Money] = {}
    for price in sorted(rows, key=lambda price: Term(price.term).months or HOURS_PER_MONTH):
        months = Term(price.term).months
        amount = Money(price.amount_minor // months, currency) if months else price_of_hours(price)
        found.setdefault(price.plan_id, amount)
    return found


def price_of_hours(price: PlanPrice) -> Money:
    """What a month of hours costs."""
    rate = price.unit_price
    return rate * HOURS_PER_MONTH if isinstance(rate, Money) else rate.times(HOURS_PER_MONTH)


def lost_revenue(findings: Sequence[DriftFinding], currency: str) -> dict[UUID, Money]:
    """What each finding costs a month, by its id; those that cost nothing, or of which that is unknown, are left out.

    An orphan: the plan that fits it best. Other limits: the plan that fits those, less the plan that was bought. A
    duplicate: the plan that was bought, for each copy. One that is not suspended as it should be: the plan that was
    bought. Six queries, however many findings.
    """
    priced = {DriftKind.ORPHAN, DriftKind.LIMITS, DriftKind.DUPLICATE, DriftKind.SUSPENSION}
    rows = [finding for finding in findings if finding.kind in priced]
    if not rows:
        return {}
    providers = {finding.provider_id for finding in rows}
    refs = {finding.subject_ref for finding in rows if finding.kind == DriftKind.ORPHAN}
    servers = Server.objects.select_related("plan").in_bulk({row.server_id for row in rows if row.server_id})
    seen = RemoteServerSeen.objects.filter(provider__in=providers, is_present=True)
    orphans = {(each.provider_id, each.ref): each for each in seen.filter(ref__in=refs)}
    ours = {each.server_id: each for each in seen.filter(server__in=servers).order_by("ref")}
    fits = read_plan_fits(currency, provider_ids=providers)
    bought = monthly_prices([server.plan for server in servers.values()], currency)
    found = {}
    for finding in rows:
        server = servers.get(finding.server_id) if finding.server_id else None
        price = bought.get(server.plan_id) if server else None
        remote = ours.get(finding.server_id)
        match finding.kind:
            case DriftKind.ORPHAN:
                remote = orphans.get((finding.provider_id, finding.subject_ref))
                best = fits.best(remote) if remote else None
                lost = best.monthly if best else None
            case DriftKind.LIMITS:
                best = fits.best(remote) if remote else None
                lost = best.monthly - price if best and best.monthly and price else None
            case DriftKind.DUPLICATE:
                lost = price * finding.found.count(",") if price else None
            case _:
                lost = price if finding.expected == "suspended" else None
        if lost is not None and lost.minor > 0:
            found[finding.pk] = lost
    return found
