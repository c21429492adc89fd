"""Claims of work beside a lane that is full: a big panel does not answer, and everything about its servers is due."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from django.db import connection, transaction

from accounts.models import User
from bench.environment import VAR, Environment
from bench.report import Row
from bench.timing import medians_ms
from catalog.models import Plan
from core import embedded
from core.postgresql import logins
from nodebyte.seeding import users
from servers.models import Blueprint, ProvisioningTask, Server

FEW, MANY = 1_000, 10_000
TIMES = 9
NAME = "bench lane"
COPIES = """
    INSERT INTO servers_server SELECT copy.* FROM servers_server AS one, generate_series(1, %s) AS n,
        jsonb_build_object('id', md5(one.id::text || n)::uuid) AS changed, jsonb_populate_record(one, changed) AS copy
    WHERE one.id = %s"""
TASKS = """
    INSERT INTO servers_provisioningtask (id, organization_id, server_id, provider_id, state, attempts, lease_until,
        last_error, is_requested_again, run_at)
    SELECT uuidv7(), organization_id, id, %(provider)s, CASE WHEN n <= %(limit)s THEN 'running' ELSE 'queued' END, 0,
        CASE WHEN n <= %(limit)s THEN now() + interval '1 hour' END, '', false, now() - interval '1 minute'
    FROM (SELECT *, row_number() OVER () AS n FROM servers_server WHERE name = %(name)s) AS server"""
# What a claim did before: it counted the lane's workers for each row that is due.
COUNTED_FOR_EACH = """
    SELECT id FROM servers_provisioningtask AS item
    WHERE ((state = 'queued' AND run_at <= now()) OR (state = 'running' AND lease_until <= now()))
        AND %s > (SELECT count(*) FROM servers_provisioningtask AS busy WHERE busy.provider_id = item.provider_id
            AND busy.state = 'running' AND busy.lease_until > now())
    ORDER BY run_at LIMIT 1 FOR UPDATE SKIP LOCKED"""


def measure(_environment: Environment) -> Iterator[Row]:
    """A claim that finds nothing, because the only lane is full."""
    found = {}
    for count in (FEW, MANY):
        with _full_lane(count):
            found[count] = medians_ms({"ours": _claim, "each": _counted_for_each}, times=TIMES)
    for count, milliseconds in found.items():
        against = f"{FEW:,} rows"
        each, ours = milliseconds["each"], milliseconds["ours"]
        yield Row(f"claim beside {count:,} rows of a full lane", ours, "ms", ours / found[FEW]["ours"], against)
        yield Row(f"the same, workers counted for each of {count:,} rows", each, "ms", each / ours, "counted once")


def _claim() -> None:
    """A claim as it is now; nothing is free."""
    assert ProvisioningTask.claim(limit=1) == []


def _counted_for_each() -> None:
    """A claim as it was before."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(COUNTED_FOR_EACH, [ProvisioningTask.LANE.limits["provider_id"]])
        assert cursor.fetchone() is None


@contextmanager
def _full_lane(count: int) -> Iterator[None]:
    """Servers of one provider whose tasks are all due, of which as many run as may."""
    owner = User.objects.get(email=users.CUSTOMER_EMAIL)
    blueprint, plan = Blueprint.objects.order_by("pk")[0], Plan.objects.select_related("product").order_by("pk")[0]
    one = Server.objects.create(
        organization=owner.owned_organizations.get(is_personal=True),
        owner=owner,
        name=NAME,
        kind=plan.product.kind,
        blueprint=blueprint,
        plan=plan,
        cpu_percent=plan.cpu_percent,
        memory_mib=plan.memory_mib,
        disk_mib=plan.disk_mib,
    )
    limit = ProvisioningTask.LANE.limits["provider_id"]
    with connection.cursor() as cursor:
        cursor.execute(COPIES, [count - 1, one.pk])
        cursor.execute(TASKS, {"provider": blueprint.provider_id, "limit": limit, "name": NAME})
    with psycopg.connect(embedded.url(VAR, logins.OWNER), autocommit=True) as administrator:
        administrator.execute("ANALYZE servers_provisioningtask")
    yield
    ProvisioningTask.objects.filter(server__name=NAME).delete()
    Server.objects.filter(name=NAME).delete()
