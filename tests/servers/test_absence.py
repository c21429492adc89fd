"""What the panel no longer shows: an erased id, one server that is gone, all of them at once."""

from datetime import timedelta

import pytest

from core import work
from core.models import AuditEntry, WorkState
from sandbox.client import Sandbox
from servers import convergence, inventory, services
from servers.capacity.availability import placeable
from servers.convergence import absence
from servers.drivers.pterodactyl.client import PanelClient
from servers.locks import advisory_lock
from servers.models import (
    DriftFinding,
    DriftKind,
    HoldKind,
    Node,
    Provider,
    ProvisioningTask,
    Server,
    ServerStatus,
    SyncKind,
    SyncState,
)
from support.models import Delivery
from tests.servers.actions import control, make_running, panel_servers, request_count, run_until_quiet
from tests.servers.builders import AT, make_server, make_user
from tests.servers.test_capacity import in_threads

CREATE = "POST /api/application/servers"
HOUR = timedelta(hours=1)


def erase_key(provider: Provider, server: Server, key: str = "") -> None:
    """An admin saves the server's details on the panel without our id, or with another."""
    body = {"name": server.name, "user": int(server.observed["facts"]["account_ref"])}
    if key:
        body["external_id"] = key
    PanelClient(provider).write("PATCH", f"/servers/{server.ref}/details", body)


def delete_on_panel(provider: Provider, server: Server) -> None:
    """An admin deletes the server."""
    PanelClient(provider).write("DELETE", f"/servers/{server.ref}")


def look(server: Server) -> Server:
    """Have the server converged. Not for long: the panel counts calls by the real clock."""
    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT, within=timedelta(minutes=3))
    return server.reload()


def test_an_erased_key_is_put_back(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    erase_key(provider, server)
    assert panel_servers(panel)[0]["external_id"] is None

    assert look(server).status == ServerStatus.RUNNING

    assert [each["external_id"] for each in panel_servers(panel)] == [str(server.pk)]
    assert request_count(panel, CREATE) == 1


@pytest.mark.parametrize("key", [None, "foo"], ids=["erased", "changed"])
def test_a_key_that_is_erased_before_the_lost_answer_is_looked_for_makes_no_second_server(
    panel: Sandbox, provider: Provider, key: str | None
) -> None:
    panel.arm("pterodactyl", CREATE, "lose_answer", times=1)
    server = make_server(provider)
    run_until_quiet(AT, within=timedelta(seconds=1))
    [remote] = panel_servers(panel)
    assert (server.reload().ref, remote["external_id"]) == ("", str(server.pk))
    body = {"name": "renamed", "user": remote["user_id"], "external_id": key}
    PanelClient(provider).write("PATCH", f"/servers/{remote['id']}/details", body)

    run_until_quiet(AT + timedelta(minutes=1))

    assert [each["external_id"] for each in panel_servers(panel)] == [str(server.pk)]
    assert (server.reload().status, request_count(panel, CREATE)) == (ServerStatus.RUNNING, 1)


@pytest.mark.parametrize("key", ["", "foo"], ids=["erased", "changed"])
def test_a_server_whose_key_is_not_ours_is_suspended_and_deleted(panel: Sandbox, provider: Provider, key: str) -> None:
    server = make_running(provider)
    erase_key(provider, server, key)
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.BILLING, reason="unpaid", actor=None, at=AT)
    run_until_quiet(AT)
    assert panel_servers(panel)[0]["status"] == "suspended"

    erase_key(provider, server, key)
    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, panel_servers(panel)) == (ServerStatus.DELETED, [])


def test_a_server_that_is_gone_fails_and_is_never_made_again_without_a_person(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider)
    delete_on_panel(provider, server)
    assert look(server).status == ServerStatus.FAILED

    for _ in range(2):
        convergence.request_recheck(at=AT + 2 * HOUR)
        run_until_quiet(AT + 2 * HOUR)

    assert (server.reload().status, request_count(panel, CREATE)) == (ServerStatus.FAILED, 1)


