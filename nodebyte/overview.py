"""The admin's start page: what needs attention. Each card is one query, made only for users who may view it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import (
    Case,
    Count,
    Exists,
    F,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
    When,
)
from django.db.models.functions import Coalesce, TruncDate
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.models import User
from billing import gateway_accounts
from billing.models import (
    Dispute,
    EventResult,
    GatewayAccount,
    GatewayBalance,
    GatewayEvent,
    LedgerAudit,
    Payment,
    PaymentState,
    Posting,
    Subscription,
    UnexplainedItem,
)
from billing.reports import EARNED, FAILED, MRR, UNPAID, rows_of
from catalog.models import Plan, PlanPrice
from core import formats, site_settings
from core.admin_base.columns import usage_bar
from core.models import WorkState
from core.money import Money, total
from nodebyte.node_cards import ForecastLine, Neighbours, forecast_lines, neighbours
from nodebyte.reports import bars_of, money_of
from nodebyte.setup_steps import SetupStep, setup_steps
from nodebyte.work_lines import WorkLine, work_lines
from orders import queries
from orders.models import Order, OrderStatus
from servers import builds
from servers import queries as servers
from servers.models import (
    Blueprint,
    DriftFinding,
    Health,
    HytaleAccount,
    HytaleState,
    Location,
    Node,
    Provider,
    Server,
    ServerStatus,
    SyncRun,
)

MAX_ROWS = 6
RECENT = timedelta(hours=24)


@dataclass(frozen=True)
class NodeLine:
    """A node, and how full its memory and disk are."""

    node: Node

    @property
    def memory_bar(self) -> SafeString:
        """Memory reserved of what can be sold."""
        return usage_bar(self.node.memory_reserved_mib, self.node.memory_sellable_mib)

    @property
    def disk_bar(self) -> SafeString:
        """Disk reserved of what can be sold."""
        return usage_bar(self.node.disk_reserved_mib, self.node.disk_sellable_mib)


@dataclass(frozen=True)
class Revenue:
    """Revenue in one currency: of the last day, of the last 30 days, and the bars of those days."""

    day: Money
    month: Money
    bars: list[dict[str, Any]]


@dataclass(frozen=True)
class ShopProblem:
    """Why something cannot be ordered, and where staff mend it."""

    text: str
    url: str
    action: str


@dataclass
class Overview:
    """What the start page shows; None where the user may not view it."""

    at: datetime
    setup_steps: list[SetupStep] | None = None
    work: list[WorkLine] | None = None
    shop_problems: list[ShopProblem] | None = None
    payments_under_review: list[Payment] | None = None
    unexplained: list[UnexplainedItem] | None = None
    broken_audit: LedgerAudit | None = None
    open_disputes: list[Dispute] | None = None
    stuck_orders: list[Order] | None = None
    failed_servers: list[Server] | None = None
    nodes: list[NodeLine] | None = None
    neighbours: Neighbours | None = None
    forecasts: list[ForecastLine] | None = None
    providers: list[Provider] | None = None
    order_counts: dict[str, int] | None = None
    revenue: list[Revenue] | None = None
    sold_and_canceled: dict[str, int] | None = None
    recurring: list[dict[str, Any]] | None = None
    unpaid: list[dict[str, Any]] | None = None
    failures: list[dict[str, Any]] | None = None
    balances: list[GatewayBalance] | None = None
    oldest_event: GatewayEvent | None = None

    @property
    def suspected_providers(self) -> list[Provider]:
        """Providers that miss many servers."""
        return [provider for provider in self.providers or [] if provider.suspected_at is not None]

    @property
    def differing_balances(self) -> list[GatewayBalance]:
        """Those that have differed for longer than anything is under way."""
        rows = self.balances or []
        return [row for row in rows if row.differs_since is not None and row.differs_since < self.at - RECENT]

    @property
    def needs_attention(self) -> bool:
        """Whether anything waits for staff."""
        return bool(
            self.shop_problems
            or self.payments_under_review
            or self.unexplained
            or self.broken_audit
            or self.differing_balances
            or self.open_disputes
            or self.stuck_orders
            or self.failed_servers
            or any(line.failed for line in self.work or [])
            or any(provider.health == Health.FAILING for provider in self.providers or [])
            or any(getattr(provider, "open_findings", 0) for provider in self.providers or [])  # an annotation
            or any(getattr(provider, "unreachable_since", None) for provider in self.providers or [])
            or self.suspected_providers
            or (self.neighbours and (self.neighbours.noisy or self.neighbours.full))
        )


def overview(user: "User | AnonymousUser", *, at: datetime) -> Overview:
    """The start page's cards for this user."""
    found = {name: card(at) for name, (permission, card) in CARDS.items() if user.has_perm(permission)}
    return Overview(at=at, work=work_lines(user, at), **found)


