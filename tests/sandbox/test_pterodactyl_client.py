"""The client API: the states that close it, resources, power, backups, files, databases, network and schedules."""

import time
from typing import Any

import pytest
import requests

from tests.sandbox.pterodactyl_panel import PanelUnderTest, at_once, code_of, errors_of

BLOCKED = (409, "ServerStateConflictException")
READS = ("resources", "backups", "databases")


@pytest.fixture
def server(panel: PanelUnderTest) -> dict[str, Any]:
    """A server that is installed and off."""
    return panel.make_ready_server()


def path(server: dict[str, Any], rest: str = "") -> str:
    """A path below a server."""
    return f"/servers/{server['identifier']}{rest and '/' + rest}"


def current_state(panel: PanelUnderTest, server: dict[str, Any]) -> str:
    """The power state by the stats call."""
    state: str = panel.client("GET", path(server, "resources")).json()["attributes"]["current_state"]
    return state


@pytest.mark.parametrize("outcome", ["stuck", "fail"])
def test_an_installing_or_failed_server_is_409_but_for_reading_it(panel: PanelUnderTest, outcome: str) -> None:
    panel.set(install_outcome=outcome)
    server = panel.make_server()
    panel.advance(4)

    assert {code_of(panel.client("GET", path(server, read))) for read in READS} == {BLOCKED}
    assert code_of(panel.client("POST", path(server, "power"), {"signal": "start"})) == BLOCKED
    shown = panel.client("GET", path(server)).json()
    assert (shown["attributes"]["is_installing"], shown["meta"]["is_server_owner"]) == (True, True)
    assert panel.client("GET", path(server, "websocket")).status_code == 200


