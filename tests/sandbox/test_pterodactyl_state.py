"""The seed, what survives a restart, and the web page."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from sandbox import client
from tests.sandbox.pterodactyl_panel import PanelUnderTest


def test_the_seed_has_three_locations_and_nodes_with_free_ports_from_documentation_networks(
    panel: PanelUnderTest,
) -> None:
    locations = panel.application("GET", "/locations").json()["data"]
    nodes = panel.application("GET", "/nodes").json()["data"]

    assert [location["attributes"]["short"] for location in locations] == ["us-east", "us-west", "eu"]
    assert [node["attributes"]["id"] for node in nodes] == [1, 2, 3]
    for node in nodes:
        free = [each for each in panel.state("allocations") if each["node_id"] == node["attributes"]["id"]]
        assert len(free) >= 60
        assert all(each["ip"].startswith(("203.0.113.", "198.51.100.", "192.0.2.")) for each in free)


def test_the_seed_may_be_given_its_nodes(panel: PanelUnderTest) -> None:
    panel.seed({"memory": 1024, "disk": 2048, "allocations": 250, "name": "Big"}, {"location": "eu"})

    first, second = (each["attributes"] for each in panel.application("GET", "/nodes").json()["data"])
    assert (first["name"], first["memory"], first["disk"]) == ("Big", 1024, 2048)
    assert second["location_id"] == 3
    assert len([each for each in panel.state("allocations") if each["node_id"] == 1]) == 250


@pytest.mark.parametrize("body", [{"install_outcome": "maybe"}, {"nothing": 1}, {"install_seconds": "x"}])
def test_a_setting_that_makes_no_sense_is_refused_as_a_whole(panel: PanelUnderTest, body: dict[str, object]) -> None:
    url = f"{panel.sandbox_url}/_control/pterodactyl/settings"

    answer = requests.post(url, json={"power_seconds": 77, **body}, timeout=5)

    assert answer.status_code == 400
    assert panel.control("POST", "/pterodactyl/settings", {})["power_seconds"] != 77


def test_keys_stay_over_a_reset_and_the_rest_goes(panel: PanelUnderTest) -> None:
    panel.make_server()
    panel.control("POST", "/reset", {"service": "pterodactyl"})

    assert panel.state("servers") == []
    assert panel.application("GET", "/servers").status_code == 200


def test_a_kill_and_a_restart_keep_keys_servers_and_a_running_install(tmp_path: Path) -> None:
    with client.start(state_dir=tmp_path) as (process, sandbox):
        panel = PanelUnderTest(sandbox.base_url)
        keys = (panel.application_key, panel.client_key)
        panel.set(install_seconds=1.0)
        server = panel.make_server()
        process.kill()
        process.wait()

    with client.start(state_dir=tmp_path) as (_process, sandbox):
        panel = PanelUnderTest(sandbox.base_url)
        assert (panel.application_key, panel.client_key) == keys
        found = panel.application("GET", "/servers/external/svc-1").json()["attributes"]
        assert (found["uuid"], found["container"]) == (server["uuid"], found["container"])
        panel.advance(2)
        assert panel.status_of(server) is None


def test_a_kill_while_a_create_waits_for_the_node_leaves_the_row_installing_for_ever(tmp_path: Path) -> None:
    with client.start(state_dir=tmp_path) as (process, sandbox):
        panel = PanelUnderTest(sandbox.base_url)
        panel.set(node_mode="slow", node_slow_seconds=10)
        body = panel.server_body()
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(panel.application, "POST", "/servers", body)
            while panel.application("GET", "/servers/external/svc-1").status_code != 200:
                assert not waiting.done()
            process.kill()
            with pytest.raises(requests.ConnectionError):
                waiting.result()
        process.wait()

    with client.start(state_dir=tmp_path) as (_process, sandbox):
        panel = PanelUnderTest(sandbox.base_url)
        panel.set(node_mode="up")
        found = panel.application("GET", "/servers/external/svc-1").json()["attributes"]
        assert found["status"] == "installing"
        assert panel.application("POST", f"/servers/{found['id']}/reinstall").status_code == 404


def test_the_web_page_lists_servers_with_their_state_and_escapes_names(panel: PanelUnderTest) -> None:
    panel.make_server(name="<b>Bold</b>")

    page = requests.get(f"{panel.url}/", timeout=5)

    assert page.headers["content-type"].startswith("text/html")
    assert "&lt;b&gt;Bold" in page.text
    assert "<b>Bold" not in page.text
    assert "203.0.113.10:25565" in page.text


def test_an_armed_fault_answers_in_the_panels_own_form(panel: PanelUnderTest) -> None:
    panel.arm("status", "GET /api/application/servers", status=429)
    panel.arm("status", "GET /api/application/users", status=500)

    limited = panel.application("GET", "/servers")
    broken = panel.application("GET", "/users")

    assert limited.json()["errors"][0]["code"] == "ThrottleRequestsException"
    assert "Retry-After" in limited.headers
    assert broken.json()["errors"][0]["status"] == "500"
