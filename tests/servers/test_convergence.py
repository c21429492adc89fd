"""From paid to running: one server, whatever fails in between."""

from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection

from core import outside, work
from core.models import WorkState
from core.outside import OutsideSession
from sandbox.client import Sandbox
from servers import convergence, events, services
from servers.convergence import provisioning_log
from servers.convergence.context import SOON
from servers.models import (
    Allocation,
    PanelAccount,
    Provider,
    ProvisioningTask,
    Server,
    ServerStatus,
    Step,
)
from tests.servers.actions import control, make_running, panel_servers, request_count, run_until_quiet, steps_of
from tests.servers.builders import AT, make_server, make_user
from tests.servers.test_capacity import in_threads

PURCHASE_STEPS = [Step.PLACED, Step.ACCOUNT, Step.CREATED, Step.INSTALLED, Step.RUNNING]
# When the lease of a killed worker has ended.
LATER = AT + ProvisioningTask.LEASE + timedelta(minutes=2)
CREATE = "POST /api/application/servers"


def assert_one_running(panel: Sandbox, server: Server) -> None:
    """Exactly one server on the panel, ours, and running on both sides."""
    [remote] = panel_servers(panel)
    server = server.reload()
    assert remote["external_id"] == str(server.pk)
    assert (server.status, server.failure, server.ref) == (ServerStatus.RUNNING, "", str(remote["id"]))
    assert remote["status"] is None
    reserved = {port.ref for port in Allocation.objects.filter(reservation=server.reservation)}
    assert reserved == {
        str(each["id"]) for each in panel.panel_state()["allocations"] if each["server_id"] == remote["id"]
    }


def test_a_paid_server_ends_running(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider, name="Acme survival")

    assert steps_of(server) == PURCHASE_STEPS
    assert_one_running(panel, server)
    [remote] = panel_servers(panel)
    primary = Allocation.objects.get(reservation=server.reservation, is_primary=True)
    assert (remote["name"], remote["memory"], remote["disk"], remote["cpu"]) == ("Acme survival", 1024, 5120, 100)
    assert (remote["allocation_limit"], remote["database_limit"], remote["backup_limit"]) == (0, 1, 2)
    assert server.address == primary.address
    assert remote["allocation_id"] == int(primary.ref)
    [owner] = [user for user in panel.panel_state()["users"] if user["id"] == remote["user_id"]]
    assert owner["external_id"] == str(server.owner_id)


def test_converging_a_server_without_differences_only_reads(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    before, log_before = len(panel.requests("pterodactyl")), steps_of(server)

    assert convergence.converge(server_id=server.pk, at=AT) is None

    assert [each["method"] for each in panel.requests("pterodactyl")[before:]] == ["GET"]
    assert steps_of(server) == log_before


FAULTS = [
    {"kind": "lose_answer"},
    {"kind": "drop"},
    {"kind": "hang", "seconds": 0.2},
    {"kind": "delay", "seconds": 0.3},
    {"kind": "html"},
    {"kind": "huge"},
    {"kind": "status", "status": 500},
    {"kind": "status", "status": 502},
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 504},
    {"kind": "status", "status": 401},
    {"kind": "status", "status": 403},
    {"kind": "status", "status": 429, "headers": {"Retry-After": "7"}},
]
CALLS = [
    CREATE,
    "POST /api/application/users",
    "GET /api/application/servers/external/*",
    "GET /api/application/users/external/*",
    "GET /api/client/servers/*",
]


@pytest.mark.parametrize("match", CALLS)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault['kind']}{fault.get('status', '')}")
def test_a_fault_at_any_call_still_ends_in_one_server(
    panel: Sandbox, provider: Provider, match: str, fault: dict[str, Any]
) -> None:
    server = make_server(provider)
    panel.arm("pterodactyl", match, **fault)

    run_until_quiet(AT)

    assert panel.faults()[0]["hits"] == 1
    assert_one_running(panel, server)
    assert len([user for user in panel.panel_state()["users"] if user["external_id"]]) == 1


