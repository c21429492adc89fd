"""Capacity is never sold twice, and never refused while there is some."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Sum

from servers import capacity, inventory
from servers.capacity import InsufficientCapacity, Size
from servers.models import Allocation, Node, Reservation, ReservationState
from tests.servers.builders import (
    AT,
    SMALL,
    make_blueprint,
    make_location,
    make_node,
    make_ports,
    make_provider,
    make_reservation,
    make_user,
    organization_of,
    region_of,
)

LATER = AT + timedelta(minutes=10)


def in_threads(work: Callable[[int], Any], calls: int, workers: int = 40) -> list[Any]:
    """The outcome of each call, exceptions included; all workers start at once."""
    start = threading.Barrier(min(calls, workers))
    local = threading.local()

    def run(number: int) -> Any:
        try:
            if not getattr(local, "has_started", False):
                local.has_started = True
                start.wait(timeout=30)
            return work(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(run, range(calls)))


def assert_counters_agree() -> None:
    """The nodes' counters are the sums of the reservations, and every live reservation has its ports, one primary."""
    live = Reservation.objects.exclude(state=ReservationState.RELEASED)
    for node in Node.objects.all():
        reserved = live.filter(node=node).aggregate(
            memory=Sum("memory_mib", default=0), disk=Sum("disk_mib", default=0)
        )
        assert (node.memory_reserved_mib, node.disk_reserved_mib) == (reserved["memory"], reserved["disk"])
        servers = live.filter(node=node, extends=None).count()
        assert node.servers_reserved == servers
    for reservation in live:
        ports = list(reservation.allocations.all())
        assert len(ports) == reservation.ports
        assert {port.node_id for port in ports} <= {reservation.node_id}
        assert sum(port.is_primary for port in ports) == (1 if ports and not reservation.extends_id else 0)
    assert not Allocation.objects.filter(reservation__state=ReservationState.RELEASED).exists()


@pytest.mark.django_db(transaction=True)
def test_two_hundred_buyers_get_exactly_the_capacity_of_a_hundred() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    for servers in (50, 30, 20):
        make_node(location, memory_mib=1024 * servers, disk_mib=10**9, ports=servers + 5)
    organization = organization_of(make_user())

    outcomes = in_threads(lambda _n: make_reservation(blueprint, location, organization=organization), 200)

    kinds = Counter(type(outcome).__name__ for outcome in outcomes)
    assert kinds == {"Reservation": 100, "InsufficientCapacity": 100}
    assert Allocation.objects.filter(reservation__isnull=False).count() == 100
    assert not Node.objects.filter(memory_reserved_mib__gt=F("memory_sellable_mib")).exists()
    assert_counters_agree()


@pytest.mark.django_db(transaction=True)
def test_capacity_for_one_and_fifty_buyers_make_one_sale() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location, memory_mib=1024, ports=3)
    organization = organization_of(make_user())

    outcomes = in_threads(lambda _n: make_reservation(blueprint, location, organization=organization), 50)

    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Reservation": 1, "InsufficientCapacity": 49}
    assert_counters_agree()


@pytest.mark.django_db(transaction=True)
def test_the_last_port_is_reserved_once_though_memory_is_plenty() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location, memory_mib=10**6, disk_mib=10**7, ports=7)
    organization = organization_of(make_user())
    size = Size(memory_mib=10, disk_mib=10, cpu_percent=10, ports=2)

    outcomes = in_threads(lambda _n: make_reservation(blueprint, location, size, organization=organization), 20)

    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Reservation": 3, "InsufficientCapacity": 17}
    assert_counters_agree()


@pytest.mark.django_db(transaction=True)
def test_of_a_confirmation_and_an_expiry_at_once_only_one_happens() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location, memory_mib=1024 * 20, disk_mib=10**7, ports=20)
    organization = organization_of(make_user())
    reservations = [make_reservation(blueprint, location, organization=organization) for _ in range(20)]

    def race(number: int) -> Any:
        if number % 3 == 0:
            return capacity.expire_due(at=LATER)
        return capacity.confirm(reservation_ids=[reservations[number % 20].pk])

    outcomes = in_threads(race, 60, workers=12)

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert not Reservation.objects.filter(state=ReservationState.RESERVED).exists()
    assert_counters_agree()


