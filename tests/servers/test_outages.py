"""A provider that does not answer: noticed by workers after a minute, shown on pages, and over by itself."""

from datetime import timedelta

from django.test import Client
from django.urls import reverse

from core import outside, work
from core.outside import limits
from sandbox.client import Sandbox
from servers import inventory, outages
from servers.live import usage
from servers.models import Node, Provider, ProvisioningTask, Server, UsageTask
from tests.builders import make_user
from tests.servers.actions import control, make_running
from tests.servers.builders import AT, make_server

SECOND = timedelta(seconds=1)
SHOWN = "has not answered since"


def sample(server: Server, seconds: int) -> Node:
    """The usage of the server is asked for so many seconds after the start; its node afterwards."""
    limits.reset_limits()
    at = AT + seconds * SECOND
    usage.watch(server, at=at)
    UsageTask.objects.update(run_at=at)
    work.run_due(at=at, models=(UsageTask,))
    return Node.objects.get(servers=server)


def pages_of(server: Server) -> list[str]:
    """What its owner reads: the server, its console, the dashboard."""
    client = Client()
    client.force_login(server.owner)
    urls = [reverse(name, args=[server.pk]) for name in ("servers:detail", "servers:console")] + [reverse("dashboard")]
    return [client.get(url).content.decode() for url in urls]


def test_a_panel_that_is_silent_for_a_minute_is_shown_and_over_with_its_first_answer(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider, owner=make_user())
    panel.arm("pterodactyl", "GET /api", "drop", times=0)
    assert (sample(server, 0).silent_since, sample(server, 59).unreachable_since) == (AT, None)
    assert not any(SHOWN in page for page in pages_of(server))

    node = sample(server, 60)
    assert node.unreachable_since == AT
    assert not Node.objects.filter(unreachable_since=None).exists()  # the panel answers for all of its nodes
    assert all(SHOWN in page for page in pages_of(server))
    staff = Client()
    staff.force_login(make_user(is_staff=True, is_superuser=True))
    assert "Customers are told" in staff.get(reverse("admin:index")).content.decode()
    assert (
        "unreachable nodes"
        in staff.get(reverse("admin:servers_provider_change", args=[provider.pk])).content.decode().lower()
    )

    panel.clear_faults()
    node = sample(server, 70)
    assert (node.silent_since, node.unreachable_since) == (None, None)
    assert not any(SHOWN in page for page in pages_of(server))


def test_failures_with_an_answer_between_them_are_no_outage(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    for seconds in (0, 60, 120):
        panel.arm("pterodactyl", "GET /api", "status", status=503, times=0)
        assert sample(server, seconds).unreachable_since is None
        panel.clear_faults()
        assert sample(server, seconds + 30).silent_since is None
    control(panel, "settings", {"node_mode": "refuse"})  # of that the panel tells, so it answers
    assert [sample(server, seconds).silent_since for seconds in (200, 300)] == [None, None]


def test_convergence_and_syncs_notice_it_too(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    panel.arm("pterodactyl", "*", "drop", times=0)
    for seconds in (0, 60):
        limits.reset_limits()
        work.run_due(at=AT + seconds * SECOND, models=(ProvisioningTask,))
    assert Node.objects.get(servers=server).unreachable_since == AT

    panel.clear_faults()
    limits.reset_limits()
    inventory.sync(provider_id=provider.pk, at=AT)
    assert not Node.objects.exclude(silent_since=None).exists()
    panel.arm("pterodactyl", "*", "drop", times=0)
    inventory.sync(provider_id=provider.pk, at=AT)
    assert not Node.objects.exclude(silent_since=AT).exists()


def test_of_hosts_of_our_own_one_that_is_silent_says_nothing_of_the_others(provider: Provider) -> None:
    Provider.objects.update(kind="docker")
    provider, (node, *others) = provider.reload(), Node.objects.all()
    for seconds in (0, 60):
        for each in (node, None):  # a sync does not tell which host was silent
            error = outside.Unavailable("no answer")
            outages.record_failure(error, provider=provider, node=each, at=AT + seconds * SECOND)
    assert list(Node.objects.filter(unreachable_since=AT)) == [node]
    assert others

    outages.record_answer(provider=provider, node=others[0].reload())
    assert node.reload().unreachable_since == AT
    outages.record_answer(provider=provider, node=node.reload())
    assert node.reload().unreachable_since is None
