"""Servers that an admin of the panel moved to another node: reservation, ports, address and capacity follow."""

from datetime import timedelta

from sandbox.client import Sandbox
from servers import inventory, services
from servers.models import (
    Allocation,
    HoldKind,
    Node,
    Provider,
    RemoteServerSeen,
    Reservation,
    Server,
    ServerStatus,
    Step,
)
from tests.servers.actions import control, make_running, panel_servers, request_count, run_until_quiet, steps_of
from tests.servers.builders import AT, SMALL, make_reservation
from tests.servers.test_capacity import assert_counters_agree

PATCH = "PATCH /api/application/servers/*"


def other_node(server: Server) -> Node:
    """A node on which the server is not."""
    return next(node for node in Node.objects.order_by("ref") if node.pk != server.node_id)


def transfer(panel: Sandbox, server: Server) -> Node:
    """Move the server to another node of the panel, and let convergence look; the node."""
    [remote] = [each for each in panel_servers(panel) if each["external_id"] == str(server.pk)]
    node = other_node(server)
    control(panel, f"servers/{remote['id']}/transfer", {"node": int(node.ref)})
    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)
    return node


def test_a_moved_server_takes_its_reservation_ports_and_address_along(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    old = server.node
    assert old is not None
    free_before = Allocation.objects.filter(node=old, reservation=None, is_taken_elsewhere=False).count()

    node = transfer(panel, server)

    server = server.reload()
    [port] = Allocation.objects.filter(reservation=server.reservation)
    assert (server.status, server.node, server.failure) == (ServerStatus.RUNNING, node, "")
    assert (port.node, port.is_primary, port.ref) == (node, True, str(panel_servers(panel)[0]["allocation_id"]))
    assert (server.address, server.port) == (port.address, port.port)
    assert Reservation.objects.get(server=server).node == node
    assert (old.reload().memory_reserved_mib, node.reload().memory_reserved_mib) == (0, SMALL.memory_mib)
    assert Allocation.objects.filter(node=old, reservation=None, is_taken_elsewhere=False).count() == free_before + 1
    assert steps_of(server)[-1] == Step.MOVED
    assert request_count(panel, PATCH) == 0
    assert_counters_agree()


def test_a_node_that_a_server_was_moved_to_cannot_sell_its_place(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    node = other_node(server)
    [remote] = panel_servers(panel)
    control(panel, f"servers/{remote['id']}/transfer", {"node": int(node.ref)})

    inventory.sync(provider_id=provider.pk, at=AT)

    assert node.reload().memory_foreign_mib == SMALL.memory_mib
    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)
    inventory.sync(provider_id=provider.pk, at=AT + timedelta(minutes=15))
    assert (node.reload().memory_foreign_mib, node.reload().memory_reserved_mib) == (0, SMALL.memory_mib)


def test_a_node_that_is_full_takes_a_moved_server_and_sells_nothing_more(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    other = other_node(server)
    Node.objects.filter(pk=other.pk).update(memory_sellable_mib=0)

    transfer(panel, server)

    node = other.reload()
    assert (node.memory_reserved_mib, node.memory_oversold_mib) == (SMALL.memory_mib, SMALL.memory_mib)
    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT)
    assert (node.reload().memory_reserved_mib, node.reload().memory_oversold_mib) == (0, 0)


def test_a_port_that_was_reserved_for_another_order_is_replaced_there(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    node = other_node(server)
    other = make_reservation(server.blueprint, node.location, SMALL)
    Node.objects.filter(pk=other.node_id).exclude(pk=node.pk).update(is_enabled=False)
    first = Allocation.objects.filter(node=node).order_by("port")[0]
    Allocation.objects.filter(reservation=other).update(reservation=None, is_primary=False)
    Allocation.objects.filter(pk=first.pk).update(reservation=other, is_primary=True)
    Reservation.objects.filter(pk=other.pk).update(node=node)

    transfer(panel, server)

    assert first.reload().reservation == server.reload().reservation
    [replacement] = Allocation.objects.filter(reservation=other)
    assert (replacement.node, replacement.is_primary) == (node, True)


def test_a_server_moved_to_ports_that_are_not_known_waits_for_the_sync(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    node = other_node(server)
    Allocation.objects.filter(node=node).delete()
    transfer(panel, server)
    assert server.reload().node != node

    inventory.sync(provider_id=provider.pk, at=AT)
    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, server.reload().node) == (ServerStatus.RUNNING, node)


def test_a_server_on_a_node_that_is_not_known_is_suspended_and_resumed_all_the_same(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider)
    [remote] = panel_servers(panel)
    node = other_node(server)
    control(panel, f"servers/{remote['id']}/transfer", {"node": int(node.ref)})
    Allocation.objects.filter(node=node).delete()
    RemoteServerSeen.objects.filter(node=node).delete()
    node.delete()

    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
    run_until_quiet(AT)
    assert (panel_servers(panel)[0]["status"], server.reload().status) == ("suspended", ServerStatus.SUSPENDED)
    services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=AT)
    run_until_quiet(AT)
    assert (panel_servers(panel)[0]["status"], server.reload().status) == (None, ServerStatus.RUNNING)
    assert request_count(panel, PATCH) == 0

    inventory.sync(provider_id=provider.pk, at=AT)
    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)
    moved = server.reload().node
    assert moved is not None
    assert moved.ref == node.ref


def test_a_suspended_server_that_was_moved_stays_suspended(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.BILLING, reason="unpaid", actor=None, at=AT)
    run_until_quiet(AT)

    node = transfer(panel, server)

    assert (server.reload().status, server.reload().node) == (ServerStatus.SUSPENDED, node)


def test_the_old_nodes_ports_are_never_asked_for_again(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    old = server.node
    transfer(panel, server)

    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    assert request_count(panel, PATCH) == 0
    assert not Allocation.objects.filter(node=old, is_taken_elsewhere=True).exists()
