"""When a node or a region is full, by what was reserved and released in the last thirty days."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.capacity import Size
from servers.capacity.forecast import LONGEST, Trend, forecasts
from servers.models import Node, ProvisioningStep, Reservation, Server, Step
from tests.servers.builders import (
    AT,
    make_blueprint,
    make_location,
    make_node,
    make_plan,
    make_provider,
    make_reservation,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def node(db: None) -> Node:
    return make_node(make_location(make_provider()), memory_mib=10240, disk_mib=1024000)


def reserve(node: Node, *, days_ago: int, memory_mib: int = 1024, **fields: Any) -> Reservation:
    """A reservation of this node made so long ago."""
    size = Size(memory_mib=memory_mib, disk_mib=1024, cpu_percent=100)
    row = make_reservation(make_blueprint(node.provider, make_plan()), node.location, size)
    made = {"created_at": AT - timedelta(days=days_ago), "state": "confirmed", "expires_at": None}
    Reservation.objects.filter(pk=row.pk).update(**made | fields)
    return row


def test_a_node_is_full_on_the_day_that_a_straight_line_says(node: Node) -> None:
    reserve(node, days_ago=40, memory_mib=4096)  # before: it counts as taken, not as growth
    reserve(node, days_ago=20, memory_mib=2048)
    reserve(node, days_ago=5)

    with CaptureQueriesContext(connection) as queries:
        (region,), (of_node,) = forecasts(at=AT)

    # 3072 MiB are free and 3072 MiB were taken in 30 days; of the disk there is much more.
    assert (of_node.place, of_node.kind, of_node.full_on) == (node, "memory", AT.date() + timedelta(days=30))
    assert (region.place, region.full_on) == (node.location.region, of_node.full_on)
    assert len(queries) == 3


def test_what_does_not_grow_has_no_date(node: Node) -> None:
    reserve(node, days_ago=50, memory_mib=2048, state="released", released_at=AT - timedelta(days=3))
    reserve(node, days_ago=4)

    assert [each.full_on for each in forecasts(at=AT)[1]] == [None]
    assert Trend(free=LONGEST + 1, taken=30).days_left() is None
    assert Trend(free=LONGEST, taken=30).days_left() == LONGEST
    assert (Trend(free=5, taken=0).days_left(), Trend(free=0, taken=0).days_left()) == (None, 0)


def test_what_was_taken_over_is_no_growth(node: Node) -> None:
    row = reserve(node, days_ago=1)
    plan = make_plan()
    server = Server.objects.create(
        organization=row.organization,
        owner=row.organization.owner,
        name="Taken over",
        kind=plan.product.kind,
        plan=plan,
        blueprint=row.blueprint,
        reservation=row,
        cpu_percent=100,
        memory_mib=1024,
        disk_mib=1024,
    )
    ProvisioningStep.objects.create(organization=row.organization, server=server, step=Step.ADOPTED, at=AT)

    assert forecasts(at=AT)[1][0].full_on is None


def test_a_region_with_a_cloud_is_never_full_and_the_cloud_only_by_its_limit(node: Node) -> None:
    reserve(node, days_ago=1)
    cloud = make_node(node.location, is_elastic=True)

    regions, nodes = forecasts(at=AT)
    assert (regions, [each.place for each in nodes]) == ([], [node, cloud])
    Node.objects.filter(pk=cloud.pk).update(max_servers=3, servers_reserved=3)

    regions, nodes = forecasts(at=AT)
    assert (nodes[0].place, nodes[0].kind, nodes[0].full_on) == (cloud, "servers", AT.date())
    assert [each.place for each in regions] == [node.location.region]
