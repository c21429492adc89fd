"""Draining a node: the plan that is shown, what is reserved elsewhere, and servers that were moved on the panel."""

from datetime import timedelta
from functools import partial

from sandbox.client import Sandbox
from servers import draining, services
from servers.capacity import Size
from servers.models import Location, Node, Provider, Reservation, Server, ServerMove, Step
from tests.servers.actions import control, make_running, panel_servers, run_until_quiet, steps_of
from tests.servers.builders import (
    AT,
    SMALL,
    make_blueprint,
    make_location,
    make_node,
    make_plan,
    make_provider,
    make_server,
    make_user,
)
from tests.servers.test_capacity import assert_counters_agree
from tests.threads import run_at_once

LARGE = Size(memory_mib=3072, disk_mib=5120, cpu_percent=100)


def full_node(*sizes: Size, others: int = 2, room_mib: int = 4096) -> Node:
    """A node with servers of these sizes, and others of 4 GiB in the same region."""
    provider, plan = make_provider(), make_plan()
    location, blueprint = make_location(provider), make_blueprint(provider, plan)
    node = make_node(location, memory_mib=16384)
    for size in sizes:
        make_server(provider, plan=plan, blueprint=blueprint, location=location, size=size)
    for _number in range(others):
        make_node(location, memory_mib=room_mib)
    return node.reload()


def targets(node: Node) -> list[str]:
    """Where each server would go, the largest first."""
    return [move.target for move in draining.plan(node)]


def test_the_plan_counts_what_is_placed_before_and_says_what_does_not_fit(db: None) -> None:
    node = full_node(SMALL, LARGE, SMALL, LARGE, LARGE)
    first, second = (row.name for row in Node.objects.exclude(pk=node.pk).order_by("pk"))

    moves = draining.plan(node)

    assert [move.target for move in moves] == [first, second, "", first, second]
    assert moves[2].refused == [
        f"{moves[2].server.blueprint}: {', '.join(sorted([first, second]))} – not enough memory"
    ]
    assert not ServerMove.objects.exists()
    assert node.reload() == node


def test_the_plan_reads_as_much_for_many_servers_as_for_one(db: None, django_assert_num_queries) -> None:  # type: ignore[no-untyped-def]
    one, many = full_node(SMALL), full_node(*[SMALL] * 6, room_mib=16384)
    draining.plan(one)  # which kind a blueprint is, is kept
    draining.plan(many)
    with django_assert_num_queries(3):
        draining.plan(one)
    with django_assert_num_queries(3):
        assert len(draining.plan(many)) == 6


def test_a_drain_reserves_what_was_shown_and_may_be_repeated(db: None) -> None:
    node = full_node(SMALL, LARGE, LARGE, LARGE)
    shown, staff = targets(node), make_user()
    draining.start(node=node, actor=staff, at=AT)

    assert draining.advance(at=AT) == 3
    for hour in (1, 20, 40):
        draining.start(node=node, actor=staff, at=AT + timedelta(hours=hour))
        assert draining.advance(at=AT + timedelta(hours=hour)) == 0

    moves = {move.server_id: move for move in ServerMove.objects.select_related("reservation__node")}
    reserved = [moves[server.pk].reservation for server in draining.servers_of(node)]
    assert [row.node.name if row else "" for row in reserved] == shown
    assert [move.problem != "" for move in moves.values()].count(True) == 1
    assert {row.expires_at for row in reserved if row} == {AT + timedelta(hours=64)}
    assert_counters_agree()


def test_a_stopped_drain_releases_everything(db: None) -> None:
    node = full_node(SMALL, SMALL)
    draining.start(node=node, actor=make_user(), at=AT)
    draining.advance(at=AT)

    draining.cancel(node=node, actor=make_user(), at=AT)
    assert draining.advance(at=AT) == 2

    assert (node.reload().is_draining, ServerMove.objects.filter(draining.OPEN).exists()) == (False, False)
    others = Node.objects.exclude(pk=node.pk)
    assert sum(others.values_list("memory_reserved_mib", flat=True)) == 0
    assert draining.advance(at=AT) == 0


def test_workers_at_once_reserve_once_for_each_server(transactional_db: None) -> None:
    node = full_node(SMALL, SMALL, SMALL)
    draining.start(node=node, actor=make_user(), at=AT)

    assert run_at_once(partial(draining.advance, at=AT), times=3) == []

    assert ServerMove.objects.count() == Reservation.objects.filter(server_move__isnull=False).count() == 3
    others = Node.objects.exclude(pk=node.pk)
    assert sum(others.values_list("memory_reserved_mib", flat=True)) == 3 * SMALL.memory_mib


def test_a_server_that_staff_moved_takes_what_was_reserved_for_it(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    Location.objects.update(region=Location.objects.order_by("code")[0].region)
    old = server.node
    assert old is not None
    draining.start(node=old, actor=make_user(), at=AT)
    draining.advance(at=AT)
    move = ServerMove.objects.get()
    assert move.reservation is not None
    target = move.reservation.node
    assert target != old

    [remote] = panel_servers(panel)
    control(panel, f"servers/{remote['id']}/transfer", {"node": int(target.ref)})
    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    assert (Server.objects.get().node, move.reload().moved_at is not None) == (target, True)
    assert (old.reload().memory_reserved_mib, target.reload().memory_reserved_mib) == (0, SMALL.memory_mib)
    assert steps_of(server)[-1] == Step.MOVED
    assert_counters_agree()
    assert draining.advance(at=AT) == 0


def test_a_server_that_is_deleted_needs_no_place_elsewhere(db: None) -> None:
    node = full_node(SMALL)
    draining.start(node=node, actor=make_user(), at=AT)
    draining.advance(at=AT)

    services.delete_servers(server_ids=[Server.objects.get().pk], actor=None, at=AT)

    assert draining.advance(at=AT) == 1
    assert Reservation.objects.get(server_move__isnull=False).state == "released"
