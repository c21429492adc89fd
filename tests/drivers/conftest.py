"""The providers that the suite runs against."""

import os
from collections.abc import Iterator

import pytest
import requests

from core.outside import OutsideSession
from sandbox.client import Sandbox
from servers.drivers.digitalocean import driver as digitalocean_driver
from tests.drivers.adapters import Adapter, Cloud, Docker, Panel, VirtFusion, panel_sandbox
from tests.drivers.linode import Linode

# A real panel, with a client key of a root admin; the suite creates accounts and servers there and deletes the servers.
REAL_PANEL = os.environ.get("TEST_PANEL_URL", "")
# A real Docker Engine, with an image of busybox; the suite creates containers there and deletes these.
REAL_ENGINE = os.environ.get("TEST_DOCKER_HOST", "")


@pytest.fixture
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries within one call do not pause, whatever the other side asks for."""
    monkeypatch.setitem(OutsideSession.__init__.__kwdefaults__ or {}, "sleep", lambda _seconds: None)


@pytest.fixture
def pterodactyl(sandbox: Sandbox) -> Panel:
    """The stand-in of a panel."""
    return panel_sandbox(sandbox)


@pytest.fixture
def digitalocean(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    """The stand-in of DigitalOcean, empty; nothing is waited for."""
    monkeypatch.setattr(digitalocean_driver, "LOOK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(digitalocean_driver, "SHUTDOWN_SECONDS", 0)
    return Cloud(sandbox)


@pytest.fixture
def virtfusion(sandbox: Sandbox) -> VirtFusion:
    """The stand-in of VirtFusion."""
    return VirtFusion(sandbox)


@pytest.fixture
def linode(sandbox: Sandbox) -> Linode:
    """The stand-in of Linode."""
    return Linode(sandbox)


@pytest.fixture
def real_panel() -> Iterator[Panel]:
    """The real panel. What the test leaves behind is deleted, and nothing else: it may be somebody's."""
    names = ("application_key", "client_key")
    panel = Panel(REAL_PANEL, {name: os.environ[f"TEST_PANEL_{name.upper()}"] for name in names})
    yield panel
    for key in tuple(panel.keys):
        if remote := panel.driver.find(panel.spec(key=key), []):
            panel.driver.delete(remote)


@pytest.fixture
def docker(sandbox: Sandbox) -> Docker:
    """The stand-in of an engine."""
    requests.post(f"{sandbox.base_url}/_control/docker/local/settings", json={"stats_seconds": 0}, timeout=30)
    return Docker(f"tcp://{sandbox.base_url.removeprefix('http://')}/docker/local", sandbox)


@pytest.fixture
def real_engine() -> Iterator[Docker]:
    """The real engine."""
    if not REAL_ENGINE:
        pytest.skip("TEST_DOCKER_HOST names no Docker Engine")
    engine = Docker(REAL_ENGINE)
    yield engine
    engine.clear()


@pytest.fixture(params=["docker", "real_engine"])
def engine(request: pytest.FixtureRequest) -> Docker:
    """The stand-in and the real engine in turn."""
    each: Docker = request.getfixturevalue(request.param)
    return each


PROVIDERS = ("pterodactyl", "digitalocean", "linode", "virtfusion", "docker", "real_engine")


@pytest.fixture(params=[*PROVIDERS, *(["real_panel"] if REAL_PANEL else [])])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each provider in turn."""
    provider: Adapter = request.getfixturevalue(request.param)
    return provider
