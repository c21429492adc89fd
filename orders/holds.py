"""Billing's holds: a server whose time is not paid is suspended, and resumes with a time that is."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q, QuerySet

from billing.models import (
    PERIOD_KINDS,
    AllocationReversal,
    PaymentAllocation,
    Subscription,
    SubscriptionStatus,
)
from core import tenancy
from orders import events
from orders.funding import funded, owing
from orders.models import OrderItem, ServerTransfer
from servers import services as servers
from servers.models import HoldKind, ServerHold

# How far back a review looks for periods that began: longer than a schedule stands still.
REVIEWED = timedelta(days=7)


def place(subscriptions: "QuerySet[Subscription]", reason: str, at: datetime) -> int:
    """Suspend the servers of these; how many were not. Of a dispute their owner is told."""
    if not (server_ids := servers_of(subscriptions)):
        return 0
    placed = servers.hold_servers(server_ids=server_ids, kind=HoldKind.BILLING, reason=reason, actor=None, at=at)
    if placed and reason in events.TOLD_REASONS:
        new = ServerHold.objects.filter(server__in=server_ids, kind=HoldKind.BILLING, placed_at=at, lifted_at=None)
        events.servers_held.send(ServerHold, hold_ids=list(new.values_list("pk", flat=True)), reason=reason, at=at)
    return placed


def place_received(transfers: "QuerySet[ServerTransfer]", reason: str, at: datetime) -> int:
    """Suspend the servers that went to another organization by these, where their time is not paid any more; how many
    were not. Who has one now is told, and who had it.
    """
    received = received_by(transfers)
    placed = place(received.exclude(pk__in=funded(received, at).values("pk")), reason, at)
    if placed:
        held = Q(server__holds__kind=HoldKind.BILLING, server__holds__placed_at=at, server__holds__lifted_at=None)
        ids = list(transfers.filter(held).values_list("pk", flat=True).distinct())
        events.transferred_servers_held.send(ServerTransfer, transfer_ids=ids, at=at)
    return placed


def lift(subscriptions: "QuerySet[Subscription]", at: datetime) -> int:
    """Lift the holds where nothing is owed: a server has one hold for every reason that billing has."""
    active = subscriptions.filter(order_item__server__in=in_force().values("server"), status=SubscriptionStatus.ACTIVE)
    held = list(active.values_list("pk", flat=True))  # first: nothing is, of what is renewed in time
    if held and (server_ids := servers_of(funded(Subscription.objects.filter(pk__in=held), at))):
        return servers.lift_holds(server_ids=server_ids, kind=HoldKind.BILLING, actor=None, at=at)
    return 0


def review(*, at: datetime) -> int:
    """A time begins that was paid early: it is suspended where its money went back, and resumed where only an earlier
    time's did. What is paid with credit is suspended while its organization owes, and resumed after that.

    How many servers changed.
    """
    with tenancy.as_worker():
        disputed = PaymentAllocation.objects.filter(payment__disputes__isnull=False)
        taken = AllocationReversal.objects.filter(undone_at=None)
        begun = Subscription.objects.filter(
            Q(invoice_items__invoice__in=disputed.values("invoice"))
            | Q(invoice_items__invoice__in=taken.values("allocation__invoice")),
            invoice_items__kind__in=PERIOD_KINDS,
            invoice_items__period_start__gt=at - REVIEWED,
            invoice_items__period_start__lte=at,
            status=SubscriptionStatus.ACTIVE,
        )
        placed = place(begun.exclude(pk__in=funded(begun, at).values("pk")), "not paid", at)
        of_debtors = Subscription.objects.filter(
            organization__in=owing().values("organization"), status=SubscriptionStatus.ACTIVE
        )
        placed += place(of_debtors.exclude(pk__in=funded(of_debtors, at).values("pk")), events.CREDIT_OWED, at)
        given = ServerTransfer.objects.filter(organization__in=owing().values("organization"))
        placed += place_received(given, events.PERIOD_WITHDRAWN, at)
        return placed + lift(Subscription.objects.filter(order_item__server__in=in_force().values("server")), at)


def in_force() -> "QuerySet[ServerHold]":
    """Billing's holds that are not lifted."""
    return ServerHold.objects.filter(kind=HoldKind.BILLING, lifted_at=None)


def transfers_of(invoice_ids: Collection[UUID]) -> "QuerySet[ServerTransfer]":
    """The transfers of servers for which these invoices were paid before."""
    of_lines = Subscription.objects.filter(invoice_items__invoice__in=invoice_ids)
    return ServerTransfer.objects.filter(server__isnull=False, item__subscription__in=of_lines.values("pk"))


def received_by(transfers: "QuerySet[ServerTransfer]") -> "QuerySet[Subscription]":
    """The subscriptions that are for these servers now."""
    return Subscription.objects.filter(
        order_item__server__in=transfers.filter(server__isnull=False).values("server"), status=SubscriptionStatus.ACTIVE
    )


def servers_of(subscriptions: "QuerySet[Subscription]") -> set[UUID]:
    """The servers that these pay for."""
    items = OrderItem.objects.filter(subscription__in=subscriptions.values("pk"), server__isnull=False)
    return {server_id for server_id in items.values_list("server_id", flat=True) if server_id}
