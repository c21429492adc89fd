"""The admin's start page: what needs attention. Each card is one query, made only for users who may view it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Case, Count, F, IntegerField, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce
from django.urls import reverse
from django.utils.safestring import SafeString

from accounts.models import User
from billing.models import AccountKind, EventResult, GatewayEvent, Payment, PaymentState, Posting, UnexplainedItem
from core import work
from core.admin_base.columns import usage_bar
from core.models import WorkState
from core.money import Money
from orders.models import Order, OrderStatus
from servers.models import Health, Node, Provider, Server, ServerStatus, SyncRun

MAX_ROWS = 6
RECENT = timedelta(hours=24)


@dataclass(frozen=True)
class WorkLine:
    """One work table: how many items failed for good, how many wait, and since when the oldest one is due."""

    label: str
    failed: int
    waiting: int
    oldest_due_at: datetime | None
    url: str


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
    """Revenue in one currency."""

    day: Money
    month: Money


@dataclass
class Overview:
    """What the start page shows; None where the user may not view it."""

    at: datetime
    work: list[WorkLine] | None = None
    payments_under_review: list[Payment] | None = None
    unexplained: list[UnexplainedItem] | None = None
    stuck_orders: list[Order] | None = None
    failed_servers: list[Server] | None = None
    nodes: list[NodeLine] | None = None
    providers: list[Provider] | None = None
    order_counts: dict[str, int] | None = None
    revenue: list[Revenue] | None = None
    oldest_event: GatewayEvent | None = None

    @property
    def needs_attention(self) -> bool:
        """Whether anything waits for staff."""
        return bool(
            self.payments_under_review
            or self.unexplained
            or self.stuck_orders
            or self.failed_servers
            or any(line.failed for line in self.work or [])
            or any(provider.health == Health.FAILING for provider in self.providers or [])
        )


def overview(user: "User | AnonymousUser", *, at: datetime) -> Overview:
    """The start page's cards for this user."""
    found = Overview(at=at, work=work_lines(user, at))
    can = user.has_perm
    if can("billing.view_payment"):
        payments = Payment.objects.filter(state=PaymentState.UNDER_REVIEW).select_related("organization")
        found.payments_under_review = list(payments.order_by("created_at")[:MAX_ROWS])
    if can("billing.view_unexplaineditem"):
        items = UnexplainedItem.objects.filter(resolved_at__isnull=True).select_related("organization")
        found.unexplained = list(items.order_by("created_at")[:MAX_ROWS])
    if can("orders.view_order"):
        stuck = Order.objects.filter(status__in=[OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED])
        by_urgency = stuck.select_related("organization").order_by(F("refund_due_at").asc(nulls_last=True))
        found.stuck_orders = list(by_urgency[:MAX_ROWS])
        recent = Order.objects.filter(placed_at__gt=at - RECENT).order_by()
        counts = dict(recent.values_list("status").annotate(Count("pk")))
        found.order_counts = {str(status.label): counts[status] for status in OrderStatus if status in counts}
    if can("servers.view_server"):
        failed = Server.objects.filter(status=ServerStatus.FAILED).select_related("organization", "node")
        found.failed_servers = list(failed.order_by("-updated_at")[:MAX_ROWS])
    if can("servers.view_node"):
        found.nodes = fullest_nodes()
    if can("servers.view_provider"):
        found.providers = providers_with_last_sync()
    if can("billing.view_posting"):
        found.revenue = revenue(at)
    if can("billing.view_gatewayevent"):
        unfinished = [WorkState.QUEUED, WorkState.RUNNING]
        waiting = GatewayEvent.objects.filter(state__in=unfinished, result=EventResult.PENDING).defer("payload")
        found.oldest_event = waiting.order_by("received_at").first()
    return found


def work_lines(user: "User | AnonymousUser", at: datetime) -> list[WorkLine]:
    """The work tables that the user may view; one query each, and there are only a few."""
    lines = []
    for model in work.registered():
        app, name = model._meta.app_label, model._meta.model_name
        if user.has_perm(f"{app}.view_{name}"):
            unfinished = Q(state__in=[WorkState.QUEUED, WorkState.RUNNING])
            numbers = model._default_manager.exclude(state=WorkState.DONE).aggregate(
                failed=Count("pk", filter=Q(state=WorkState.DEAD)),
                waiting=Count("pk", filter=unfinished),
                oldest_due_at=Min("run_at", filter=Q(state=WorkState.QUEUED, run_at__lte=at)),
            )
            url = reverse(f"admin:{app}_{name}_changelist")
            lines.append(WorkLine(label=str(model._meta.verbose_name_plural), url=url, **numbers))
    return lines


def fullest_nodes() -> list[NodeLine]:
    """Nodes that take servers, the fullest first."""
    rows: QuerySet[Any] = Node.objects.filter(is_present=True, is_enabled=True).select_related("location")
    for name in ("memory", "disk"):
        percent = F(f"{name}_reserved_mib") * 100 / F(f"{name}_sellable_mib")
        is_for_sale = Q(**{f"{name}_sellable_mib__gt": 0})
        share = Case(When(is_for_sale, then=percent), default=0, output_field=IntegerField())
        rows = rows.annotate(**{f"{name}_percent": share})
    ordered = rows.order_by(F("memory_percent").desc(), F("disk_percent").desc(), "name")
    return [NodeLine(node) for node in ordered[:MAX_ROWS]]


def providers_with_last_sync() -> list[Provider]:
    """Active providers, each with `last_sync_state`, `last_sync_at` and `last_sync_error`."""
    last_run = SyncRun.objects.filter(provider=OuterRef("pk")).order_by("-started_at")
    rows = Provider.objects.filter(is_active=True).defer("credentials", "configuration")
    return list(
        rows.annotate(
            last_sync_state=Subquery(last_run.values("state")[:1]),
            last_sync_at=Subquery(last_run.values("started_at")[:1]),
            last_sync_error=Subquery(last_run.values("error")[:1]),
        ).order_by("name")[:MAX_ROWS]
    )


def revenue(at: datetime) -> list[Revenue]:
    """Revenue less refunds per currency, of the last day and of the last 30 days."""
    counted = [AccountKind.REVENUE, AccountKind.REFUNDS]
    rows = (
        Posting.objects.filter(account__kind__in=counted, entry__at__gt=at - timedelta(days=30), entry__at__lte=at)
        .order_by()
        .values("currency")
        .annotate(
            month=Sum("amount_minor"),
            day=Coalesce(Sum("amount_minor", filter=Q(entry__at__gt=at - RECENT)), 0),
            last=Max("entry__at"),
        )
        .order_by("-month")
    )
    return [Revenue(Money(int(r["day"]), r["currency"]), Money(int(r["month"]), r["currency"])) for r in rows]