def test_a_panel_that_refuses_connections_is_tried_until_it_is_back(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    Provider.objects.update(base_url="http://127.0.0.1:9")
    work.run_due(at=AT)
    [task] = ProvisioningTask.objects.all()
    assert (task.state, server.reload().status) == (WorkState.QUEUED, ServerStatus.PENDING)
    assert "no connection" in task.last_error

    Provider.objects.update(base_url=panel.panel_url)
    run_until_quiet(AT)

    assert_one_running(panel, server)


def test_a_panel_that_is_away_for_a_day_fails_a_new_server_until_staff_retry(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_server(provider)
    Server.objects.update(created_at=AT - timedelta(hours=25))
    Provider.objects.update(base_url="http://127.0.0.1:9")
    run_until_quiet(AT)
    assert (ProvisioningTask.objects.get().state, server.reload().status) == (WorkState.QUEUED, ServerStatus.FAILED)
    assert steps_of(server).count(Step.FAILED) == 1

    Provider.objects.update(base_url=panel.panel_url)
    assert services.retry(server_id=server.pk, actor=None, at=AT + timedelta(hours=2))
    run_until_quiet(AT + timedelta(hours=2))

    assert_one_running(panel, server)


def test_after_a_lost_answer_nothing_is_created_for_half_a_minute(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    panel.arm("pterodactyl", CREATE, "drop")

    run_until_quiet(AT, within=timedelta(seconds=25))
    assert request_count(panel, CREATE) == 1
    run_until_quiet(AT)

    assert request_count(panel, CREATE) == 2
    assert_one_running(panel, server)


def test_the_lock_of_a_process_that_ends_is_released(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    with psycopg.connect(**connection.get_connection_params()) as other:
        key = f"servers:server:{server.pk}"
        other.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", [key])
        assert convergence.converge(server_id=server.pk, at=AT) == SOON
        assert panel_servers(panel) == []

    run_until_quiet(AT)

    assert_one_running(panel, server)


class Killed(BaseException):
    """The process ends here."""


class Killer:
    """Ends the process at the nth call."""

    def __init__(self, number: int) -> None:
        self.left = number

    def count_call(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Killed


def run_killed(at: Any) -> bool:
    """Run the work; whether it was killed."""
    try:
        run_until_quiet(at)
    except Killed:
        return True
    return False


@pytest.mark.parametrize("number", range(1, 14))
def test_a_kill_after_any_call_still_ends_in_one_server(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    server = make_server(provider)
    killer, call = Killer(number), OutsideSession.call

    def killing(self: OutsideSession, *args: Any, **options: Any) -> Any:
        try:
            return call(self, *args, **options)
        finally:
            killer.count_call()

    with monkeypatch.context() as patched:
        patched.setattr(OutsideSession, "call", killing)
        was_killed = run_killed(AT)
    assert was_killed or number > 9

    run_until_quiet(LATER)
    assert_one_running(panel, server)
    assert sorted(steps_of(server)) == sorted(PURCHASE_STEPS)


@pytest.mark.parametrize("number", range(1, 22))
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_kill_at_any_log_entry_still_ends_in_one_server(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch, number: int, moment: str
) -> None:
    server = make_server(provider)
    killer, record = Killer(number), provisioning_log.record

    def killing(*args: Any, **options: Any) -> None:
        if moment == "before":
            killer.count_call()
        record(*args, **options)
        if moment == "after":
            killer.count_call()

    with monkeypatch.context() as patched:
        patched.setattr(provisioning_log, "record", killing)
        run_killed(AT)

    run_until_quiet(LATER)
    assert_one_running(panel, server)
    assert sorted(steps_of(server)) == sorted(PURCHASE_STEPS)


def test_many_workers_at_once_make_one_server(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    control(panel, "settings", {"race_delay_ms": 30})

    def converge(_number: int) -> None:
        for _ in range(6):
            convergence.converge(server_id=server.pk, at=AT)

    outcomes = in_threads(converge, 6, workers=6)
    run_until_quiet(AT)

    assert outcomes == [None] * 6
    assert request_count(panel, CREATE) == 1
    assert_one_running(panel, server)


def test_many_customers_at_once_get_one_account_each(panel: Sandbox, provider: Provider) -> None:
    owners = [make_user() for _ in range(4)]
    servers = [make_server(provider, owner=owner) for owner in owners for _ in range(2)]
    control(panel, "settings", {"race_delay_ms": 20})

    in_threads(lambda number: convergence.converge(server_id=servers[number].pk, at=AT), 8, workers=8)
    run_until_quiet(AT)

    assert [task.last_error for task in ProvisioningTask.objects.all()] == [""] * 8
    assert len(panel_servers(panel)) == 8
    accounts = [user["external_id"] for user in panel.panel_state()["users"] if user["external_id"]]
    assert sorted(accounts) == sorted(str(owner.pk) for owner in owners)


def test_a_port_that_the_panel_assigned_elsewhere_is_replaced(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    lost = Allocation.objects.get(reservation=server.reservation)
    make_foreign_server(panel, provider, allocation=lost.ref)

    run_until_quiet(AT)

    server = server.reload()
    taken = Allocation.objects.get(pk=lost.pk)
    assert (server.status, taken.is_taken_elsewhere, taken.reservation) == (ServerStatus.RUNNING, True, None)
    replacement = Allocation.objects.get(reservation=server.reservation)
    assert (replacement.node, replacement.is_primary, server.port) == (lost.node, True, replacement.port)


def make_foreign_server(panel: Sandbox, provider: Provider, *, allocation: str, external_id: str = "foreign") -> int:
    """A server that an admin created on the panel; its id."""
    keys = provider.credentials
    session = OutsideSession(
        "test",
        f"{panel.panel_url}/api/application",
        {"Accept": "application/json", "Authorization": f"Bearer {keys['application_key']}"},
    )
    egg = session.call("GET", "/nests/1/eggs/39", params={"include": "variables"}).body["attributes"]
    variables = [each["attributes"] for each in egg["relationships"]["variables"]["data"]]
    body = {
        "external_id": external_id,
        "name": "By hand",
        "user": 1,
        "egg": 39,
        "docker_image": egg["docker_image"],
        "startup": egg["startup"],
        "environment": {each["env_variable"]: each["default_value"] for each in variables},
        "limits": {"memory": 2048, "swap": 0, "disk": 10240, "io": 500, "cpu": 0},
        "feature_limits": {"databases": 0, "backups": 0},
        "allocation": {"default": int(allocation)},
    }
    return int(session.call("POST", "/servers", json=body).body["attributes"]["id"])


def test_another_users_account_is_never_taken_over(panel: Sandbox, provider: Provider) -> None:
    owner = make_user("shared@example.com")
    session = OutsideSession(
        "test",
        f"{panel.panel_url}/api/application",
        {"Accept": "application/json", "Authorization": f"Bearer {provider.credentials['application_key']}"},
    )
    names = {"username": "another", "first_name": "A", "last_name": "B", "password": "x" * 12}
    session.call("POST", "/users", json={"email": "Shared@example.com", **names})
    server = make_server(provider, owner=owner)

    run_until_quiet(AT)

    server = server.reload()
    assert server.status == ServerStatus.FAILED
    assert "email address" in server.failure
    assert panel_servers(panel) == []
    assert not PanelAccount.objects.exists()


def test_an_event_whose_receiver_fails_is_not_recorded(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)

    def refuse(**_: Any) -> None:
        raise outside.Unavailable("the order's table is locked")

    events.servers_running.connect(refuse)
    try:
        run_until_quiet(AT, within=timedelta(seconds=30))
    finally:
        events.servers_running.disconnect(refuse)
    assert (server.reload().running_at, Step.RUNNING in steps_of(server)) == (None, False)

    run_until_quiet(AT)
    assert_one_running(panel, server)


def test_a_request_during_the_work_makes_it_run_again(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_running(provider)
    services.request_convergence(server_ids=[server.pk], at=AT)
    find, requests = type(driver_of(provider)).find, iter([True])

    def request_then_find(self: Any, *arguments: Any) -> Any:
        remote = find(self, *arguments)
        if next(requests, False):
            services.rename_server(server=server, name="Renamed meanwhile", actor=None, at=AT)
        return remote

    monkeypatch.setattr(type(driver_of(provider)), "find", request_then_find)
    run_until_quiet(AT)

    assert panel_servers(panel)[0]["name"] == "Renamed meanwhile"
    assert not ProvisioningTask.objects.exclude(state=WorkState.DONE).exists()


def driver_of(provider: Provider) -> Any:
    """The provider's driver."""
    from servers.drivers import registry

    return registry.driver_of(provider)
