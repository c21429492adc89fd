"""The providers that the suite runs against."""

import os
from collections.abc import Iterator

import pytest

from sandbox.client import Sandbox
from servers.drivers import registry
from tests.drivers import cloud_sandbox
from tests.drivers.adapters import Adapter, Cloud, Panel, VirtFusion, panel_sandbox
from tests.drivers.cloud import FACTS, CloudDriver
from tests.drivers.cloud_sandbox import CloudSandbox
from tests.drivers.linode import Linode

registry.register("testcloud", CloudDriver, FACTS)
# A real panel, with a client key of a root admin; the suite creates accounts and servers there and deletes the servers.
REAL_PANEL = os.environ.get("TEST_PANEL_URL", "")


@pytest.fixture
def cloud() -> Iterator[CloudSandbox]:
    """A cloud of its own."""
    with cloud_sandbox.running() as sandbox:
        yield sandbox


@pytest.fixture
def pterodactyl(sandbox: Sandbox) -> Panel:
    """The stand-in of a panel."""
    return panel_sandbox(sandbox)


@pytest.fixture
def testcloud(cloud: CloudSandbox) -> Cloud:
    """The cloud of the tests."""
    return Cloud(cloud)


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


@pytest.fixture(params=["pterodactyl", "testcloud", "virtfusion", "linode", *(["real_panel"] if REAL_PANEL else [])])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    """Each provider in turn."""
    provider: Adapter = request.getfixturevalue(request.param)
    return provider
