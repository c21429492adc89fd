"""How often an install is polled: quickly at first, slower later, and within the panel's rate limit."""

from datetime import timedelta

import pytest

from core import work
from sandbox.client import Sandbox
from servers.models import Provider, ProvisioningTask, Server, ServerStatus
from tests.servers.actions import control, request_count, run_until_quiet
from tests.servers.builders import AT, make_server

POLL = "GET /api/application/servers/external/*"
SECOND = timedelta(seconds=1)


@pytest.fixture
def slow_panel(panel: Sandbox) -> Sandbox:
    """A panel whose installs do not end by themselves."""
    control(panel, "settings", {"install_outcome": "stuck", "rate_limits": {"application": 10_000}})
    return panel


def next_poll(server: Server) -> timedelta:
    """How long after the start of the test the server is polled next."""
    return ProvisioningTask.objects.get(server=server).run_at - AT


def test_a_new_install_is_polled_every_second(slow_panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    at = run_until_quiet(AT, within=5 * SECOND)

    assert server.reload().status == ServerStatus.INSTALLING
    assert next_poll(server) - (at - AT) == SECOND


def test_an_old_install_is_polled_after_a_twentieth_of_its_age(slow_panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    at = run_until_quiet(AT, within=timedelta(minutes=5))
    age = at - AT

    assert age / 20 - SECOND < next_poll(server) - age < age / 20 + SECOND


def test_many_installs_stay_within_half_of_the_panels_rate_limit(slow_panel: Sandbox, provider: Provider) -> None:
    servers = [make_server(provider) for _ in range(12)]
    run_until_quiet(AT, within=timedelta(seconds=20))
    before = request_count(slow_panel, POLL)

    run_until_quiet(AT + timedelta(seconds=20), within=timedelta(minutes=1))

    assert all(server.reload().status == ServerStatus.INSTALLING for server in servers)
    assert 60 < request_count(slow_panel, POLL) - before <= 132


def test_usage_is_first_read_a_moment_after_the_install(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    work.run_due(at=AT, models=(ProvisioningTask,))
    work.run_due(at=AT + SECOND, models=(ProvisioningTask,))
    assert server.reload().installed_at == AT + SECOND
    assert request_count(panel, "GET /api/client/servers/*/resources") == 0

    work.run_due(at=AT + 2 * SECOND, models=(ProvisioningTask,))

    assert server.reload().status == ServerStatus.RUNNING
