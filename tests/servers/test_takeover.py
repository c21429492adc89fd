"""A worker process is killed while it waits for the panel's answer, and another process takes over."""

import time
from pathlib import Path

from core import clock
from sandbox.client import Sandbox
from servers.models import Provider, ServerStatus
from tests.core.test_worker import until
from tests.processes import start_worker
from tests.servers.actions import panel_servers, request_count
from tests.servers.builders import make_server

MAX_SECONDS = 20  # of the lease, and until it is noticed; then the server is started and looked at


def test_a_worker_that_is_killed_during_a_creation_leaves_one_server_to_another_worker(
    panel: Sandbox, provider: Provider, tmp_path: Path
) -> None:
    server = make_server(provider, at=clock.now())
    panel.arm("pterodactyl", "POST /api/application/servers", "hang", seconds=120)  # it is created, and nobody told
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    first = start_worker(folders[0])
    try:
        assert until(lambda: request_count(panel, "POST /api/application/servers") == 1)
        assert until(lambda: len(panel_servers(panel)) == 1)
    finally:
        first.kill()
        first.wait(timeout=10)
    killed_at = time.monotonic()
    assert server.reload().ref == ""

    second = start_worker(folders[1])
    try:
        assert until(lambda: server.reload().ref != "")
        assert time.monotonic() - killed_at < MAX_SECONDS
        assert until(lambda: server.reload().status == ServerStatus.RUNNING), (folders[1] / "worker.log").read_text()
    finally:
        second.kill()
        second.wait(timeout=10)

    [existing] = panel_servers(panel)
    assert server.reload().ref == str(existing["id"])
    assert request_count(panel, "POST /api/application/servers") == 1
