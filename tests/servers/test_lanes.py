"""A provider or node that hangs keeps some workers, never all: how many work for one is limited for all processes."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from core import work
from core.management.commands.worker import Command
from servers.models import Node, PowerTask, Provider, ProvisioningTask, Server, ServerStatus, UsageTask
from tests.servers.builders import (
    AT,
    make_blueprint,
    make_location,
    make_node,
    make_provider,
    make_server,
)
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db(transaction=True)
MANY = 10_000
MANY_SERVERS = f"""
    INSERT INTO servers_server SELECT copy.* FROM servers_server AS one, generate_series(1, {MANY}) AS n,
        jsonb_build_object('id', md5(one.id::text || n)::uuid, 'reservation_id', NULL) AS changed,
        jsonb_populate_record(one, changed) AS copy
    WHERE one.id = %s"""
MANY_TASKS = """
    INSERT INTO servers_provisioningtask
        (id, organization_id, server_id, provider_id, node_id, state, attempts, last_error, is_requested_again, run_at)
    SELECT uuidv7(), server.organization_id, server.id, task.provider_id, server.node_id, 'queued', 0, '', false, %s
    FROM servers_server AS server JOIN servers_provisioningtask AS task ON task.server_id = %s
    WHERE server.reservation_id IS NULL"""
LANE_LIMIT = ProvisioningTask.LANE.limits["provider_id"]


def make_waiting(provider: Provider, number: int) -> list[Server]:
    """Servers that wait to be converged, each on a node of its own."""
    nodes = [make_far_node(provider) for _ in range(number)]
    return [make_server(provider, location=node.location, blueprint=make_blueprint(provider)) for node in nodes]


def make_far_node(provider: Provider) -> Node:
    """A node in a region of its own, so that placement has no choice."""
    return make_node(make_location(provider, f"r{Node.objects.count()}"))


def make_live(model: type[PowerTask | UsageTask], node: Node, at: datetime = AT) -> Any:
    """A server on the node, of which the figures or a power action are due."""
    server = make_server(node.provider, location=node.location, blueprint=make_blueprint(node.provider))
    Server.objects.filter(pk=server.pk).update(status=ServerStatus.RUNNING, identifier="1fe9549c")
    of_usage, of_power = {"watched_until": at + timedelta(hours=1)}, {"action": "stop", "requested_at": at}
    values = of_usage if model is UsageTask else of_power
    owner = {"organization_id": server.organization_id, "provider_id": node.provider_id}
    with transaction.atomic():
        return model.request(server, at=at, node_id=node.pk, **owner, **values)


def test_workers_that_claim_at_once_leave_the_others_to_other_providers() -> None:
    hanging, healthy = make_provider(), make_provider()
    make_waiting(hanging, 6)
    claimed: list[ProvisioningTask] = []

    errors = run_at_once(lambda: claimed.extend(ProvisioningTask.claim(limit=1, at=AT)), times=6)

    assert errors == []
    assert len(claimed) == LANE_LIMIT
    [server] = make_waiting(healthy, 1)
    assert [task.server_id for task in ProvisioningTask.claim(limit=5, at=AT)] == [server.pk]
    assert ProvisioningTask.claim(limit=5, at=AT) == []


def test_a_lane_is_free_again_when_its_work_ends_or_its_worker_is_lost() -> None:
    make_waiting(make_provider(), 5)
    claimed = [ProvisioningTask.claim(limit=1, at=AT)[0] for _ in range(LANE_LIMIT)]
    assert ProvisioningTask.claim(limit=1, at=AT) == []

    claimed[0].requeue(run_at=AT + ProvisioningTask.LEASE)
    assert len(ProvisioningTask.claim(limit=1, at=AT)) == 1

    assert len(ProvisioningTask.claim(limit=1, at=AT + 2 * ProvisioningTask.LEASE)) == 1


def test_a_node_that_hangs_leaves_workers_to_the_other_nodes_of_its_provider() -> None:
    provider = make_provider()
    hanging, healthy = make_far_node(provider), make_far_node(provider)
    for model in (UsageTask, UsageTask, PowerTask, PowerTask):
        make_live(model, hanging)
    usage, power = make_live(UsageTask, healthy), make_live(PowerTask, healthy)
    ProvisioningTask.objects.filter(server__node=hanging).update(run_at=AT)
    ProvisioningTask.objects.exclude(server__node=hanging).update(run_at=AT + ProvisioningTask.LEASE)

    [claimed] = PowerTask.claim(limit=5, at=AT)
    assert claimed.node_id == hanging.pk
    assert [task.pk for task in UsageTask.claim(limit=5, at=AT)] == [usage.pk]
    assert PowerTask.claim(limit=5, at=AT) == []
    UsageTask.objects.get(state="running").requeue(run_at=AT + UsageTask.LEASE)
    assert [task.pk for task in PowerTask.claim(limit=5, at=AT)] == [power.pk]

    converging = [task for _ in range(3) for task in ProvisioningTask.claim(limit=5, at=AT)]
    assert len(converging) == ProvisioningTask.LANE.limits["node_id"] < LANE_LIMIT


def test_a_claim_counts_the_workers_of_lanes_once_however_many_rows_are_due() -> None:
    hanging, healthy = make_provider(), make_provider()
    [server, *_] = make_waiting(hanging, LANE_LIMIT)
    for _ in range(LANE_LIMIT):
        ProvisioningTask.claim(limit=1, at=AT)
    with connection.cursor() as cursor:
        cursor.execute(MANY_SERVERS, [server.pk])
        cursor.execute(MANY_TASKS, [AT - ProvisioningTask.LEASE, server.pk])
        cursor.execute("SET ROLE NONE")
        cursor.execute("ANALYZE servers_provisioningtask")
        cursor.execute("SET ROLE nodebyte_worker")
    [waiting] = make_waiting(healthy, 1)

    with CaptureQueriesContext(connection) as queries:
        [claimed] = ProvisioningTask.claim(limit=1, at=AT)
    [claim] = [each["sql"] for each in queries if "UPDATE" in each["sql"]]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {claim}")
        [[[plan]]] = cursor.fetchall()
        transaction.set_rollback(True)

    assert claimed.server_id == waiting.pk
    nodes = list(nodes_of(plan["Plan"]))
    assert max(node.get("Rows Removed by Filter", 0) for node in nodes) >= MANY  # it had them all before it
    assert max(node["Actual Loops"] for node in nodes) == 1
    assert "servers_provisioningtask_lease" in {node.get("Index Name") for node in nodes}


def nodes_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The nodes of a query's plan."""
    yield plan
    for part in plan.get("Plans", []):
        yield from nodes_of(part)


def test_one_provider_cannot_keep_every_thread_of_a_worker() -> None:
    lanes = {model.LANE for model in work.registered() if model.LANE is not None}
    parser = Command().create_parser("manage.py", "worker")

    assert {lane.name for lane in lanes} == {"provisioning", "live", "hytale"}
    assert parser.get_default("threads") > sum(next(iter(lane.limits.values())) for lane in lanes)
