"""What customers and other apps use: services, power, usage, lists, and the tasks behind them."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from accounts.models import Role
from accounts.permissions import Access
from core import tenancy, work
from core.models import AuditEntry, WorkState
from sandbox.client import Sandbox
from servers import capacity, queries, services, tasks
from servers.models import (
    Blueprint,
    Location,
    Node,
    Provider,
    ProvisioningTask,
    Reservation,
    Server,
    ServerStatus,
    ServerVariable,
)
from tests.servers.actions import make_running, run_until_quiet
from tests.servers.builders import (
    AT,
    SMALL,
    connect_panel,
    make_blueprint,
    make_location,
    make_node,
    make_plan,
    make_provider,
    make_reservation,
    make_server,
    make_user,
    organization_of,
    region_of,
)


def make_unreachable_server(**fields: Any) -> Server:
    """A server of a panel that cannot be reached."""
    provider = make_provider()
    location = make_location(provider)
    make_node(location)
    plan = make_plan()
    return make_server(provider, plan=plan, blueprint=make_blueprint(provider, plan), location=location, **fields)


@pytest.mark.django_db
def test_a_server_is_created_once_for_a_reservation() -> None:
    server = make_unreachable_server(variables={"A": "1"})

    [again] = services.create_servers(
        [
            services.NewServer(
                organization=server.organization,
                owner=server.owner,
                name="Another",
                plan=server.plan,
                size=SMALL,
                reservation=Reservation.objects.get(server=server),
                databases=0,
                backups=0,
                variables={"A": "2"},
            )
        ],
        at=AT,
    ).values()

    assert (again, Server.objects.count(), ProvisioningTask.objects.count()) == (server, 1, 1)
    assert ServerVariable.objects.get().value == "1"


@pytest.mark.django_db
def test_a_reservation_that_is_not_confirmed_gets_no_server() -> None:
    provider = make_provider()
    location = make_location(provider)
    make_node(location)
    plan, owner = make_plan(), make_user()
    blueprint = make_blueprint(provider, plan)
    reservation = make_reservation(blueprint, location)

    for _ in range(2):
        with pytest.raises(services.CapacityNotConfirmed):
            services.create_servers(
                [
                    services.NewServer(
                        organization=organization_of(owner),
                        owner=owner,
                        name="x",
                        plan=plan,
                        size=SMALL,
                        reservation=reservation,
                        databases=0,
                        backups=0,
                        variables={},
                    )
                ],
                at=AT,
            )
        capacity.release(reservation_ids=[reservation.pk], at=AT)


@pytest.mark.django_db
def test_requests_share_one_task_and_the_earliest_instant_counts() -> None:
    server = make_unreachable_server()
    ProvisioningTask.objects.update(run_at=AT + timedelta(hours=1), attempts=5)

    for minutes in (5, 3, 9):
        services.request_convergence(server_ids=[server.pk], at=AT + timedelta(minutes=minutes))

    task = ProvisioningTask.objects.get()
    assert (task.run_at, task.attempts) == (AT + timedelta(minutes=3), 0)


@pytest.mark.django_db
def test_a_request_while_the_task_runs_is_kept_however_the_task_ends() -> None:
    server = make_unreachable_server()
    endings = [
        lambda task: task.finish(at=AT),
        lambda task: task.mark_dead(at=AT, reason="no"),
        lambda task: task.requeue(run_at=AT + timedelta(days=1)),
    ]
    for end in endings:
        [task] = ProvisioningTask.claim(limit=1, at=AT)
        services.request_convergence(server_ids=[server.pk], at=AT)
        assert end(task)
        task = ProvisioningTask.objects.get()
        assert (task.state, task.is_requested_again, task.run_at) == (WorkState.QUEUED, False, AT)


@pytest.mark.django_db
def test_a_failure_is_retried_only_where_something_failed() -> None:
    server = make_unreachable_server()

    assert not services.retry(server_id=server.pk, actor=None, at=AT)
    Server.objects.update(status=ServerStatus.FAILED, failure="x")
    assert services.retry(server_id=server.pk, actor=server.owner, at=AT)

    assert (server.reload().status, server.reload().failure) == (ServerStatus.PENDING, "")
    assert AuditEntry.objects.filter(action="server.retry", actor=server.owner).exists()


@pytest.mark.django_db
def test_a_customer_who_may_only_read_can_reserve_capacity_and_see_where_there_is_some() -> None:
    provider = make_provider()
    location = make_location(provider)
    make_node(location)
    blueprint, owner = make_blueprint(provider), make_user()
    organization = organization_of(owner)

    with tenancy.as_role(role=tenancy.CUSTOMER, user_id=owner.pk, organizations=[organization.pk]):
        reservation = make_reservation(blueprint, location, organization=organization)
        region = region_of(location)
        assert capacity.availability(sizes={"s": SMALL}, blueprints={"s": [blueprint]}) == {region.pk: {"s"}}
        assert queries.regions_for_sale() == [region]
        assert queries.regions_of(Blueprint.objects.all()) == [region]
        assert list(queries.blueprints_of(blueprint.product)) == [blueprint]

    assert reservation.organization == organization


@pytest.mark.django_db
def test_a_list_shows_the_organizations_own_servers_without_more_queries(
    django_assert_num_queries: Any,
) -> None:
    mine = make_unreachable_server(name="b")
    make_unreachable_server(name="another")
    deleted = make_unreachable_server(name="deleted", owner=mine.owner)
    Server.objects.filter(pk=deleted.pk).update(status=ServerStatus.DELETED, deleted_at=AT)

    access = Access(mine.owner_id, {mine.organization_id: Role.OWNER})
    with django_assert_num_queries(1):
        [row] = queries.listed_servers(access, mine.organization)
        values = tuple(getattr(row, name) for name in ("name", "region_name", "plan_name", "node_name"))

    assert values == ("b", "EU", "Small", Node.objects.get(servers=mine).name)


@pytest.mark.django_db
def test_a_blueprint_with_chosen_regions_is_sold_only_there() -> None:
    provider = make_provider()
    here, there = make_location(provider, "here"), make_location(provider, "there")
    for location in (here, there):
        make_node(location)
    make_location(provider, "empty")
    blueprint = make_blueprint(provider)
    blueprint.regions.add(region_of(there))

    assert queries.regions_for_sale() == [region_of(there)]
    make_blueprint(provider)
    assert queries.regions_for_sale() == [region_of(here), region_of(there)]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "closed", [{"is_enabled": False}, {"is_present": False}, {"is_draining": True}, {"is_in_maintenance": True}]
)
def test_a_region_is_offered_only_while_a_node_of_it_may_be_sold(closed: dict[str, bool]) -> None:
    provider = make_provider()
    location = make_location(provider)
    make_node(location, **closed)
    make_blueprint(provider)

    assert queries.regions_for_sale() == []


def test_a_wrong_key_fails_no_server(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    right = provider.credentials
    provider.credentials = {"application_key": "ptla_wrong", "client_key": "ptlc_wrong"}
    provider.save()
    run_until_quiet(AT, within=timedelta(minutes=10))
    assert server.reload().status == ServerStatus.PENDING

    provider.credentials = right
    provider.save()
    run_until_quiet(AT, within=timedelta(hours=3))

    assert server.reload().status == ServerStatus.RUNNING


def test_the_celery_tasks_and_the_command(panel: Sandbox, provider: Provider) -> None:
    make_running(provider)

    assert tasks.sync_inventory() == 1
    assert tasks.sync_provider(str(provider.pk)) == "completed"
    Server.objects.update(observed_at=AT - timedelta(days=400))
    assert (tasks.recheck_servers(), tasks.recheck_servers()) == (1, 0)
    assert ProvisioningTask.objects.count() == 1
    out = StringIO()
    call_command("recheck_servers", minutes=0, stdout=out)
    assert out.getvalue().startswith("0 ")
    assert work.run_due(at=AT + timedelta(days=9999)) == 1


def test_two_panels_can_be_used_at_once(panel: Sandbox, provider: Provider) -> None:
    other = connect_panel(panel)
    owner = make_user()

    make_running(provider, owner=owner)
    Location.objects.filter(provider=other).first()

    assert provider.accounts.count() == 1
    assert other.accounts.count() == 0