@pytest.mark.django_db(transaction=True)
def test_reserving_confirming_and_releasing_at_once_never_deadlocks_nor_leaks() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    for _ in range(3):
        make_node(location, memory_mib=1024 * 5, disk_mib=10**7, ports=6)
    organization = organization_of(make_user())

    def live(number: int) -> None:
        try:
            reservation = make_reservation(blueprint, location, organization=organization)
        except InsufficientCapacity:
            return
        capacity.confirm(reservation_ids=[reservation.pk])
        if number % 2:
            capacity.release(reservation_ids=[reservation.pk], at=AT)

    outcomes = in_threads(live, 120, workers=16)

    assert not [outcome for outcome in outcomes if outcome is not None]
    assert_counters_agree()


@pytest.mark.django_db(transaction=True)
def test_a_locked_node_does_not_stop_a_reservation_on_another() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    busy = make_node(location, memory_mib=1024, ports=2)
    free = make_node(location, memory_mib=2048, ports=2)
    organization = organization_of(make_user())

    with transaction.atomic():
        Node.objects.select_for_update().get(pk=busy.pk)
        [outcome] = in_threads(
            lambda _n: make_reservation(blueprint, location, organization=organization), 1, workers=1
        )

    assert outcome.node_id == free.pk


@pytest.mark.django_db(transaction=True)
def test_ports_locked_by_a_sync_are_waited_for() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    node = make_node(location, ports=1)
    organization = organization_of(make_user())
    found: list[Any] = []

    with transaction.atomic():
        list(Allocation.objects.select_for_update().filter(node=node))
        waiting = threading.Thread(
            target=lambda: found.extend(
                in_threads(lambda _n: make_reservation(blueprint, location, organization=organization), 1, workers=1)
            )
        )
        waiting.start()
        waiting.join(timeout=0.3)
        assert waiting.is_alive()
    waiting.join(timeout=10)

    assert isinstance(found[0], Reservation)


@pytest.mark.django_db
def test_the_fullest_node_that_fits_is_taken() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location, memory_mib=8192)
    fullest = make_node(location, memory_mib=1500)
    make_node(location, memory_mib=1000)

    assert make_reservation(blueprint, location).node_id == fullest.pk


@pytest.mark.django_db
@pytest.mark.parametrize(
    "closed", [{"is_enabled": False}, {"is_present": False}, {"is_draining": True}, {"is_in_maintenance": True}]
)
def test_a_closed_node_takes_nothing(closed: dict[str, bool]) -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location, **closed)

    with pytest.raises(InsufficientCapacity):
        make_reservation(blueprint, location)
    assert capacity.availability(sizes={"s": SMALL}, blueprints={"s": [blueprint]}) == {}


@pytest.mark.django_db
def test_a_blueprint_stays_in_its_regions_and_with_its_provider() -> None:
    provider = make_provider()
    here, there = make_location(provider, "here"), make_location(provider, "there")
    elsewhere = make_location(make_provider(), "elsewhere")
    blueprint = make_blueprint(provider)
    blueprint.regions.add(region_of(here))
    for location in (here, there, elsewhere):
        make_node(location)

    assert make_reservation(blueprint, here).node.location == here
    for location in (there, elsewhere):
        with pytest.raises(InsufficientCapacity):
            make_reservation(blueprint, location)
    assert capacity.availability(sizes={"s": SMALL}, blueprints={"s": [blueprint]})[region_of(here).pk] == {"s"}


@pytest.mark.django_db
def test_an_inactive_provider_sells_nothing() -> None:
    provider = make_provider(is_active=False)
    location = make_location(provider)
    make_node(location)

    with pytest.raises(InsufficientCapacity):
        make_reservation(make_blueprint(provider), location)


@pytest.mark.django_db
def test_several_ports_come_from_one_address_where_one_has_enough() -> None:
    provider = make_provider()
    location = make_location(provider)
    node = make_node(location, ports=2)
    make_ports(node, 3, ip="198.51.100.7", first=30000)

    reservation = make_reservation(make_blueprint(provider), location, Size(1024, 1024, 100, ports=3))

    assert {port.ip for port in reservation.allocations.all()} == {"198.51.100.7"}
    assert [port.port for port in reservation.allocations.filter(is_primary=True)] == [30000]


