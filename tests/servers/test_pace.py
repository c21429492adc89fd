"""How often the panel is asked about an install: quick at first, slower later, and never past what it allows."""

from datetime import timedelta

import pytest

from core import work
from sandbox.client import Sandbox
from servers.models import Provider, ProvisioningTask, Server, ServerStatus
from tests.servers.builders import AT, make_server
from tests.servers.steps import asked, control, run_until_quiet

LOOK = "GET /api/application/servers/external/*"
SECOND = timedelta(seconds=1)


@pytest.fixture
def slow_panel(panel: Sandbox) -> Sandbox:
    """A panel whose installs do not end by themselves."""
    control(panel, "settings", {"install_outcome": "stuck", "rate_limits": {"application": 10_000}})
    return panel


def next_look(server: Server) -> timedelta:
    """How long after the story's beginning the server is looked at next."""
    return ProvisioningTask.objects.get(server=server).run_at - AT


def test_a_young_install_is_looked_at_every_second(slow_panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    at = run_until_quiet(AT, within=5 * SECOND)

    assert server.reload().status == ServerStatus.INSTALLING
    assert next_look(server) - (at - AT) == SECOND


def test_an_old_install_is_looked_at_after_a_twentieth_of_its_age(slow_panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    at = run_until_quiet(AT, within=timedelta(minutes=5))
    age = at - AT

    assert age / 20 - SECOND < next_look(server) - age < age / 20 + SECOND


def test_a_crowd_of_installs_stays_within_half_of_what_the_panel_allows(
    slow_panel: Sandbox, provider: Provider
) -> None:
    servers = [make_server(provider) for _ in range(12)]
    run_until_quiet(AT, within=timedelta(seconds=20))
    before = asked(slow_panel, LOOK)

    run_until_quiet(AT + timedelta(seconds=20), within=timedelta(minutes=1))

    assert all(server.reload().status == ServerStatus.INSTALLING for server in servers)
    assert 60 < asked(slow_panel, LOOK) - before <= 132


def test_the_first_figures_are_asked_for_a_moment_after_the_install(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    work.run_due(at=AT, models=(ProvisioningTask,))
    work.run_due(at=AT + SECOND, models=(ProvisioningTask,))
    assert server.reload().installed_at == AT + SECOND
    assert asked(panel, "GET /api/client/servers/*/resources") == 0

    work.run_due(at=AT + 2 * SECOND, models=(ProvisioningTask,))

    assert server.reload().status == ServerStatus.RUNNING