def test_a_suspended_server_is_409_for_root_admins_too(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    panel.application("POST", f"/servers/{server['id']}/suspend")

    assert code_of(panel.client("GET", path(server, "websocket"))) == BLOCKED
    assert panel.client("GET", path(server)).json()["attributes"]["is_suspended"] is True


def test_node_maintenance_closes_the_client_api_only(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    panel.control("POST", "/pterodactyl/nodes/1", {"maintenance_mode": True})

    assert code_of(panel.client("GET", path(server, "resources"))) == BLOCKED
    assert panel.client("GET", path(server)).json()["attributes"]["is_node_under_maintenance"] is True
    assert panel.application("POST", f"/servers/{server['id']}/suspend").status_code == 204


def test_only_owner_and_root_admin_see_a_server(panel: PanelUnderTest) -> None:
    owner = panel.make_user()
    stranger = panel.make_user(email="b@example.test", username="bob", external_id="acc-2")
    server = panel.make_ready_server(user=owner["id"])
    owner_key, stranger_key = panel.key_of(owner), panel.key_of(stranger)

    assert panel.client("GET", path(server), key=owner_key).status_code == 200
    assert code_of(panel.client("GET", path(server), key=stranger_key)) == (404, "NotFoundHttpException")
    assert panel.client("GET", f"/servers/{server['id']}", key=owner_key).status_code == 404
    assert panel.client("GET", f"/servers/{server['uuid']}").status_code == 200


def test_power_is_accepted_at_once_and_the_state_changes_after_a_delay(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    panel.set(power_seconds=10, stats_cache_seconds=0)

    def send(signal: str) -> int:
        return panel.client("POST", path(server, "power"), {"signal": signal}).status_code

    assert (send("start"), current_state(panel, server)) == (204, "starting")
    panel.advance(11)
    assert current_state(panel, server) == "running"
    assert (send("restart"), current_state(panel, server)) == (204, "stopping")
    panel.advance(10.5)
    assert current_state(panel, server) == "starting"
    panel.advance(10)
    assert current_state(panel, server) == "running"
    assert (send("kill"), current_state(panel, server)) == (204, "offline")
    assert errors_of(panel.client("POST", path(server, "power"), {"signal": "explode"})) == [("signal", "in")]


def test_a_signal_during_another_is_accepted_and_waits_for_its_end(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    panel.set(power_seconds=10, stats_cache_seconds=0)
    for signal in ("start", "stop"):
        assert panel.client("POST", path(server, "power"), {"signal": signal}).status_code == 204

    assert current_state(panel, server) == "starting"
    panel.advance(10.5)
    assert current_state(panel, server) == "stopping"
    panel.advance(10)
    assert current_state(panel, server) == "offline"


def test_calls_take_as_long_as_the_setting_says(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    panel.set(call_min_ms=150, call_max_ms=200)
    began = time.monotonic()

    current_state(panel, server)

    assert time.monotonic() - began >= 0.15


def test_stats_are_cached_for_twenty_seconds_so_a_power_change_shows_late(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    assert current_state(panel, server) == "offline"
    panel.client("POST", path(server, "power"), {"signal": "start"})
    panel.advance(10)
    assert current_state(panel, server) == "offline"

    panel.advance(11)
    stats = panel.client("GET", path(server, "resources")).json()["attributes"]
    assert stats["current_state"] == "running"
    assert 0 < stats["resources"]["memory_bytes"] <= 1024 * 1024 * 1024
    assert stats["resources"]["uptime"] > 10_000
    panel.advance(21)
    later = panel.client("GET", path(server, "resources")).json()["attributes"]["resources"]
    assert later["cpu_absolute"] != stats["resources"]["cpu_absolute"]
    assert later["network_rx_bytes"] > stats["resources"]["network_rx_bytes"]


def test_an_unreachable_node_is_504_for_stats_and_power_but_not_for_the_console_token(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    panel.set(node_mode="refuse")

    assert code_of(panel.client("GET", path(server, "resources"))) == (504, "DaemonConnectionException")
    power = panel.client("POST", path(server, "power"), {"signal": "start"})
    assert code_of(power) == (504, "DaemonConnectionException")
    assert panel.client("GET", path(server, "websocket")).status_code == 200


def test_a_command_to_a_stopped_server_is_502(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    command = path(server, "command")
    assert code_of(panel.client("POST", command, {"command": "say hi"})) == (502, "HttpException")

    panel.client("POST", path(server, "power"), {"signal": "start"})
    panel.advance(2)

    assert panel.client("POST", command, {"command": "say hi"}).status_code == 204
    assert "> say hi" in panel.state("servers")[0]["runtime"]["console"]


def make_backup(panel: PanelUnderTest, server: dict[str, Any], **body: Any) -> requests.Response:
    """Ask for a backup."""
    return panel.client("POST", path(server, "backups"), {"name": "b", **body})


def test_a_backup_is_complete_only_later(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    made = make_backup(panel, server, ignored="logs/*\ncache").json()["attributes"]
    assert (made["completed_at"], made["is_successful"], made["ignored_files"]) == (None, False, ["logs/*", "cache"])

    panel.advance(3)

    done = panel.client("GET", path(server, f"backups/{made['uuid']}")).json()["attributes"]
    assert done["is_successful"]
    assert done["completed_at"]
    assert done["bytes"] > 0
    assert done["checksum"].startswith("sha1:")
    listed = panel.client("GET", path(server, "backups")).json()
    assert (listed["meta"]["backup_count"], listed["meta"]["pagination"]["per_page"]) == (1, 20)


def test_a_failed_backup_is_empty_unlocked_and_not_counted(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    panel.set(backup_outcome="fail")
    for _ in range(3):
        made = make_backup(panel, server, is_locked=True)
        assert made.json()["attributes"]["is_locked"] is True
        panel.advance(3)

    done = panel.client("GET", path(server, f"backups/{made.json()['attributes']['uuid']}")).json()["attributes"]
    assert done["completed_at"]
    assert (done["is_successful"], done["is_locked"], done["bytes"], done["checksum"]) == (False, False, 0, None)


def test_the_backup_throttle_is_429_with_retry_after_and_comes_before_the_limit(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    first = make_backup(panel, server).json()["attributes"]
    panel.advance(3)
    panel.client("DELETE", path(server, f"backups/{first['uuid']}"))
    assert make_backup(panel, server).status_code == 200

    throttled = make_backup(panel, server)
    assert code_of(throttled) == (429, "TooManyRequestsHttpException")
    assert 0 < int(throttled.headers["Retry-After"]) <= 600

    panel.advance(601)
    assert make_backup(panel, server).status_code == 200
    panel.advance(601)
    assert code_of(make_backup(panel, server)) == (400, "TooManyBackupsException")


def test_parallel_backups_slip_past_the_throttle(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    panel.set(race_delay_ms=350)

    answers = at_once([lambda: make_backup(panel, server)] * 4)

    assert [answer.status_code for answer in answers] == [200] * 4


def test_a_backup_whose_node_call_fails_is_not_left_behind(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    panel.set(node_mode="refuse")

    assert code_of(make_backup(panel, server)) == (504, "DaemonConnectionException")

    assert panel.state("backups") == []


def test_lock_is_a_toggle_and_a_locked_backup_cannot_be_deleted(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    backup = path(server, f"backups/{make_backup(panel, server).json()['attributes']['uuid']}")

    assert panel.client("POST", f"{backup}/lock").json()["attributes"]["is_locked"] is True
    assert code_of(panel.client("DELETE", backup)) == (400, "BackupLockedException")
    assert panel.client("POST", f"{backup}/lock").json()["attributes"]["is_locked"] is False
    assert panel.client("DELETE", backup).status_code == 204
    assert panel.client("GET", backup).status_code == 404


def test_a_restore_sets_and_clears_the_status_even_of_a_server_suspended_meanwhile(
    panel: PanelUnderTest, server: dict[str, Any]
) -> None:
    made = make_backup(panel, server, ignored="logs/*").json()["attributes"]
    backup = path(server, f"backups/{made['uuid']}")
    unfinished = panel.client("POST", f"{backup}/restore", {"truncate": True})
    assert code_of(unfinished) == (400, "BadRequestHttpException")
    panel.advance(3)

    assert panel.client("POST", f"{backup}/restore", {"truncate": True}).status_code == 204
    assert panel.status_of(server) == "restoring_backup"
    assert code_of(panel.client("POST", f"{backup}/restore", {"truncate": True})) == BLOCKED
    panel.application("POST", f"/servers/{server['id']}/suspend")
    panel.advance(3)

    assert panel.status_of(server) is None
    assert set(panel.state("servers")[0]["runtime"]["files"]) == {"/server.properties", "/eula.txt"}


def test_a_backup_link_serves_the_archive_once(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    backup = path(server, f"backups/{make_backup(panel, server).json()['attributes']['uuid']}")
    panel.advance(3)
    url = panel.client("GET", f"{backup}/download").json()["attributes"]["url"]

    assert "server.properties" in requests.get(url, timeout=5).text
    assert requests.get(url, timeout=5).status_code == 404
    assert requests.get(url + "x", timeout=5).status_code == 403


def test_databases_are_limited_but_parallel_calls_slip_past(panel: PanelUnderTest, server: dict[str, Any]) -> None:
    made = panel.client("POST", path(server, "databases"), {"database": "shop", "remote": "%"}).json()["attributes"]
    assert made["relationships"]["password"]["attributes"]["password"]
    full = panel.client("POST", path(server, "databases"), {"database": "more", "remote": "%"})
    assert code_of(full) == (400, "TooManyDatabasesException")
    rotated = panel.client("POST", path(server, f"databases/{made['id']}/rotate-password")).json()["attributes"]
    assert rotated["relationships"]["password"] != made["relationships"]["password"]
    assert panel.client("DELETE", path(server, f"databases/{made['id']}")).status_code == 204

    panel.set(race_delay_ms=350)
    bodies = [{"database": f"db{n}x", "remote": "%"} for n in range(3)]
    answers = panel.post_at_once(f"/api/client{path(server)}/databases", bodies)
    assert [answer.status_code for answer in answers] == [200] * 3
