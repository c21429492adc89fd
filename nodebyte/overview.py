"""The staff's start page: what is stuck and what matters. Each card is one query, and only for who may look."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Case, Count, F, IntegerField, Max, Min, OuterRef, Q, QuerySet, Subquery, Sum, When
from django.db.models.functions import Coalesce
from django.urls import reverse

from accounts.models import User
from billing.models import AccountKind, EventResult, GatewayEvent, Payment, PaymentState, Posting
from core import formats, work
from core.models import WorkState
from core.money import Money
from orders.models import Order, OrderStatus
from servers.models import Node, Provider, Server, ServerStatus, SyncRun

SHOWN = 6
LATELY = timedelta(hours=24)
FULL, NEARLY_FULL = 95, 80


@dataclass(frozen=True)
class WorkLine:
    """One work table: how many are dead, how many wait, and since when the oldest due one does."""

    label: str
    dead: int
    waiting: int
    oldest_due_at: datetime | None
    url: str


@dataclass(frozen=True)
class NodeLine:
    """A node with how full its memory and disk are, in percent of what can be sold."""

    node: Node
    memory: int
    disk: int

    @property
    def tone(self) -> str:
        """How urgent it is."""
        fullest = max(self.memory, self.disk)
        return "danger" if fullest >= FULL else "warning" if fullest >= NEARLY_FULL else "success"

    @property
    def memory_words(self) -> str:
        """Held of what can be sold."""
        return f"{formats.size(self.node.memory_reserved_mib)} / {formats.size(self.node.memory_sellable_mib)}"


@dataclass(frozen=True)
class Revenue:
    """What came in, in one currency."""

    lately: Money
    month: Money


@dataclass
class Overview:
    """What the start page shows; None where the person may not look."""

    at: datetime
    work: list[WorkLine] | None = None
    payments_under_review: list[Payment] | None = None
    orders_stuck: list[Order] | None = None
    servers_failed: list[Server] | None = None
    nodes: list[NodeLine] | None = None
    providers: list[Provider] | None = None
    orders_lately: dict[str, int] | None = None
    revenue: list[Revenue] | None = None
    oldest_event: GatewayEvent | None = None
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits for a person."""
        return not any(
            (self._dead(), self.payments_under_review, self.orders_stuck, self.servers_failed, self._failing())
        )

    def _dead(self) -> int:
        return sum(line.dead for line in self.work or [])

    def _failing(self) -> bool:
        return any(provider.health == "failing" for provider in self.providers or [])


def overview(user: "User | AnonymousUser", *, at: datetime) -> Overview:
    """The start page's cards for this person."""
    found = Overview(at=at)
    may = user.has_perm
    found.work = _work(user, at)
    if may("billing.view_payment"):
        found.payments_under_review = _payments_under_review()
    if may("orders.view_order"):
        found.orders_stuck, found.orders_lately = _orders_stuck(), _orders_lately(at)
    if may("servers.view_server"):
        found.servers_failed = _servers_failed()
    if may("servers.view_node"):
        found.nodes = _nodes()
    if may("servers.view_provider"):
        found.providers = _providers()
    if may("billing.view_posting"):
        found.revenue = _revenue(at)
    if may("billing.view_gatewayevent"):
        found.oldest_event = _oldest_event()
    return found


def _work(user: "User | AnonymousUser", at: datetime) -> list[WorkLine]:
    """One query a table, of which there are a handful."""
    lines = []
    for model in work.registered():
        app, name = model._meta.app_label, model._meta.model_name
        if user.has_perm(f"{app}.view_{name}"):
            unfinished = Q(state__in=[WorkState.QUEUED, WorkState.RUNNING])
            numbers = model._default_manager.exclude(state=WorkState.DONE).aggregate(
                dead=Count("pk", filter=Q(state=WorkState.DEAD)),
                waiting=Count("pk", filter=unfinished),
                oldest_due_at=Min("run_at", filter=Q(state=WorkState.QUEUED, run_at__lte=at)),
            )
            lines.append(
                WorkLine(
                    label=str(model._meta.verbose_name_plural), url=reverse(f"admin:{app}_{name}_changelist"), **numbers
                )
            )
    return lines


def _payments_under_review() -> list[Payment]:
    rows = Payment.objects.filter(state=PaymentState.UNDER_REVIEW).select_related("organization")
    return list(rows.order_by("created_at")[:SHOWN])


def _orders_stuck() -> list[Order]:
    stuck = Order.objects.filter(status__in=[OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED])
    return list(stuck.select_related("organization").order_by(F("refund_due_at").asc(nulls_last=True))[:SHOWN])


def _orders_lately(at: datetime) -> dict[str, int]:
    rows = Order.objects.filter(placed_at__gt=at - LATELY).order_by().values_list("status").annotate(Count("pk"))
    found = dict(rows)
    return {str(OrderStatus(status).label): found[status] for status in OrderStatus.values if status in found}


def _servers_failed() -> list[Server]:
    rows = Server.objects.filter(status=ServerStatus.FAILED).select_related("organization", "node")
    return list(rows.order_by("-updated_at")[:SHOWN])


def _nodes() -> list[NodeLine]:
    """The fullest first."""
    rows = Node.objects.filter(is_present=True, is_enabled=True).select_related("location")
    fullness = {name: _percent(f"{name}_reserved_mib", f"{name}_sellable_mib") for name in ("memory", "disk")}
    fullest = rows.annotate(**{f"{name}_percent": value for name, value in fullness.items()})
    ordered: QuerySet[Any] = fullest.order_by(F("memory_percent").desc(), F("disk_percent").desc(), "name")
    return [NodeLine(node, node.memory_percent, node.disk_percent) for node in ordered[:SHOWN]]


def _percent(held: str, sellable: str) -> Case:
    return Case(
        When(**{f"{sellable}__gt": 0}, then=F(held) * 100 / F(sellable)), default=0, output_field=IntegerField()
    )


def _providers() -> list[Provider]:
    run = SyncRun.objects.filter(provider=OuterRef("pk")).order_by("-started_at")
    rows = Provider.objects.filter(is_active=True).defer("credentials", "configuration")
    return list(
        rows.annotate(
            last_sync_state=Subquery(run.values("state")[:1]),
            last_sync_at=Subquery(run.values("started_at")[:1]),
            last_sync_error=Subquery(run.values("error")[:1]),
        ).order_by("name")[:SHOWN]
    )


def _revenue(at: datetime) -> list[Revenue]:
    """Revenue less refunds, per currency, of the last day and the last 30."""
    counted = [AccountKind.REVENUE, AccountKind.REFUNDS]
    rows = (
        Posting.objects.filter(account__kind__in=counted, entry__at__gt=at - timedelta(days=30), entry__at__lte=at)
        .order_by()
        .values("currency")
        .annotate(
            month=Sum("amount_minor"),
            lately=Coalesce(Sum("amount_minor", filter=Q(entry__at__gt=at - LATELY)), 0),
            last=Max("entry__at"),
        )
        .order_by("-month")
    )
    return [Revenue(Money(int(r["lately"]), r["currency"]), Money(int(r["month"]), r["currency"])) for r in rows]


def _oldest_event() -> GatewayEvent | None:
    waiting = GatewayEvent.objects.filter(state__in=[WorkState.QUEUED, WorkState.RUNNING], result=EventResult.PENDING)
    return waiting.defer("payload").order_by("received_at").first()
