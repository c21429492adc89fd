"""Draining a node: where each of its servers would go, capacity reserved there, and what is still to be moved.

No provider that we know moves a server when it is asked through its API: staff do it on the panel. We reserve the
capacity first, and when the panel says that the server is on another node, its own reservation follows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet

from accounts.models import User
from core import audit, queue, tenancy, work
from servers import capacity
from servers.capacity.candidates import among, read_nodes
from servers.drivers import registry
from servers.models import DesiredState, Node, Reservation, Server, ServerMove, ServerStatus

ADVANCE = "servers.tasks.advance_drains"  # also on the schedule: a lost message delays it by a minute
OPEN = Q(moved_at=None, canceled_at=None)
# What is reserved for a move is renewed while the node is drained. Should nobody do that, it comes free by itself.
RESERVED_FOR = timedelta(days=1)


@dataclass(frozen=True)
class PlannedMove:
    """A server of a node, with the node that would take it now; or why none does."""

    server: Server
    target: str
    refused: Sequence[str]


def how_to_move(node: Node) -> str:
    """What staff do at the provider to move a server of the node; empty where its servers cannot be moved."""
    return str(registry.facts()[node.provider.kind].move_instruction)


def plan(node: Node) -> list[PlannedMove]:
    """Where each server of the node would go, the largest first, as if those before it were there already.

    Nothing is reserved by it. None of a node whose servers cannot be moved, or that is in no region.
    """
    servers, region = list(servers_of(node)), node.location.region
    if not how_to_move(node) or region is None:
        return []
    others = Node.objects.filter(location__region=region, provider=node.provider_id).exclude(pk=node.pk)
    nodes = read_nodes(others, max_ports=sum(size_of(server).ports for server in servers))
    moves = []
    for server in servers:
        found = among(nodes, blueprints=[server.blueprint], region=region, size=size_of(server))
        target = next((found.taken[node_id] for node_id in found.blueprints), None)
        if target is not None:
            target.take(size_of(server))
        refused = capacity.describe(found.refused) if target is None else []
        moves.append(PlannedMove(server, target.name if target else "", refused))
    return moves


def servers_of(node: Node) -> QuerySet[Server]:
    """The servers that have to leave the node, the largest first."""
    rows = Server.objects.filter(node=node, desired_state=DesiredState.PRESENT, reservation__isnull=False)
    rows = rows.exclude(status=ServerStatus.DELETED).select_related("blueprint", "reservation", "organization")
    return rows.prefetch_related("blueprint__regions").order_by("-memory_mib", "-disk_mib", "pk")


def size_of(server: Server) -> capacity.Size:
    """What the server has of its node."""
    held = server.reservation
    if held is None:
        raise ValueError(f"{server.pk} has no reservation")
    return capacity.Size(held.memory_mib, held.disk_mib, held.cpu_percent, held.ports)


def start(*, node: Node, actor: User, at: datetime) -> None:
    """Sell nothing more on the node, and have capacity reserved elsewhere for its servers. May be called again."""
    with tenancy.as_worker():
        Node.objects.filter(pk=node.pk).update(is_draining=True, drain_asked_at=at)
        audit.record(action="node.drain", entity=node, actor=actor, at=at)
        transaction.on_commit(partial(queue.send, ADVANCE), robust=True)


def cancel(*, node: Node, actor: User, at: datetime) -> None:
    """Sell on the node again; what is reserved elsewhere is released. What was moved stays where it is."""
    with tenancy.as_worker():
        Node.objects.filter(pk=node.pk).update(is_draining=False, drain_asked_at=None)
        audit.record(action="node.cancel_drain", entity=node, actor=actor, at=at)
        transaction.on_commit(partial(queue.send, ADVANCE), robust=True)


def advance(*, at: datetime) -> int:
    """Reserve what is not reserved yet for the servers of drained nodes, and end moves that nobody wants any more; how
    many. Each in a transaction of its own, so that it may be killed and repeated.
    """
    left = ServerMove.objects.filter(OPEN).exclude(
        node__drain_asked_at__isnull=False,
        server__node=F("node"),
        server__desired_state=DesiredState.PRESENT,
    )
    done = work.run_each(list(left.values_list("pk", flat=True)), lambda pk: end(pk, at), name="move")
    for node in Node.objects.filter(drain_asked_at__isnull=False).select_related("provider", "location__region"):
        if how_to_move(node) and node.location.region is not None:
            ids = list(servers_of(node).values_list("pk", flat=True))
            done += work.run_each(ids, lambda pk: reserve_elsewhere(pk, at), name="drain")
    return done


def reserve_elsewhere(server_id: UUID, at: datetime) -> bool:
    """Reserve capacity on another node for the server of a drained node; False where it is there, or there is none."""
    with tenancy.as_worker():
        locked = Server.objects.select_for_update(no_key=True, of=("self",))
        server = locked.select_related("blueprint", "reservation", "organization", "node__location__region").get(
            pk=server_id
        )
        node, expires_at = server.node, at + RESERVED_FOR
        if node is None or node.drain_asked_at is None or node.location.region is None:
            return False
        # Locked, because `end` may be at it: what is reserved for a move that has ended would be released by nobody.
        moves = ServerMove.objects.select_for_update(no_key=True).filter(OPEN)
        move, _is_new = moves.get_or_create(
            server=server, moved_at=None, canceled_at=None, defaults={"node": node, "asked_at": at}
        )
        if not Node.objects.filter(pk=node.pk, drain_asked_at__isnull=False).exists():
            return False
        if move.reservation_id and capacity.extend(reservation_id=move.reservation_id, expires_at=expires_at):
            return False
        try:
            move.reservation = capacity.reserve(
                organization=server.organization,
                blueprints=[server.blueprint],
                region=node.location.region,
                size=size_of(server),
                at=at,
                expires_at=expires_at,
            )
            move.problem = ""
        except capacity.InsufficientCapacity as error:
            move.reservation, move.problem = None, str(error)
        move.save(update_fields=["reservation", "problem"])
    return move.reservation is not None


def end(move_id: UUID, at: datetime) -> bool:
    """End a move that nobody wants any more: what was reserved for it is released."""
    with tenancy.as_worker():
        move = ServerMove.objects.select_for_update(no_key=True).filter(OPEN, pk=move_id).first()
        if move is None:
            return False
        ServerMove.objects.filter(pk=move.pk).update(canceled_at=at)
        if move.reservation_id is not None:
            capacity.release(reservation_ids=[move.reservation_id], at=at)
    return True


def follow(*, server: Server, node_id: UUID, refs: Sequence[str], at: datetime) -> None:
    """The provider has the server on this node: its reservation follows, and what was reserved for the move is its.

    Reservations before nodes, each by their ids: the lock order holds although there are two of each. Raises NoFreePort
    and UnknownPort.
    """
    with tenancy.within_worker():
        moves = ServerMove.objects.select_for_update(no_key=True).filter(OPEN, server=server)
        planned = [move.reservation_id for move in moves if move.reservation_id is not None]
        moves.update(moved_at=at)
        held = Reservation.objects.filter(pk__in=[*planned, server.reservation_id]).order_by("pk")
        nodes = {row.node_id for row in held.select_for_update(no_key=True)} | {node_id}
        list(Node.objects.filter(pk__in=nodes).order_by("pk").select_for_update(no_key=True))
        capacity.release(reservation_ids=planned, at=at)
        if server.reservation_id is not None:
            capacity.move(reservation_id=server.reservation_id, node_id=node_id, refs=refs)