def shop_problems(_at: datetime) -> list[ShopProblem]:
    """What keeps payments from being taken and active plans from being ordered.

    An active gateway account that cannot take payments, or none for the shop's currency; no price in that currency; no
    blueprint to build a product's servers by, or one with a problem; a location that is in no region.
    """
    currency = site_settings.get("shop.currency")
    url, action = reverse("admin:billing_gatewayaccount_changelist"), _("Gateway accounts")
    accounts = GatewayAccount.objects.filter(is_active=True)
    found = [(account, gateway_accounts.problem_of(account)) for account in accounts]
    problems = [ShopProblem(f"{account}: {problem}", url, action) for account, problem in found if problem]
    if not any(account.takes(currency) and not problem for account, problem in found):
        text = _("No gateway account takes %(currency)s, the shop's currency.") % {"currency": currency}
        problems.append(ShopProblem(text, url, action))
    price = PlanPrice.objects.filter(plan=OuterRef("pk"), currency=currency, superseded_at__isnull=True)
    blueprint = Blueprint.objects.filter(Q(plan=OuterRef("pk")) | Q(plan=None), product=OuterRef("product"))
    plans = list(
        Plan.objects.filter(is_active=True, product__is_active=True)
        .select_related("product")
        .annotate(has_price=Exists(price), has_blueprint=Exists(blueprint.filter(is_active=True)))
        .order_by("product__position", "product__name")
    )
    if plans and not any(plan.has_price for plan in plans):
        text = _("No plan has a price in %(currency)s, the shop's currency.") % {"currency": currency}
        problems.append(ShopProblem(text, reverse("admin:catalog_plan_changelist"), _("Set prices")))
    for product in dict.fromkeys(plan.product for plan in plans if not plan.has_blueprint):
        text = _("%(product)s has no blueprint, so its servers cannot be built.") % {"product": product}
        url = f"{reverse('admin:servers_blueprint_add')}?product={product.pk}"
        problems.append(ShopProblem(text, url, _("Add a blueprint")))
    rows = Blueprint.objects.filter(is_active=True, product__is_active=True).select_related("provider").order_by("name")
    blueprints = list(rows)
    problems += unbuildable_plans(plans, blueprints)
    for broken in (blueprint for blueprint in blueprints if blueprint.problem):
        text = _("%(blueprint)s is not sold: %(problem)s") % {"blueprint": broken, "problem": broken.problem}
        url = reverse("admin:servers_blueprint_change", args=[broken.pk])
        problems.append(ShopProblem(text, url, _("Change the blueprint")))
    unassigned = Location.objects.filter(region=None, is_active=True, is_present=True, provider__is_active=True)
    for location in unassigned.select_related("provider").order_by("provider__name", "code"):
        names = {"location": location, "provider": location.provider}
        text = _("The location %(location)s of %(provider)s has no region, so nothing is sold there.") % names
        url = reverse("admin:servers_location_change", args=[location.pk])
        problems.append(ShopProblem(text, url, _("Choose its region")))
    return [*problems, *hytale_problems()][:MAX_ROWS]


def hytale_problems() -> list[ShopProblem]:
    """Hytale accounts with which no server starts."""
    text = _("No server starts with the Hytale account %(account)s: nobody is signed in, or no profile is chosen.")
    unready = Q(profile="") | ~Q(state=HytaleState.SIGNED_IN)
    rows = HytaleAccount.objects.filter(unready, is_active=True).order_by("name")
    urls = {row: reverse("admin:servers_hytaleaccount_change", args=[row.pk]) for row in rows}
    return [ShopProblem(text % {"account": row}, url, _("Open the account")) for row, url in urls.items()]


def unbuildable_plans(plans: Sequence[Plan], blueprints: Sequence[Blueprint]) -> list[ShopProblem]:
    """Those of the plans that none of the blueprints of their product can build."""
    problems = []
    for plan in plans:
        usable = servers.blueprints_for(plan, blueprints)
        found = builds.unbuildable(plan, {each: builds.facts_of(each.provider.kind, each) for each in usable})
        if found:
            reasons = " ".join(line for lines in found.values() for line in lines)
            text = _("The plan %(plan)s is not sold: %(problem)s") % {"plan": plan, "problem": reasons}
            problems.append(
                ShopProblem(text, reverse("admin:catalog_plan_change", args=[plan.pk]), _("Change the plan"))
            )
    return problems


