"""An install is watched to its end, however it ends."""

from datetime import timedelta

from core import work
from sandbox.client import Sandbox
from servers import services
from servers.models import Provider, ProvisioningTask, Server, ServerStatus, Step
from tests.servers.actions import control, panel_servers, request_count, run_until_quiet, steps_of
from tests.servers.builders import AT, make_server

REINSTALL = "POST /api/application/servers/*/reinstall"
DAY = timedelta(days=1)


def test_a_slow_install_is_waited_for(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"install_seconds": 600})
    server = make_server(provider)
    at = run_until_quiet(AT, within=timedelta(minutes=9))
    assert server.reload().status == ServerStatus.INSTALLING
    assert request_count(panel, "GET /api/application/servers/external/*") < 100

    panel.advance(601)
    run_until_quiet(at)

    assert server.reload().status == ServerStatus.RUNNING


def test_a_failed_install_is_a_failure_until_it_is_retried(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"install_outcome": "fail"})
    server = make_server(provider)
    run_until_quiet(AT)
    assert server.reload().status == ServerStatus.FAILED
    assert "could not be installed" in server.reload().failure

    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)
    assert request_count(panel, REINSTALL) == 0
    assert steps_of(server).count(Step.FAILED) == 1

    control(panel, "settings", {"install_outcome": "success"})
    services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, server.reload().failure) == (ServerStatus.RUNNING, "")
    assert (request_count(panel, REINSTALL), len(panel_servers(panel))) == (1, 1)


def test_retrying_the_dead_task_retries_the_server(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"install_outcome": "fail"})
    server = make_server(provider)
    run_until_quiet(AT)
    control(panel, "settings", {"install_outcome": "success"})

    assert work.retry([ProvisioningTask.objects.get()], at=AT)
    run_until_quiet(AT)

    assert server.reload().status == ServerStatus.RUNNING
    assert ProvisioningTask.objects.count() == 1


def test_an_install_that_never_ends_fails_at_its_deadline(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"install_outcome": "stuck"})
    server = make_server(provider)
    run_until_quiet(AT)
    server = server.reload()
    assert server.status == ServerStatus.FAILED
    assert str(server.blueprint.install_minutes) in server.failure

    control(panel, "settings", {"install_outcome": "success"})
    services.retry(server_id=server.pk, actor=None, at=AT + DAY)
    run_until_quiet(AT + DAY)

    assert server.reload().status == ServerStatus.RUNNING
    assert request_count(panel, REINSTALL) == 1


def test_an_install_cut_short_by_a_node_restart_is_done_again(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"install_outcome": "node_restart"})
    server = make_server(provider)
    run_until_quiet(AT, within=timedelta(seconds=15))
    assert (panel_servers(panel)[0]["status"], server.reload().status) == (None, ServerStatus.INSTALLING)

    control(panel, "settings", {"install_outcome": "success"})
    run_until_quiet(AT)

    assert server.reload().status == ServerStatus.RUNNING
    assert request_count(panel, REINSTALL) == 1
    assert panel_servers(panel)[0]["runtime"]["state"] == "running"


def test_a_server_that_its_node_does_not_have_is_created_again_on_retry(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"node_mode": "panel_dies", "node_mode_calls": 1})
    server = make_server(provider)
    run_until_quiet(AT)
    assert server.reload().status == ServerStatus.FAILED

    services.retry(server_id=server.pk, actor=None, at=AT + DAY)
    run_until_quiet(AT + DAY)

    assert server.reload().status == ServerStatus.RUNNING
    [remote] = panel_servers(panel)
    assert remote["external_id"] == str(server.pk)


def test_a_node_that_is_down_is_waited_for_and_nothing_is_left_behind(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"node_mode": "refuse"})
    server = make_server(provider)
    run_until_quiet(AT, within=timedelta(minutes=3))
    assert (server.reload().status, panel_servers(panel)) == (ServerStatus.PENDING, [])

    control(panel, "settings", {"node_mode": "up"})
    run_until_quiet(AT, within=timedelta(hours=3))

    assert server.reload().status == ServerStatus.RUNNING


def test_a_node_that_stays_down_fails_the_server_in_the_end(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"node_mode": "error", "node_status": 500})
    server = make_server(provider)

    Server.objects.filter(pk=server.pk).update(created_at=AT)
    run_until_quiet(AT)
    assert server.reload().status != ServerStatus.FAILED
    run_until_quiet(AT + timedelta(days=1, hours=1))

    assert server.reload().status == ServerStatus.FAILED
    assert steps_of(server)[-1] == Step.FAILED
    assert panel_servers(panel) == []
