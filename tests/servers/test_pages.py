"""A server's page beside a real panel: what it says after a refused name, after a power action, and of the plan."""

from dataclasses import asdict
from decimal import Decimal

import pytest
from django.contrib.messages import get_messages
from django.test import Client
from django.urls import reverse

from core import clock
from sandbox.client import Sandbox
from servers.capacity import Size
from servers.drivers.base import PowerState, Usage
from servers.models import HoldKind, Provider, Server, ServerStatus, UsageSample
from tests.builders import make_user
from tests.servers.actions import make_running
from tests.servers.builders import SMALL
from tests.servers.self_service import member_of


def owner_of(server: Server) -> Client:
    client = Client()
    client.force_login(server.owner)
    return client


@pytest.mark.parametrize(
    ("action", "said"),
    [("start", "Starting the"), ("restart", "Restarting the"), ("stop", "Stopping the"), ("kill", "Killing the")],
)
def test_each_power_action_says_what_was_requested(panel: Sandbox, provider: Provider, action: str, said: str) -> None:
    server = make_running(provider, owner=make_user())

    response = owner_of(server).post(reverse("servers:power", kwargs={"pk": server.pk}), {"action": action})

    [message] = get_messages(response.wsgi_request)
    assert str(message).startswith(said)


def test_a_server_with_more_than_its_plan_names_the_add_ons(panel: Sandbox, provider: Provider) -> None:
    more = Size(memory_mib=SMALL.memory_mib + 1024, disk_mib=SMALL.disk_mib, cpu_percent=SMALL.cpu_percent, ports=1)
    plain = make_running(provider, owner=make_user(), databases=0, backups=0)
    extended = make_running(provider, owner=plain.owner, databases=0, backups=0, size=more)

    def page_of(server: Server) -> str:
        url = reverse("servers:detail", kwargs={"pk": server.pk})
        return str(owner_of(server).get(url).content.decode())

    assert "Small with add-ons" in page_of(extended)
    assert "with add-ons" not in page_of(plain)


@pytest.mark.parametrize(
    ("kinds", "names_an_invoice"),
    [
        ([HoldKind.BILLING], True),
        ([HoldKind.ABUSE], False),
        ([HoldKind.MANUAL], False),
        ([HoldKind.BILLING, HoldKind.ABUSE], False),
    ],
)
def test_a_suspended_server_names_an_unpaid_invoice_only_where_paying_ends_the_suspension(
    panel: Sandbox, provider: Provider, kinds: list[HoldKind], names_an_invoice: bool
) -> None:
    server = make_running(provider, owner=make_user())
    for kind in kinds:
        server.holds.create(organization=server.organization, kind=kind, reason="x", placed_at=server.created_at)
    Server.objects.filter(pk=server.pk).update(status=ServerStatus.SUSPENDED)

    page = owner_of(server).get(reverse("servers:detail", kwargs={"pk": server.pk})).content.decode()

    assert "This server is suspended" in page
    assert ("because it is not paid" in page) == names_an_invoice
    assert ("View invoices" in page) == names_an_invoice


def test_the_dashboard_shows_how_servers_are_and_starts_and_stops_them(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider, owner=make_user())
    used = Usage(PowerState.RUNNING, Decimal(40), 512, 1024, 0, 0, 60)
    UsageSample.objects.create(server=server, organization=server.organization, at=clock.now(), **asdict(used))
    browser, address = owner_of(server), reverse("dashboard")
    page = browser.get(address).content.decode()
    assert "40% of 100% CPU" in page
    assert f"Stop {server.name}" in page
    assert f"Stop {server.name}" not in member_of(server, "view").get(address).content.decode()

    sent = {"action": "stop", "section": "dashboard"}
    assert browser.post(reverse("servers:power", args=[server.pk]), sent)["Location"] == address

    page = browser.get(address).content.decode()
    assert "Stopping" in page
    assert f"Stop {server.name}" not in page
