"""A server's status from create to delete, node outages, and answers that get lost."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests

from tests.sandbox.pterodactyl_panel import PanelUnderTest, code_of

DAEMON = "DaemonConnectionException"


def post(panel: PanelUnderTest, server: dict[str, Any], verb: str) -> requests.Response:
    """Suspend, unsuspend or reinstall a server."""
    return panel.application("POST", f"/servers/{server['id']}/{verb}")


@pytest.mark.parametrize(("outcome", "status", "installed"), [("success", None, 1), ("fail", "install_failed", 0)])
def test_an_install_takes_its_time_and_ends_as_configured(
    panel: PanelUnderTest, outcome: str, status: str | None, installed: int
) -> None:
    panel.set(install_seconds=30, install_outcome=outcome)
    server = panel.make_server()

    panel.advance(29)
    assert panel.status_of(server) == "installing"
    panel.advance(2)

    assert panel.status_of(server) == status
    shown = panel.application("GET", f"/servers/{server['id']}").json()["attributes"]
    assert shown["container"]["installed"] == installed


def test_a_stuck_install_stays_installing_for_ever(panel: PanelUnderTest) -> None:
    panel.set(install_outcome="stuck")
    server = panel.make_server()

    panel.advance(10 * 86400)

    assert panel.status_of(server) == "installing"


def test_a_node_restart_makes_an_interrupted_install_look_installed(panel: PanelUnderTest) -> None:
    panel.set(install_outcome="node_restart")
    server = panel.make_server()
    panel.advance(4)
    assert panel.status_of(server) is None

    panel.set(install_outcome="stuck")
    others = [panel.make_server(external_id=f"svc-{n}") for n in (2, 3)]
    post(panel, others[1], "suspend")
    panel.control("POST", "/pterodactyl/nodes/1/restart")
    assert [panel.status_of(other) for other in others] == [None, "suspended"]


def test_a_server_starts_by_itself_after_its_install_when_told_to(panel: PanelUnderTest) -> None:
    panel.set(install_seconds=3, power_seconds=5)
    starting = panel.make_server(start_on_completion=True)
    idle = panel.make_server(external_id="svc-2")

    def states() -> list[str]:
        rows = {row["id"]: row["runtime"]["state"] for row in panel.state("servers")}
        return [rows[server["id"]] for server in (starting, idle)]

    panel.advance(4)
    assert states() == ["starting", "offline"]
    panel.advance(5)
    assert states() == ["running", "offline"]


def test_skip_scripts_finishes_almost_at_once(panel: PanelUnderTest) -> None:
    panel.set(install_seconds=500)

    assert panel.status_of(panel.make_server(skip_scripts=True)) is None


@pytest.mark.parametrize("outcome", ["success", "fail"])
def test_a_suspension_during_an_install_outlasts_it_and_unsuspend_always_gives_null(
    panel: PanelUnderTest, outcome: str
) -> None:
    panel.set(install_outcome=outcome)
    server = panel.make_server(start_on_completion=True)
    assert post(panel, server, "suspend").status_code == 204
    panel.advance(5)

    shown = panel.application("GET", f"/servers/{server['id']}").json()["attributes"]
    assert (shown["status"], shown["suspended"], shown["container"]["installed"]) == ("suspended", True, 1)
    assert panel.state("servers")[0]["runtime"]["state"] == "offline"
    assert post(panel, server, "suspend").status_code == 204
    assert post(panel, server, "unsuspend").status_code == 204
    assert panel.status_of(server) is None
    assert post(panel, server, "unsuspend").status_code == 204


def test_unsuspend_gives_null_while_the_install_still_runs(panel: PanelUnderTest) -> None:
    server = panel.make_server()
    post(panel, server, "suspend")

    post(panel, server, "unsuspend")

    assert panel.status_of(server) is None


def test_suspending_stops_a_running_server(panel: PanelUnderTest) -> None:
    server = panel.make_ready_server(start_on_completion=True)

    post(panel, server, "suspend")

    assert panel.state("servers")[0]["runtime"]["state"] == "offline"


def test_a_reinstall_lifts_a_suspension_and_its_failure_is_reinstall_failed(panel: PanelUnderTest) -> None:
    server = panel.make_ready_server()
    post(panel, server, "suspend")
    panel.set(install_outcome="fail")

    assert post(panel, server, "reinstall").status_code == 204
    assert panel.status_of(server) == "installing"
    assert post(panel, server, "reinstall").status_code == 204
    panel.advance(4)

    assert panel.status_of(server) == "reinstall_failed"
    assert panel.client("GET", f"/servers/{server['identifier']}/resources").status_code == 200


def test_a_reinstall_that_the_node_refuses_leaves_the_status(panel: PanelUnderTest) -> None:
    panel.set(power_seconds=60)
    server = panel.make_ready_server()
    panel.client("POST", f"/servers/{server['identifier']}/power", {"signal": "start"})

    assert code_of(post(panel, server, "reinstall")) == (409, DAEMON)
    panel.set(node_mode="refuse")
    assert code_of(post(panel, server, "reinstall")) == (504, DAEMON)
    assert panel.status_of(server) is None


@pytest.mark.parametrize("mode", ["refuse", "drop"])
def test_a_create_whose_node_is_out_is_504_at_once_and_leaves_no_server(panel: PanelUnderTest, mode: str) -> None:
    body = panel.server_body()
    panel.set(node_mode=mode)

    started = time.monotonic()
    answer = panel.application("POST", "/servers", body)

    assert code_of(answer) == (504, DAEMON)
    assert time.monotonic() - started < 0.5
    assert panel.application("GET", "/servers/external/svc-1").status_code == 404
    panel.set(node_mode="up")
    assert panel.application("POST", "/servers", body).status_code == 201


def test_a_create_whose_node_answers_an_error_has_that_status(panel: PanelUnderTest) -> None:
    panel.set(node_mode="error", node_status=418)

    assert code_of(panel.application("POST", "/servers", panel.server_body())) == (418, DAEMON)
    assert panel.state("servers") == []


@pytest.mark.parametrize(("calls", "waits"), [(1, 1), (2, 2)])
def test_a_create_whose_node_hangs_is_504_after_one_timeout_or_two_when_the_clean_up_hangs_too(
    panel: PanelUnderTest, calls: int, waits: int
) -> None:
    panel.set(node_mode="hang", node_mode_calls=calls, node_timeout_seconds=0.4)

    started = time.monotonic()
    answer = panel.application("POST", "/servers", panel.server_body())

    assert code_of(answer) == (504, DAEMON)
    assert 0.4 * waits <= time.monotonic() - started < 0.4 * waits + 0.35
    assert panel.state("servers") == []


def test_when_the_panel_dies_in_between_the_row_stays_and_the_node_knows_nothing(panel: PanelUnderTest) -> None:
    panel.set(node_mode="panel_dies", node_mode_calls=1)

    answer = panel.application("POST", "/servers", panel.server_body())

    assert answer.status_code == 502
    assert answer.headers["content-type"].startswith("text/html")
    server = panel.application("GET", "/servers/external/svc-1").json()["attributes"]
    panel.advance(86400)
    assert panel.status_of(server) == "installing"
    assert code_of(post(panel, server, "reinstall")) == (404, DAEMON)
    assert panel.status_of(server) == "installing"
    assert code_of(post(panel, server, "suspend")) == (404, DAEMON)
    assert panel.status_of(server) is None
    assert panel.application("DELETE", f"/servers/{server['id']}").status_code == 204


def test_during_an_outage_suspend_is_504_and_null_and_unsuspend_504_and_suspended(panel: PanelUnderTest) -> None:
    panel.set(install_outcome="stuck")
    installing, suspended = panel.make_server(), panel.make_server(external_id="svc-2")
    post(panel, suspended, "suspend")
    panel.set(node_mode="refuse")

    assert code_of(post(panel, installing, "suspend")) == (504, DAEMON)
    assert panel.status_of(installing) is None
    assert code_of(post(panel, suspended, "unsuspend")) == (504, DAEMON)
    assert panel.status_of(suspended) == "suspended"


def test_during_an_outage_delete_is_504_unless_forced_while_build_and_details_are_200(panel: PanelUnderTest) -> None:
    server = panel.make_ready_server()
    user = panel.make_user()
    path = f"/servers/{server['id']}"
    panel.set(node_mode="refuse")

    build = {
        "allocation": server["allocation"],
        "limits": server["limits"] | {"memory": 2048},
        "feature_limits": {"databases": 1, "backups": 1, "allocations": 1},
    }
    assert panel.application("PATCH", f"{path}/build", build).json()["attributes"]["limits"]["memory"] == 2048
    assert panel.application("PATCH", f"{path}/details", {"name": "x", "user": user["id"]}).status_code == 200
    assert code_of(panel.application("DELETE", path)) == (504, DAEMON)
    assert panel.application("GET", path).status_code == 200
    assert panel.application("DELETE", f"{path}/force").status_code == 204
    assert panel.application("GET", path).status_code == 404


@pytest.mark.parametrize("word", ["databases", "databases/", "anything"])
def test_delete_with_any_word_after_the_id_deletes_the_server(panel: PanelUnderTest, word: str) -> None:
    server = panel.make_server()

    assert panel.application("DELETE", f"/servers/{server['id']}/{word}").status_code == 204

    assert panel.state("servers") == []
    assert code_of(panel.application("DELETE", f"/servers/{server['id']}")) == (404, "NotFoundHttpException")


@pytest.mark.parametrize("kind", ["lose_answer", "hang"])
def test_a_create_whose_answer_is_lost_was_made_all_the_same(panel: PanelUnderTest, kind: str) -> None:
    panel.arm(kind, "POST /api/application/servers", seconds=0.3)

    with pytest.raises(requests.ConnectionError):
        panel.application("POST", "/servers", panel.server_body())

    assert panel.application("GET", "/servers/external/svc-1").status_code == 200


@pytest.mark.parametrize(("verb", "status"), [("suspend", "suspended"), ("reinstall", "installing")])
def test_a_suspend_or_reinstall_whose_answer_is_lost_took_effect(panel: PanelUnderTest, verb: str, status: str) -> None:
    server = panel.make_ready_server()
    panel.arm("lose_answer", f"POST /api/application/servers/*/{verb}")

    with pytest.raises(requests.ConnectionError):
        post(panel, server, verb)

    assert panel.status_of(server) == status


def test_a_delete_or_backup_whose_answer_is_lost_took_effect(panel: PanelUnderTest) -> None:
    server = panel.make_ready_server()
    panel.arm("lose_answer", "POST /api/client/servers/*/backups")
    panel.arm("lose_answer", "DELETE /api/application/servers")

    with pytest.raises(requests.ConnectionError):
        panel.client("POST", f"/servers/{server['identifier']}/backups", {"name": "b"})
    assert [row["name"] for row in panel.state("backups")] == ["b"]
    with pytest.raises(requests.ConnectionError):
        panel.application("DELETE", f"/servers/{server['id']}")
    assert panel.state("servers") == []


def test_the_panel_finishes_a_create_when_the_caller_gives_up(panel: PanelUnderTest) -> None:
    panel.set(node_mode="slow", node_slow_seconds=0.5)
    headers = {"Accept": "application/json", "Authorization": f"Bearer {panel.application_key}"}
    url = f"{panel.url}/api/application/servers"

    with pytest.raises(requests.Timeout):
        requests.post(url, json=panel.server_body(), headers=headers, timeout=0.2)
    time.sleep(0.6)
    panel.advance(4)

    assert panel.application("GET", "/servers/external/svc-1").json()["attributes"]["status"] is None


def test_a_create_still_says_installing_when_another_call_deleted_the_server_meanwhile(panel: PanelUnderTest) -> None:
    body = panel.server_body()
    panel.set(node_mode="slow", node_slow_seconds=0.5, node_mode_calls=1)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(panel.application, "POST", "/servers", body)
        time.sleep(0.2)
        assert panel.application("DELETE", "/servers/1").status_code == 204
        answer = waiting.result()

    assert (answer.status_code, answer.json()["attributes"]["status"]) == (201, "installing")
    assert panel.state("servers") == []
