"""Servers that take more than their share of a busy node, and disks that are nearly full, as staff see them."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from servers.live.neighbours import full_disks, noisy_neighbours
from servers.models import Node, Server, UsageBucket
from tests.servers.builders import AT, make_blueprint, make_location, make_node, make_plan, make_provider, make_user
from tests.servers.builders import organization_of as organization

pytestmark = pytest.mark.django_db


def make_used(node: Node, name: str, cpu: int, *, bought: int = 100, disk: int = 0, at: datetime = AT) -> Server:
    """A server of 1000 MiB of disk that used so much CPU in the last quarters of an hour."""
    owner, plan = make_user(), make_plan()
    size = {"memory_mib": 1024, "disk_mib": 1000, "cpu_percent": bought}
    named = {"organization": organization(owner), "owner": owner, "plan": plan, "kind": plan.product.kind}
    blueprint = make_blueprint(node.provider, plan)
    server = Server.objects.create(name=name, blueprint=blueprint, node=node, **named, **size)
    for quarter in (1, 2):
        UsageBucket.objects.create(
            organization=server.organization,
            server=server,
            minutes=15,
            starts_at=at - quarter * timedelta(minutes=15),
            samples=3,
            cpu_sum=Decimal(3 * cpu),
            memory_sum_mib=3,
            disk_mib=disk - (quarter - 1) * 500,  # the newest counts
        )
    return server


@pytest.fixture
def node(db: None) -> Node:
    return make_node(make_location(make_provider()))


def test_who_uses_much_more_than_was_bought_of_a_busy_node_is_named(node: Node) -> None:
    unlimited = make_used(node, "loud", 300, bought=0)  # its plan says 100 %
    make_used(node, "quiet", 20)
    idle = make_node(node.location)
    make_used(idle, "alone on an idle node", 60, bought=100)
    make_used(idle, "its neighbour", 0, bought=400)

    (found,) = noisy_neighbours(at=AT, limit=5)

    assert (found.server_id, found.cpu_percent, found.bought_percent) == (unlimited.pk, 300, 100)
    assert found.share_percent == 188  # 300 of 320 used, 100 of 200 bought
    assert noisy_neighbours(at=AT, limit=5, node=node) == [found]
    assert noisy_neighbours(at=AT, limit=5, node=idle) == []
    assert noisy_neighbours(at=AT + timedelta(hours=2), limit=5) == []


def test_equal_neighbours_are_not_noisy(node: Node) -> None:
    for name in ("a", "b", "c"):
        make_used(node, name, 100)

    assert noisy_neighbours(at=AT, limit=5) == []


def test_a_disk_from_ninety_percent_on_is_nearly_full(node: Node) -> None:
    make_used(node, "almost", 1, disk=899)
    at_limit, fuller = (make_used(node, name, 1, disk=disk) for name, disk in (("at", 900), ("over", 990)))
    Server.objects.filter(pk=make_used(node, "without a limit", 1, disk=9999).pk).update(disk_mib=0)

    with CaptureQueriesContext(connection) as queries:
        found = full_disks(at=AT, limit=5)

    assert [(row.server_id, row.percent) for row in found] == [(fuller.pk, 99), (at_limit.pk, 90)]
    assert len(queries) == 1