def test_a_request_while_the_failing_task_runs_is_not_a_persons_retry(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    delete_on_panel(provider, server)
    services.request_convergence(server_ids=[server.pk], at=AT)
    [task] = ProvisioningTask.claim(limit=1, at=AT)
    services.request_convergence(server_ids=[server.pk], at=AT)  # such as a hold that is placed just then
    work.run_item(task, at=AT)
    assert ProvisioningTask.objects.get().state == WorkState.QUEUED

    run_until_quiet(AT)

    assert (server.reload().status, panel_servers(panel)) == (ServerStatus.FAILED, [])


def test_a_failed_install_is_not_repeated_because_of_a_request_at_the_same_time(
    panel: Sandbox, provider: Provider
) -> None:
    control(panel, "settings", {"install_outcome": "fail"})
    server = make_server(provider)
    run_until_quiet(AT, within=timedelta(milliseconds=500))
    assert server.reload().status == ServerStatus.INSTALLING
    at = AT + timedelta(minutes=1)
    [task] = ProvisioningTask.claim(limit=1, at=at)
    services.request_convergence(server_ids=[server.pk], at=at)
    work.run_item(task, at=at)

    run_until_quiet(at)

    assert server.reload().status == ServerStatus.FAILED
    assert request_count(panel, "POST /api/application/servers/*/reinstall") == 0


def test_a_dead_task_that_staff_queue_again_makes_nothing_anew(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    delete_on_panel(provider, server)
    look(server)
    work.retry(list(ProvisioningTask.objects.all()), at=AT)

    run_until_quiet(AT)

    assert (server.reload().status, panel_servers(panel)) == (ServerStatus.FAILED, [])


def test_a_server_that_is_back_before_it_is_made_again_is_kept_as_it_is(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    ref = server.ref
    erase_key(provider, server, "foo")
    Server.objects.filter(pk=server.pk).update(ref="999", identifier="gone")
    assert look(server).status == ServerStatus.FAILED
    services.retry(server_id=server.pk, actor=None, at=AT)
    server.ref = ref
    erase_key(provider, server, str(server.pk))  # the panel's database was put back

    run_until_quiet(AT)

    found = server.reload()
    assert (found.status, found.ref, found.recreate_asked_at) == (ServerStatus.RUNNING, ref, None)
    assert request_count(panel, CREATE) == 1
    assert request_count(panel, "POST /api/application/servers/*/reinstall") == 0


def test_many_servers_that_are_gone_do_not_fail_one_after_another(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(absence, "SAMPLE", 1)  # each look finds one that is there
    servers = [make_running(provider) for _ in range(6)]
    kept, gone = servers[:2], servers[2:]
    for server in gone:
        delete_on_panel(provider, server)
    for number, server in enumerate(gone):
        Server.objects.filter(pk__in=[one.pk for one in kept]).update(observed_at=AT + timedelta(minutes=9))
        services.request_convergence(server_ids=[server.pk], at=AT + timedelta(minutes=2 * number))
        run_until_quiet(AT + timedelta(minutes=2 * number), within=timedelta(seconds=1))

    assert Server.objects.filter(status=ServerStatus.FAILED).count() == 1
    assert provider.reload().suspected_at is not None


def test_a_panel_without_any_of_our_servers_is_suspected_and_nothing_is_changed(
    panel: Sandbox, provider: Provider
) -> None:
    servers = [make_running(provider) for _ in range(3)]
    known = [server.ref for server in servers]
    Server.objects.update(ref="99999")  # as if another panel answered at the address
    hide_keys(provider, known)
    new = make_server(provider)
    ProvisioningTask.objects.filter(server=new).update(run_at=AT + timedelta(seconds=1))  # after the panel is suspected
    log_before = AuditEntry.objects.filter(action="provider.suspect").count()
    staff = make_user("staff@example.com", is_staff=True, is_superuser=True)

    for server in servers:
        services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT, within=timedelta(minutes=10))

    assert {server.reload().status for server in servers} == {ServerStatus.RUNNING}
    assert Provider.objects.get(pk=provider.pk).suspected_at is not None
    assert AuditEntry.objects.filter(action="provider.suspect").count() == log_before + 1
    finding = DriftFinding.objects.get(kind=DriftKind.MISSING, closed_at=None)
    [told] = Delivery.objects.filter(event="provider.suspected")
    assert (told.user, told.reference) == (staff, f"provider.suspected:{finding.pk}")
    assert "not found / asked about: 3 / 3" in str(told.body)

    assert not placeable(Node.objects.all()).exists()
    run = inventory.sync(provider_id=provider.pk, at=AT + HOUR / 2)
    assert (run.state, "misses many" in run.error) == (SyncState.FAILED, True)
    assert inventory.sync(provider_id=provider.pk, kind=SyncKind.EGGS, at=AT + HOUR / 2).state == SyncState.FAILED
    services.request_convergence(server_ids=[new.pk], at=AT)
    run_until_quiet(AT, within=timedelta(minutes=10))
    assert (new.reload().ref, len(panel_servers(panel))) == ("", 3)

    for server, ref in zip(servers, known, strict=True):
        Server.objects.filter(pk=server.pk).update(ref=ref)
    for server in servers:
        services.request_convergence(server_ids=[server.pk], at=AT + HOUR)
    run_until_quiet(AT + HOUR)

    assert {server.reload().status for server in servers} == {ServerStatus.RUNNING}
    assert Provider.objects.get(pk=provider.pk).suspected_at is None
    assert finding.reload().closed_at is not None
    assert len(panel_servers(panel)) == 4  # the new one was created when the panel had the others again


def test_another_panel_is_suspected_for_one_server_too(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    ref, name = server.ref, Node.objects.get(servers=server).name
    Server.objects.update(ref="99999")
    hide_keys(provider, [ref])
    Node.objects.update(name="of another panel")

    assert inventory.sync(provider_id=provider.pk, at=AT + HOUR).state == SyncState.FAILED
    assert provider.reload().suspected_at is not None
    assert set(Node.objects.values_list("name", flat=True)) == {"of another panel"}

    Node.objects.update(name=name)
    assert inventory.sync(provider_id=provider.pk, at=AT + 2 * HOUR).state == SyncState.COMPLETED
    assert provider.reload().suspected_at is None


def hide_keys(provider: Provider, refs: list[str]) -> None:
    """No server of the panel has our key."""
    for server, ref in zip(Server.objects.order_by("pk"), sorted(refs, key=int), strict=True):
        body = {"name": server.name, "user": int(server.observed["facts"]["account_ref"])}
        PanelClient(provider).write("PATCH", f"/servers/{ref}/details", body)


def test_a_deletion_at_a_suspected_panel_keeps_the_capacity(panel: Sandbox, provider: Provider) -> None:
    servers = [make_running(provider) for _ in range(2)]
    known = [server.ref for server in servers]
    Server.objects.update(ref="99999")
    hide_keys(provider, known)

    services.delete_servers(server_ids=[servers[0].pk], actor=None, at=AT)
    run_until_quiet(AT, within=timedelta(minutes=5))

    assert servers[0].reload().status != ServerStatus.DELETED
    assert sum(Node.objects.values_list("servers_reserved", flat=True)) == 2


def test_staff_who_accept_that_servers_are_gone_see_them_fail(panel: Sandbox, provider: Provider) -> None:
    servers = [make_running(provider) for _ in range(2)]
    for server in servers:
        delete_on_panel(provider, server)
    assert {look(server).status for server in servers} == {ServerStatus.RUNNING}

    services.accept_missing_servers(provider_id=provider.pk, actor=None, at=AT)

    assert {look(server).status for server in servers} == {ServerStatus.FAILED}


def test_a_failed_server_that_is_there_again_runs_again(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    Server.objects.filter(pk=server.pk).update(status=ServerStatus.FAILED, failure="gone", vanished_at=AT)

    assert convergence.request_recheck(at=AT + 2 * HOUR) == 1
    run_until_quiet(AT + 2 * HOUR)

    server = server.reload()
    assert (server.status, server.failure, server.vanished_at) == (ServerStatus.RUNNING, "", None)


def test_the_other_servers_are_asked_about_without_the_servers_lock(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, *_others = [make_running(provider) for _ in range(2)]
    delete_on_panel(provider, server)
    others_of, was_free = absence.others_of, []

    def is_free(_number: int) -> bool:
        with advisory_lock(f"server:{server.pk}") as is_locked:
            return is_locked

    def looking(asked: Server) -> object:
        was_free.extend(in_threads(is_free, 1, 1))
        return others_of(asked)

    monkeypatch.setattr(absence, "others_of", looking)

    assert look(server).status == ServerStatus.FAILED
    assert was_free == [True]