@pytest.mark.django_db
def test_a_port_that_is_taken_elsewhere_or_removed_is_not_reserved() -> None:
    provider = make_provider()
    location = make_location(provider)
    node = make_node(location, ports=2)
    first, second = Allocation.objects.filter(node=node)
    Allocation.objects.filter(pk=first.pk).update(is_taken_elsewhere=True)
    Allocation.objects.filter(pk=second.pk).update(is_present=False)

    with pytest.raises(InsufficientCapacity):
        make_reservation(make_blueprint(provider), location)


@pytest.mark.django_db
def test_availability_lists_sizes_by_region() -> None:
    provider = make_provider()
    blueprint = make_blueprint(provider)
    large, small = make_location(provider, "large"), make_location(provider, "small")
    make_node(large, memory_mib=8192)
    make_node(small, memory_mib=2048)
    sizes = {"small": SMALL, "large": Size(4096, 4096, 200), "many ports": Size(512, 512, 50, ports=9)}

    assert capacity.availability(sizes=sizes, blueprints={key: [blueprint] for key in sizes}) == {
        region_of(large).pk: {"small", "large"},
        region_of(small).pk: {"small"},
    }


@pytest.mark.django_db
def test_the_database_refuses_to_oversell_whatever_the_code_does() -> None:
    node = make_node(make_location(make_provider()))

    with pytest.raises(IntegrityError), transaction.atomic():
        Node.objects.filter(pk=node.pk).update(memory_reserved_mib=F("memory_sellable_mib") + 1)


@pytest.mark.django_db
def test_a_node_with_more_reserved_than_it_can_sell_sells_nothing_until_that_is_gone() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    node = make_node(location, memory_mib=4 * SMALL.memory_mib)
    sold = [make_reservation(blueprint, location) for _ in range(4)]
    Node.objects.filter(pk=node.pk).update(memory_mib=2 * SMALL.memory_mib)
    inventory.update_sellable(provider.pk)
    assert node.reload().memory_oversold_mib == 2 * SMALL.memory_mib

    for reservation in sold[:2]:
        capacity.release(reservation_ids=[reservation.pk], at=AT)
        with pytest.raises(capacity.InsufficientCapacity):
            make_reservation(blueprint, location)
    capacity.release(reservation_ids=[sold[2].pk], at=AT)

    assert make_reservation(blueprint, location).node == node
    node = node.reload()
    assert (node.memory_reserved_mib, node.memory_sellable_mib, node.memory_oversold_mib) == (2048, 2048, 0)


@pytest.mark.django_db
def test_releasing_twice_gives_back_once() -> None:
    provider = make_provider()
    location = make_location(provider)
    node = make_node(location)
    reservation = make_reservation(make_blueprint(provider), location)

    assert capacity.release(reservation_ids=[reservation.pk], at=AT)
    assert not capacity.release(reservation_ids=[reservation.pk], at=AT)
    assert node.reload().memory_reserved_mib == 0
    assert not capacity.confirm(reservation_ids=[reservation.pk])


@pytest.mark.django_db
def test_only_what_is_unpaid_and_overdue_expires() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location)
    confirmed, overdue, fresh = (make_reservation(blueprint, location) for _ in range(3))
    capacity.confirm(reservation_ids=[confirmed.pk])
    assert capacity.extend(reservation_id=fresh.pk, expires_at=LATER + timedelta(minutes=1))
    assert not capacity.extend(reservation_id=confirmed.pk, expires_at=LATER)

    assert capacity.expire_due(at=LATER) == 1
    states = [each.reload().state for each in (confirmed, overdue, fresh)]
    assert states == [ReservationState.CONFIRMED, ReservationState.RELEASED, ReservationState.RESERVED]
    assert_counters_agree()


@pytest.mark.django_db
@pytest.mark.parametrize("sizes", [(0, 1, 1, 1), (1, -5, 1, 1), (1, 1, -1, 1), (1, 1, 1, -1)])
def test_a_size_that_takes_nothing_is_refused(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="takes"):
        Size(*sizes)
