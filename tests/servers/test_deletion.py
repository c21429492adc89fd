"""Deletion, servers that disappeared from the panel, and changes to a running server."""

from datetime import timedelta

import pytest

from core.models import AuditEntry
from sandbox.client import Sandbox
from servers import services
from servers.models import Allocation, Node, Provider, Reservation, ReservationState, Server, ServerStatus, Step
from tests.servers.actions import control, make_running, panel_servers, request_count, run_until_quiet, steps_of
from tests.servers.builders import AT, make_server, make_user

DELETE = "DELETE /api/application/servers"
CREATE = "POST /api/application/servers"


def delete(server: Server, within: timedelta = timedelta(hours=1)) -> None:
    """Delete the server and run the work."""
    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT, within=within)


def reservation_state(server: Server) -> str:
    """The state of the server's reservation."""
    return Reservation.objects.get(server=server).state


def assert_gone(panel: Sandbox, server: Server) -> None:
    """Nothing on the panel, nothing reserved here."""
    server = server.reload()
    assert (server.status, reservation_state(server)) == (ServerStatus.DELETED, ReservationState.RELEASED)
    assert not Node.objects.exclude(memory_reserved_mib=0).exists()
    assert panel_servers(panel) == []
    assert not Allocation.objects.filter(reservation__isnull=False).exists()
    assert steps_of(server)[-1] == Step.DELETED


def test_a_deleted_server_leaves_the_panel_and_then_its_capacity_is_released(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider)
    delete(server)
    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT)

    assert_gone(panel, server)
    assert AuditEntry.objects.filter(action="server.delete").count() == 1


@pytest.mark.parametrize("kind", ["lose_answer", "drop", "html", "huge"])
def test_a_fault_at_the_deletion_still_ends_in_no_server(panel: Sandbox, provider: Provider, kind: str) -> None:
    server = make_running(provider)
    panel.arm("pterodactyl", DELETE, kind)

    delete(server)

    assert_gone(panel, server)


def test_a_node_that_is_down_keeps_the_server_and_its_reservation(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    control(panel, "settings", {"node_mode": "refuse"})
    delete(server, within=timedelta(minutes=2))
    assert (server.reload().status, len(panel_servers(panel))) == (ServerStatus.DELETING, 1)
    assert reservation_state(server) == ReservationState.CONFIRMED

    control(panel, "settings", {"node_mode": "up"})
    run_until_quiet(AT, within=timedelta(hours=3))

    assert_gone(panel, server)


def test_a_server_that_was_never_created_is_deleted_at_once(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)

    delete(server)

    assert_gone(panel, server)
    assert request_count(panel, DELETE) == 0


def test_a_creation_whose_answer_was_lost_leaves_no_server_behind(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    panel.arm("pterodactyl", CREATE, "lose_answer")
    panel.arm("pterodactyl", "GET /api/application/servers/external", "status", status=503, times=3, after=2)
    run_until_quiet(AT, within=timedelta(seconds=1))
    assert len(panel_servers(panel)) == 1

    delete(server)

    assert_gone(panel, server)


def test_a_deletion_after_a_lost_creation_looks_twice(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    panel.arm("pterodactyl", CREATE, "drop")
    run_until_quiet(AT, within=timedelta(seconds=1))

    delete(server, within=timedelta(seconds=20))
    assert server.reload().status == ServerStatus.DELETING
    run_until_quiet(AT)

    assert_gone(panel, server)


def test_a_server_deleted_on_the_panel_is_created_again_only_on_retry(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    from servers.drivers.pterodactyl.client import PanelClient

    PanelClient(provider).write("DELETE", f"/servers/{server.ref}")
    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)
    assert (server.reload().status, panel_servers(panel)) == (ServerStatus.FAILED, [])

    services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)

    assert server.reload().status == ServerStatus.RUNNING
    assert [each["external_id"] for each in panel_servers(panel)] == [str(server.pk)]


def test_a_new_name_reaches_the_panel_and_the_key_stays(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    services.rename_server(server=server, name="Better name", actor=server.owner, at=AT)
    assert server.reload().name == "Better name"
    run_until_quiet(AT)

    [remote] = panel_servers(panel)
    assert (remote["name"], remote["external_id"]) == ("Better name", str(server.pk))


def test_a_wrong_owner_on_the_panel_is_corrected(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    from servers.drivers.pterodactyl.client import PanelClient

    rightful = panel_servers(panel)[0]["user_id"]
    details = {"name": server.name, "user": 1, "external_id": str(server.pk), "description": ""}
    PanelClient(provider).write("PATCH", f"/servers/{server.ref}/details", details)

    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    assert panel_servers(panel)[0]["user_id"] == rightful


def test_a_new_size_reaches_the_panel_with_the_port_limit_at_zero(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    Server.objects.filter(pk=server.pk).update(memory_mib=2048, disk_mib=8192, backups_limit=5)

    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    [remote] = panel_servers(panel)
    assert (remote["memory"], remote["disk"], remote["backup_limit"], remote["allocation_limit"]) == (2048, 8192, 5, 0)
    assert steps_of(server)[-1] == Step.RESIZED


def test_a_second_port_reaches_the_panel_even_where_the_first_choice_is_taken(
    panel: Sandbox, provider: Provider
) -> None:
    from tests.servers.test_convergence import make_foreign_server

    server = make_running(provider)
    extra, *_ = Allocation.objects.filter(node=server.node, reservation=None, port__gt=25600).order_by("port")
    Allocation.objects.filter(pk=extra.pk).update(reservation=server.reservation)
    make_foreign_server(panel, provider, allocation=extra.ref)

    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    [ours] = [each for each in panel_servers(panel) if each["external_id"] == str(server.pk)]
    there = {str(each["id"]) for each in panel.panel_state()["allocations"] if each["server_id"] == ours["id"]}
    here = set(Allocation.objects.filter(reservation=server.reservation).values_list("ref", flat=True))
    assert there == here
    assert len(here) == 2
    assert extra.ref not in here


def test_two_servers_of_one_customer_share_an_account(panel: Sandbox, provider: Provider) -> None:
    owner = make_user()
    for _ in range(2):
        make_running(provider, owner=owner)

    assert len({each["user_id"] for each in panel_servers(panel)}) == 1
