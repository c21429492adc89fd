"""A server gets another size: more is reserved before, less goes back to its node after the provider has done it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from sandbox.client import Sandbox
from servers import capacity, events, resizing
from servers.capacity import Growth, InsufficientCapacity, Size
from servers.models import Location, Node, Provider, Reservation, ReservationState, Server, Step
from tests.servers.actions import make_running, panel_servers, run_until_quiet, steps_of
from tests.servers.builders import (
    AT,
    SMALL,
    make_blueprint,
    make_location,
    make_node,
    make_plan,
    make_ports,
    make_provider,
    make_server,
)
from tests.servers.test_capacity import assert_counters_agree
from tests.threads import run_at_once

LATER = AT + timedelta(hours=1)
LARGE = Size(memory_mib=2048, disk_mib=10240, cpu_percent=200, ports=2)
GROWTH = Growth(memory_mib=1024, disk_mib=5120, ports=1)


def resize(server: Server, size: Size, *, at: datetime = LATER) -> bool:
    new = resizing.NewSize(server.plan, server.blueprint, size, databases=2, backups=3)
    return resizing.resize_server(server_id=server.pk, new=new, actor=None, at=at)


def grow(server: Server) -> None:
    """Reserve, merge and ask for the larger size, as a paid change does."""
    assert server.reservation is not None
    extension = capacity.extend_reservation(
        reservation_id=server.reservation.pk, growth=GROWTH, expires_at=LATER + timedelta(minutes=10)
    )
    with transaction.atomic():
        capacity.merge_extension(extension_id=extension.pk, at=LATER)
        assert resize(server, LARGE)


def node_of(server: Server) -> Node:
    assert server.node is not None
    return server.node.reload()


@contextmanager
def resized() -> Iterator[list[UUID]]:
    """The servers that the signal names meanwhile."""
    seen: list[UUID] = []

    def note(server_ids: Sequence[UUID], **_: Any) -> None:
        seen.extend(server_ids)

    events.servers_resized.connect(note)
    try:
        yield seen
    finally:
        events.servers_resized.disconnect(note)


def test_a_larger_size_is_reserved_then_the_panel_gives_it_and_says_so_once(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    with resized() as seen:
        grow(server)

        run_until_quiet(LATER)

    [remote] = panel_servers(panel)
    assert [remote[name] for name in ("memory", "disk", "cpu", "database_limit", "backup_limit")] == [
        *(2048, 10240, 200),
        *(2, 3),
    ]
    assert seen == [server.pk]
    server = server.reload()
    assert (server.resize_asked_at, steps_of(server)[-1]) == (None, Step.RESIZED)
    reservation = Reservation.objects.get(server=server)
    assert (reservation.memory_mib, reservation.disk_mib, reservation.ports) == (2048, 10240, 2)
    assert_counters_agree()


def test_a_smaller_size_returns_capacity_and_ports_only_when_the_panel_has_it(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider, size=LARGE)
    before = node_of(server).memory_reserved_mib
    with resized() as seen:
        assert resize(server, SMALL)
        assert node_of(server).memory_reserved_mib == before  # the panel still gives it 2 GB
        assert seen == []

        run_until_quiet(LATER)

    [remote] = panel_servers(panel)
    assert remote["memory"] == 1024
    assert seen == [server.pk]
    assert node_of(server).memory_reserved_mib == before - 1024
    reservation = Reservation.objects.get(server=server)
    assert (reservation.memory_mib, reservation.disk_mib, reservation.ports) == (1024, 5120, 1)
    assert [port.ref for port in reservation.allocations.all()] == [server.reload().observed["addresses"][0]["ref"]]
    assert_counters_agree()


def test_the_same_size_again_asks_for_nothing(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    grow(server)

    assert not resize(server, LARGE)


@pytest.fixture
def node(transactional_db: None) -> Node:
    """A node of its own with memory for one server of 1 GB and 1 GB more."""
    return make_node(make_location(make_provider()), memory_mib=3 * 1024, ports=4)


def on_node(node: Node, count: int) -> list[Server]:
    """Servers on the node."""
    plan = make_plan()
    blueprint = make_blueprint(node.provider, plan)
    location = Location.objects.get(pk=node.location_id)
    return [make_server(node.provider, plan=plan, blueprint=blueprint, location=location) for _ in range(count)]


def test_two_servers_race_for_the_last_memory_of_their_node_and_one_gets_it(node: Node) -> None:
    servers = on_node(node, 2)
    waiting = list(servers)
    growth = replace(GROWTH, disk_mib=0, ports=0)

    def extend() -> None:
        server = waiting.pop()
        assert server.reservation_id is not None
        capacity.extend_reservation(reservation_id=server.reservation_id, growth=growth, expires_at=LATER)

    errors = run_at_once(extend, times=2)

    assert [type(error) for error in errors] == [InsufficientCapacity]
    assert node.reload().memory_reserved_mib == node.memory_sellable_mib
    assert_counters_agree()


def test_what_is_not_paid_in_time_returns_to_the_node_and_can_no_longer_be_merged(node: Node) -> None:
    [server] = on_node(node, 1)
    assert server.reservation is not None
    extension = capacity.extend_reservation(reservation_id=server.reservation.pk, growth=GROWTH, expires_at=LATER)
    assert node.reload().memory_reserved_mib == 2048
    assert_counters_agree()

    assert capacity.expire_due(at=LATER) == 1

    assert node.reload().memory_reserved_mib == 1024
    assert_counters_agree()
    with pytest.raises(InsufficientCapacity):
        capacity.merge_extension(extension_id=extension.pk, at=LATER)


def test_a_node_that_is_not_sold_or_has_too_few_ports_gives_no_more(node: Node) -> None:
    [server] = on_node(node, 1)
    assert server.reservation is not None
    grow: dict[str, Any] = {"reservation_id": server.reservation.pk, "expires_at": LATER}
    with pytest.raises(InsufficientCapacity):
        capacity.extend_reservation(growth=replace(GROWTH, ports=4), **grow)
    make_ports(node, 1, first=26000)
    Node.objects.filter(pk=node.pk).update(is_draining=True)
    with pytest.raises(InsufficientCapacity):
        capacity.extend_reservation(growth=GROWTH, **grow)
    Node.objects.filter(pk=node.pk).update(is_draining=False)

    extension = capacity.extend_reservation(growth=replace(GROWTH, ports=4), **grow)

    assert (extension.state, extension.allocations.count()) == (ReservationState.RESERVED, 4)
    assert_counters_agree()
