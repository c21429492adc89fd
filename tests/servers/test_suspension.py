"""Suspended while a hold is in force; and an install that a suspension may have hidden is repeated."""

from datetime import timedelta
from typing import Any

import pytest

from core.models import AuditEntry
from sandbox.client import Sandbox
from servers import convergence, services
from servers.models import HoldKind, Provider, Server, ServerHold, ServerStatus, Step
from tests.servers.actions import control, make_running, panel_servers, request_count, run_until_quiet, steps_of
from tests.servers.builders import AT, make_server

LATER = AT + timedelta(hours=2)


def hold(server: Server, kind: HoldKind = HoldKind.BILLING) -> None:
    """Place a hold and let it take effect."""
    services.hold_servers(server_ids=[server.pk], kind=kind, reason="not paid", actor=None, at=AT)
    run_until_quiet(AT)


def lift(server: Server, kind: HoldKind = HoldKind.BILLING) -> None:
    """Lift a hold and let that take effect."""
    assert services.lift_holds(server_ids=[server.pk], kind=kind, actor=None, at=AT)
    run_until_quiet(AT)


def test_a_hold_suspends_and_lifting_it_starts_the_game_again(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    hold(server)
    assert (server.reload().status, panel_servers(panel)[0]["status"]) == (ServerStatus.SUSPENDED, "suspended")
    lift(server)

    assert (server.reload().status, panel_servers(panel)[0]["status"]) == (ServerStatus.RUNNING, None)
    assert panel_servers(panel)[0]["runtime"]["state"] == "running"
    assert steps_of(server)[-2:] == [Step.SUSPENDED, Step.RESUMED]
    assert AuditEntry.objects.filter(action__in=["server.hold", "server.lift_hold"]).count() == 2


def test_a_hold_placed_twice_is_one_hold(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    hold(server)
    hold(server)

    assert ServerHold.objects.count() == 1
    assert request_count(panel, "POST /api/application/servers/*/suspend") == 1


def test_a_payment_lifts_only_its_own_hold(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    hold(server, HoldKind.BILLING)
    hold(server, HoldKind.ABUSE)

    lift(server, HoldKind.BILLING)

    assert (server.reload().status, panel_servers(panel)[0]["status"]) == (ServerStatus.SUSPENDED, "suspended")
    assert not services.lift_holds(server_ids=[server.pk], kind=HoldKind.BILLING, actor=None, at=AT)


def test_a_suspension_that_the_panel_lost_is_restored_by_the_next_recheck(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    hold(server)
    post_command(panel, provider, server, "unsuspend")
    assert panel_servers(panel)[0]["status"] is None

    assert convergence.request_recheck(at=LATER) == 1
    run_until_quiet(LATER)

    assert panel_servers(panel)[0]["status"] == "suspended"
    assert steps_of(server)[-1] == Step.SUSPENDED


def test_a_suspension_by_an_admin_of_the_panel_is_lifted(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    post_command(panel, provider, server, "suspend")

    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, panel_servers(panel)[0]["status"]) == (ServerStatus.RUNNING, None)


def post_command(panel: Sandbox, provider: Provider, server: Server, word: str) -> None:
    """What an admin, or a compromised node, does on the panel."""
    from servers.drivers.pterodactyl.client import PanelClient

    PanelClient(provider).write("POST", f"/servers/{server.reload().ref}/{word}")


@pytest.mark.parametrize("outcome", ["success", "fail"])
def test_an_install_that_ended_during_a_suspension_is_repeated(
    panel: Sandbox, provider: Provider, outcome: str
) -> None:
    control(panel, "settings", {"install_seconds": 100, "install_outcome": outcome})
    server = make_server(provider)
    run_until_quiet(AT, within=timedelta(seconds=10))
    assert server.reload().status == ServerStatus.INSTALLING
    hold(server)
    panel.advance(200)
    assert (server.reload().status, server.reload().is_install_doubtful) == (ServerStatus.SUSPENDED, True)

    control(panel, "settings", {"install_seconds": 0, "install_outcome": "success"})
    lift(server)

    assert request_count(panel, "POST /api/application/servers/*/reinstall") == 1
    assert request_count(panel, "POST /api/application/servers/*/unsuspend") == 0
    assert (server.reload().status, panel_servers(panel)[0]["status"]) == (ServerStatus.RUNNING, None)
    assert Step.RUNNING in steps_of(server)


def test_an_install_whose_status_a_failed_suspension_erased_is_repeated(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"install_seconds": 100, "install_outcome": "fail"})
    server = make_server(provider)
    run_until_quiet(AT, within=timedelta(seconds=10))
    panel.advance(200)
    control(panel, "settings", {"node_mode": "refuse"})
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
    run_until_quiet(AT, within=timedelta(seconds=20))
    assert panel_servers(panel)[0]["status"] is None

    control(panel, "settings", {"node_mode": "up", "install_seconds": 0, "install_outcome": "success"})
    services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=AT)
    run_until_quiet(AT)

    assert request_count(panel, "POST /api/application/servers/*/reinstall") == 1
    assert server.reload().status == ServerStatus.RUNNING


def test_a_hold_before_the_creation_delays_the_creation(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    hold(server)
    assert (server.reload().status, panel_servers(panel)) == (ServerStatus.SUSPENDED, [])

    lift(server)

    assert server.reload().status == ServerStatus.RUNNING


def test_a_suspension_waits_for_a_restore_whose_end_would_lift_it(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    restore(panel, provider, server)
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
    run_until_quiet(AT, within=timedelta(seconds=10))
    assert request_count(panel, "POST /api/application/servers/*/suspend") == 0

    panel.advance(60)
    run_until_quiet(AT)

    assert panel_servers(panel)[0]["status"] == "suspended"


def restore(panel: Sandbox, provider: Provider, server: Server) -> None:
    """The customer restores a backup on the panel."""
    from servers.drivers.pterodactyl.client import PanelClient

    control(panel, "settings", {"backup_seconds": 0, "restore_seconds": 30})
    client, path = PanelClient(provider), f"/servers/{server.reload().identifier}/backups"
    client.client_write(path, {"name": "evening"})
    [backup] = panel.panel_state()["backups"]
    client.client_write(f"{path}/{backup['uuid']}/restore", {"truncate": False})


@pytest.mark.parametrize("word", ["suspend", "unsuspend"])
@pytest.mark.parametrize(
    "fault",
    [{"kind": "lose_answer"}, {"kind": "drop"}, {"kind": "status", "status": 500}],
    ids=lambda f: str(f["kind"]),
)
def test_a_fault_at_a_suspension_or_its_lifting_is_overcome(
    panel: Sandbox, provider: Provider, word: str, fault: dict[str, Any]
) -> None:
    server = make_running(provider)
    panel.arm("pterodactyl", f"POST /api/application/servers/*/{word}", **fault)

    hold(server)
    assert panel_servers(panel)[0]["status"] == "suspended"
    lift(server)

    assert (server.reload().status, panel_servers(panel)[0]["status"]) == (ServerStatus.RUNNING, None)