def payments_under_review(_at: datetime) -> list[Payment]:
    """Payments that staff must look at, the oldest first."""
    rows = Payment.objects.filter(state=PaymentState.UNDER_REVIEW).select_related("organization")
    return list(rows.order_by("created_at")[:MAX_ROWS])


def unexplained(_at: datetime) -> list[UnexplainedItem]:
    """What a gateway has of a customer of ours and no row explains, the oldest first."""
    rows = UnexplainedItem.objects.filter(resolved_at__isnull=True).select_related("organization")
    return list(rows.order_by("created_at")[:MAX_ROWS])


def broken_audit(_at: datetime) -> LedgerAudit | None:
    """The last audit of the ledger, where rows broke a rule."""
    last = LedgerAudit.objects.order_by("-started_at").defer("broken").first()
    return last if last is not None and last.broken_count else None


def open_disputes(_at: datetime) -> list[Dispute]:
    """Disputes that no bank has decided, those first for which evidence is due soonest."""
    rows = Dispute.objects.filter(closed_at__isnull=True).select_related("organization")
    return list(rows.order_by(F("evidence_due_at").asc(nulls_last=True), "opened_at")[:MAX_ROWS])


def stuck_orders(_at: datetime) -> list[Order]:
    """Paid orders without a server, by when they are refunded; `is_disputed` ones wait for the bank."""
    rows = Order.objects.filter(status__in=[OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED])
    rows = rows.annotate(is_disputed=Exists(queries.disputes_of_order()))
    by_urgency = rows.select_related("organization").order_by(F("refund_due_at").asc(nulls_last=True))
    return list(by_urgency[:MAX_ROWS])


def order_counts(at: datetime) -> dict[str, int]:
    """Orders of the last day by status."""
    recent = Order.objects.filter(placed_at__gt=at - RECENT).order_by()
    counts = dict(recent.values_list("status").annotate(Count("pk")))
    return {str(status.label): counts[status] for status in OrderStatus if status in counts}


def failed_servers(_at: datetime) -> list[Server]:
    """Servers that could not be created, the latest first."""
    rows = Server.objects.filter(status=ServerStatus.FAILED).select_related("organization", "node")
    return list(rows.order_by("-updated_at")[:MAX_ROWS])


def oldest_event(_at: datetime) -> GatewayEvent | None:
    """The event that has waited longest."""
    unfinished = [WorkState.QUEUED, WorkState.RUNNING]
    waiting = GatewayEvent.objects.filter(state__in=unfinished, result=EventResult.PENDING).defer("payload")
    return waiting.order_by("received_at").first()


def fullest_nodes(_at: datetime) -> list[NodeLine]:
    """Nodes that take servers, the fullest first."""
    rows: QuerySet[Any] = Node.objects.filter(is_present=True, is_enabled=True, is_elastic=False)
    rows = rows.select_related("location")
    for name in ("memory", "disk"):
        percent = F(f"{name}_reserved_mib") * 100 / F(f"{name}_sellable_mib")
        is_for_sale = Q(**{f"{name}_sellable_mib__gt": 0})
        share = Case(When(is_for_sale, then=percent), default=0, output_field=IntegerField())
        rows = rows.annotate(**{f"{name}_percent": share})
    ordered = rows.order_by(F("memory_percent").desc(), F("disk_percent").desc(), "name")
    return [NodeLine(node) for node in ordered[:MAX_ROWS]]


def providers_with_last_sync(_at: datetime) -> list[Provider]:
    """Active providers, each with the state, instant and error of its last sync, findings, and the longest outage."""
    last_run = SyncRun.objects.filter(provider=OuterRef("pk"), started_at__isnull=False).order_by("-created_at")
    open_ones = DriftFinding.objects.filter(closed_at=None, ignored_at=None)
    findings = open_ones.filter(provider=OuterRef("pk")).order_by().values("provider")
    unreachable = Node.objects.filter(provider=OuterRef("pk"), unreachable_since__isnull=False)
    rows = Provider.objects.filter(is_active=True).defer("credentials", "configuration")
    return list(
        rows.annotate(
            last_sync_state=Subquery(last_run.values("state")[:1]),
            last_sync_at=Subquery(last_run.values("started_at")[:1]),
            last_sync_error=Subquery(last_run.values("error")[:1]),
            unreachable_since=Subquery(unreachable.order_by("unreachable_since").values("unreachable_since")[:1]),
            open_findings=Coalesce(Subquery(findings.annotate(number=Count("pk")).values("number")), 0),
        ).order_by("name")[:MAX_ROWS]
    )


