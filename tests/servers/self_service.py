"""What the tests of a server's sections share."""

from datetime import datetime
from typing import Any

from django.test import Client
from django.urls import reverse

from accounts.models import Membership, Role
from core import clock, work
from core.outside import limits
from servers import services
from servers.models import HoldKind, Listing, Operation, Provider, Server, ServerAccess
from tests.builders import make_user
from tests.servers.actions import make_running


def running_with(provider: Provider, **fields: Any) -> Server:
    """A running server of a customer of its own."""
    return make_running(provider, owner=make_user(), **fields)


def run(at: datetime | None = None) -> None:
    """Workers do what is due now."""
    limits.reset_limits()
    work.run_due(at=at or clock.now(), models=(Operation, Listing))


def open_section(browser: Client, server: Server, section: str) -> str:
    """The page after a worker has read what it shows."""
    address = reverse(f"servers:{section}", args=[server.pk])
    Listing.objects.update(read_at=None)
    browser.get(address)
    run()
    return str(browser.get(address).content.decode())


def act(browser: Client, server: Server, route: str, ref: str, what: str, **data: str) -> Any:
    """Send the form of something that a section lists."""
    return browser.post(reverse(f"servers:{route}", args=[server.pk, ref, what]), data)


def member_of(server: Server, level: str) -> Client:
    """The browser of a plain member with this level of access to the server."""
    member = make_user()
    Membership.objects.create(organization=server.organization, user=member, role=Role.MEMBER)
    ServerAccess.objects.create(organization=server.organization, server=server, user=member, level=level)
    client = Client()
    client.force_login(member)
    return client


def suspend(server: Server) -> None:
    """Staff hold it."""
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=clock.now())
