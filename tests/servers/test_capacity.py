"""Room is never sold twice, and never refused while there is some."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Sum

from servers import capacity
from servers.capacity import InsufficientCapacity, Size
from servers.models import Allocation, Node, Reservation, ReservationState
from tests.servers.builders import (
    AT,
    SMALL,
    make_blueprint,
    make_hold,
    make_location,
    make_node,
    make_ports,
    make_provider,
    make_user,
    organization_of,
)

LATER = AT + timedelta(minutes=10)


def in_threads(work: Callable[[int], Any], calls: int, workers: int = 40) -> list[Any]:
    """The outcome of each call, exceptions included; all workers begin together."""
    start = threading.Barrier(min(calls, workers))
    met = threading.local()

    def run(number: int) -> Any:
        try:
            if not getattr(met, "begun", False):
                met.begun = True
                start.wait(timeout=30)
            return work(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(run, range(calls)))


def assert_books_agree() -> None:
    """Counters say what reservations say, and every live reservation has its ports, one of them primary."""
    live = Reservation.objects.exclude(state=ReservationState.RELEASED)
    for node in Node.objects.all():
        held = live.filter(node=node).aggregate(memory=Sum("memory_mib", default=0), disk=Sum("disk_mib", default=0))
        assert (node.memory_reserved_mib, node.disk_reserved_mib) == (held["memory"], held["disk"])
    for reservation in live:
        ports = list(reservation.allocations.all())
        assert len(ports) == reservation.ports
        assert {port.node_id for port in ports} == {reservation.node_id}
        assert sum(port.is_primary for port in ports) == 1
    assert not Allocation.objects.filter(reservation__state=ReservationState.RELEASED).exists()


@pytest.mark.django_db(transaction=True)
def test_two_hundred_buyers_get_exactly_the_hundred_places() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    for places in (50, 30, 20):
        make_node(location, memory_mib=1024 * places, disk_mib=10**9, ports=places + 5)
    organization = organization_of(make_user())

    outcomes = in_threads(lambda _n: make_hold(blueprint, location, organization=organization), 200)

    kinds = Counter(type(outcome).__name__ for outcome in outcomes)
    assert kinds == {"Reservation": 100, "InsufficientCapacity": 100}
    assert Allocation.objects.filter(reservation__isnull=False).count() == 100
    assert not Node.objects.filter(memory_reserved_mib__gt=F("memory_sellable_mib")).exists()
    assert_books_agree()


@pytest.mark.django_db(transaction=True)
def test_one_place_and_fifty_buyers_make_one_sale() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location, memory_mib=1024, ports=3)
    organization = organization_of(make_user())

    outcomes = in_threads(lambda _n: make_hold(blueprint, location, organization=organization), 50)

    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Reservation": 1, "InsufficientCapacity": 49}
    assert_books_agree()


@pytest.mark.django_db(transaction=True)
def test_the_last_port_is_held_once_though_memory_is_plenty() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location, memory_mib=10**6, disk_mib=10**7, ports=7)
    organization = organization_of(make_user())
    size = Size(memory_mib=10, disk_mib=10, cpu_percent=10, ports=2)

    outcomes = in_threads(lambda _n: make_hold(blueprint, location, size, organization=organization), 20)

    assert Counter(type(outcome).__name__ for outcome in outcomes) == {"Reservation": 3, "InsufficientCapacity": 17}
    assert_books_agree()


@pytest.mark.django_db(transaction=True)
def test_keeping_races_expiry_and_one_of_them_wins() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location, memory_mib=1024 * 20, disk_mib=10**7, ports=20)
    organization = organization_of(make_user())
    held = [make_hold(blueprint, location, organization=organization) for _ in range(20)]

    def race(number: int) -> Any:
        if number % 3 == 0:
            return capacity.expire_due(at=LATER)
        return capacity.confirm(reservation_id=held[number % 20].pk, at=LATER)

    outcomes = in_threads(race, 60, workers=12)

    assert not [outcome for outcome in outcomes if isinstance(outcome, Exception)]
    assert not Reservation.objects.filter(state=ReservationState.RESERVED).exists()
    assert_books_agree()


@pytest.mark.django_db(transaction=True)
def test_holding_keeping_and_releasing_at_once_never_deadlocks_nor_leaks() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    for _ in range(3):
        make_node(location, memory_mib=1024 * 5, disk_mib=10**7, ports=6)
    organization = organization_of(make_user())

    def live(number: int) -> None:
        try:
            room = make_hold(blueprint, location, organization=organization)
        except InsufficientCapacity:
            return
        capacity.confirm(reservation_id=room.pk, at=AT)
        if number % 2:
            capacity.release(reservation_id=room.pk, at=AT)

    outcomes = in_threads(live, 120, workers=16)

    assert not [outcome for outcome in outcomes if outcome is not None]
    assert_books_agree()


@pytest.mark.django_db(transaction=True)
def test_a_node_that_is_locked_by_another_is_no_reason_to_refuse() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    busy = make_node(location, memory_mib=1024, ports=2)
    free = make_node(location, memory_mib=2048, ports=2)
    organization = organization_of(make_user())

    with transaction.atomic():
        Node.objects.select_for_update().get(pk=busy.pk)
        [outcome] = in_threads(lambda _n: make_hold(blueprint, location, organization=organization), 1, workers=1)

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
                in_threads(lambda _n: make_hold(blueprint, location, organization=organization), 1, workers=1)
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

    assert make_hold(blueprint, location).node_id == fullest.pk


@pytest.mark.django_db
@pytest.mark.parametrize(
    "closed", [{"is_enabled": False}, {"is_present": False}, {"is_draining": True}, {"is_in_maintenance": True}]
)
def test_a_closed_node_takes_nothing(closed: dict[str, bool]) -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location, **closed)

    with pytest.raises(InsufficientCapacity):
        make_hold(blueprint, location)
    assert capacity.availability(blueprint=blueprint, sizes={"s": SMALL}) == {}


@pytest.mark.django_db
def test_a_blueprint_stays_in_its_locations_and_with_its_provider() -> None:
    provider = make_provider()
    here, there = make_location(provider, "here"), make_location(provider, "there")
    elsewhere = make_location(make_provider(), "elsewhere")
    blueprint = make_blueprint(provider)
    blueprint.locations.add(here)
    for location in (here, there, elsewhere):
        make_node(location)

    assert make_hold(blueprint, here).node.location == here
    for location in (there, elsewhere):
        with pytest.raises(InsufficientCapacity):
            make_hold(blueprint, location)
    assert set(capacity.availability(blueprint=blueprint, sizes={"s": SMALL})) == {here.pk}


@pytest.mark.django_db
def test_an_inactive_provider_sells_nothing() -> None:
    provider = make_provider(is_active=False)
    location = make_location(provider)
    make_node(location)

    with pytest.raises(InsufficientCapacity):
        make_hold(make_blueprint(provider), location)


@pytest.mark.django_db
def test_several_ports_come_from_one_address_where_one_has_enough() -> None:
    provider = make_provider()
    location = make_location(provider)
    node = make_node(location, ports=2)
    make_ports(node, 3, ip="198.51.100.7", first=30000)

    room = make_hold(make_blueprint(provider), location, Size(1024, 1024, 100, ports=3))

    assert {port.ip for port in room.allocations.all()} == {"198.51.100.7"}
    assert [port.port for port in room.allocations.filter(is_primary=True)] == [30000]


@pytest.mark.django_db
def test_what_is_taken_elsewhere_or_gone_is_not_given() -> None:
    provider = make_provider()
    location = make_location(provider)
    node = make_node(location, ports=2)
    first, second = Allocation.objects.filter(node=node)
    Allocation.objects.filter(pk=first.pk).update(is_taken_elsewhere=True)
    Allocation.objects.filter(pk=second.pk).update(is_present=False)

    with pytest.raises(InsufficientCapacity):
        make_hold(make_blueprint(provider), location)


@pytest.mark.django_db
def test_availability_tells_sizes_by_location() -> None:
    provider = make_provider()
    blueprint = make_blueprint(provider)
    roomy, tight = make_location(provider, "roomy"), make_location(provider, "tight")
    make_node(roomy, memory_mib=8192)
    make_node(tight, memory_mib=2048)
    sizes = {"small": SMALL, "large": Size(4096, 4096, 200), "many ports": Size(512, 512, 50, ports=9)}

    assert capacity.availability(blueprint=blueprint, sizes=sizes) == {
        roomy.pk: {"small", "large"},
        tight.pk: {"small"},
    }


@pytest.mark.django_db
def test_the_database_refuses_to_oversell_whatever_the_code_does() -> None:
    node = make_node(make_location(make_provider()))

    with pytest.raises(IntegrityError), transaction.atomic():
        Node.objects.filter(pk=node.pk).update(memory_reserved_mib=F("memory_sellable_mib") + 1)


@pytest.mark.django_db
def test_releasing_twice_gives_back_once() -> None:
    provider = make_provider()
    location = make_location(provider)
    node = make_node(location)
    room = make_hold(make_blueprint(provider), location)

    assert capacity.release(reservation_id=room.pk, at=AT)
    assert not capacity.release(reservation_id=room.pk, at=AT)
    assert node.reload().memory_reserved_mib == 0
    assert not capacity.confirm(reservation_id=room.pk, at=AT)


@pytest.mark.django_db
def test_only_what_is_unpaid_and_overdue_expires() -> None:
    provider = make_provider()
    location, blueprint = make_location(provider), make_blueprint(provider)
    make_node(location)
    kept, overdue, fresh = (make_hold(blueprint, location) for _ in range(3))
    capacity.confirm(reservation_id=kept.pk, at=AT)
    assert capacity.extend(reservation_id=fresh.pk, expires_at=LATER + timedelta(minutes=1))
    assert not capacity.extend(reservation_id=kept.pk, expires_at=LATER)

    assert capacity.expire_due(at=LATER) == 1
    states = [room.reload().state for room in (kept, overdue, fresh)]
    assert states == [ReservationState.CONFIRMED, ReservationState.RELEASED, ReservationState.RESERVED]
    assert_books_agree()


@pytest.mark.django_db
@pytest.mark.parametrize("sizes", [(0, 1, 1, 1), (1, -5, 1, 1), (1, 1, -1, 1), (1, 1, 1, 0)])
def test_a_size_that_takes_nothing_is_refused(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match="takes"):
        Size(*sizes)