def revenue(at: datetime) -> list[Revenue]:
    """What was earned in each currency, as the report counts it: in the last day, and in the last 30 days."""
    rows = (
        Posting.objects.filter(account__kind__in=EARNED, entry__at__gt=at - timedelta(days=30), entry__at__lte=at)
        .order_by()
        .values("currency", date=TruncDate("entry__at", tzinfo=UTC))
        .annotate(month=Sum("amount_minor"), day=Coalesce(Sum("amount_minor", filter=Q(entry__at__gt=at - RECENT)), 0))
    )
    found = {(row["currency"], row["date"]): row for row in rows}
    days = [(at - timedelta(days=before)).astimezone(UTC).date() for before in range(30, -1, -1)]
    lines = []
    for currency in {currency for currency, _date in found}:
        of_days = [found.get((currency, each), {"month": 0, "day": 0}) for each in days]
        earned = [Money(int(row["month"]), currency) for row in of_days]
        day = Money(sum(int(row["day"]) for row in of_days), currency)
        lines.append(Revenue(day, total(earned, currency), bars_of([formats.day(each) for each in days], earned)))
    return sorted(lines, key=lambda line: -line.month.minor)


def sold_and_canceled(at: datetime) -> dict[str, int]:
    """How many subscriptions began in the last 30 days, and how many were canceled or ended without that."""
    since = at - timedelta(days=30)
    began = Subscription.objects.exclude(current_period_start=None)
    canceled = Q(canceled_at__gt=since) | Q(canceled_at=None, ended_at__gt=since)
    return began.aggregate(new=Count("pk", filter=Q(created_at__gt=since)), canceled=Count("pk", filter=canceled))


def recurring(at: datetime) -> list[dict[str, Any]]:
    """The monthly recurring revenue of each currency, and how it moved in this month."""
    month = at.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return [money_of(MRR, row) for row in rows_of(MRR, since=month, until=at)]


def unpaid(at: datetime) -> list[dict[str, Any]]:
    """What customers owe in each currency, by how long it has been due."""
    return [money_of(UNPAID, row) for row in rows_of(UNPAID, since=at, until=at)]


def failures(at: datetime) -> list[dict[str, Any]]:
    """Why payments of the last 30 days failed, the most frequent reasons first."""
    return [money_of(FAILED, row) for row in rows_of(FAILED, since=at - timedelta(days=30), until=at)[:MAX_ROWS]]


def balances(_at: datetime) -> list[GatewayBalance]:
    """What each gateway holds, beside our books."""
    return list(GatewayBalance.objects.order_by("gateway", "currency"))


# Each card: the permission to see it, and its one query (the steps of a new shop make several).
CARDS: dict[str, tuple[str, Callable[[datetime], Any]]] = {
    "setup_steps": ("core.change_setting", setup_steps),
    "shop_problems": ("catalog.view_plan", shop_problems),
    "payments_under_review": ("billing.view_payment", payments_under_review),
    "unexplained": ("billing.view_unexplaineditem", unexplained),
    "broken_audit": ("billing.view_ledgeraudit", broken_audit),
    "open_disputes": ("billing.view_dispute", open_disputes),
    "stuck_orders": ("orders.view_order", stuck_orders),
    "order_counts": ("orders.view_order", order_counts),
    "failed_servers": ("servers.view_server", failed_servers),
    "nodes": ("servers.view_node", fullest_nodes),
    "neighbours": ("servers.view_server", neighbours),
    "forecasts": ("servers.view_node", forecast_lines),
    "providers": ("servers.view_provider", providers_with_last_sync),
    "revenue": ("billing.view_posting", revenue),
    "sold_and_canceled": ("billing.view_subscription", sold_and_canceled),
    "recurring": ("billing.view_posting", recurring),
    "unpaid": ("billing.view_invoice", unpaid),
    "failures": ("billing.view_payment", failures),
    "balances": ("billing.view_gatewaybalance", balances),
    "oldest_event": ("billing.view_gatewayevent", oldest_event),
}
