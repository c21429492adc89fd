"""Pressing a server's power buttons."""

from datetime import datetime
from uuid import UUID

from django.core.cache import cache
from django.utils.translation import gettext as _

from accounts.models import User
from core import audit, tenancy
from servers.convergence.context import has_holds
from servers.drivers import registry
from servers.drivers.base import Capability, NotOnNode, Signal, WrongState
from servers.drivers.guard import refuse_transaction
from servers.models import Server, ServerStatus
from servers.usage import cache_key

READY = {ServerStatus.RUNNING, ServerStatus.STOPPED}
AFTER = {
    Signal.START: ServerStatus.RUNNING,
    Signal.RESTART: ServerStatus.RUNNING,
    Signal.STOP: ServerStatus.STOPPED,
    Signal.KILL: ServerStatus.STOPPED,
}


class PowerRefused(Exception):
    """The signal was not sent; the text says why, for the customer."""


def send_power_action(*, server_id: UUID, signal: str, actor: User | None, at: datetime) -> None:
    """Send start, stop, restart or kill. What comes of it shows later.

    Never inside a transaction. Raises PowerRefused, or core.outside's errors where the panel does not answer.
    """
    refuse_transaction()
    server = Server.objects.select_related("blueprint__provider").get(pk=server_id)
    _refuse_unless_ready(server)
    driver, wanted = registry.driver_of(server.blueprint.provider), Signal(signal)
    if Capability.POWER not in driver.capabilities:
        raise PowerRefused(_("This server's panel does not take power signals from here."))
    with tenancy.as_worker():
        audit.record(action="server.power", entity=server, actor=actor, new={"signal": wanted.value}, at=at)
    try:
        driver.press(server.identifier, wanted)
    except WrongState:
        raise PowerRefused(_("The machine is busy with something else just now. Try again in a minute.")) from None
    except NotOnNode:
        raise PowerRefused(_("The machine does not know this server. Please tell us about it.")) from None
    _remember(server, AFTER[wanted])


def _refuse_unless_ready(server: Server) -> None:
    if server.status == ServerStatus.SUSPENDED or has_holds(server):
        raise PowerRefused(_("The server is suspended. It can be started again once that is settled."))
    if server.status in {ServerStatus.PENDING, ServerStatus.INSTALLING}:
        raise PowerRefused(_("The server is still being installed. It starts by itself when that is done."))
    if server.status not in READY or not server.identifier:
        raise PowerRefused(_("The server cannot be started or stopped in its present state."))


def _remember(server: Server, status: ServerStatus) -> None:
    """What lists show until somebody looks; a status that has moved on meanwhile stands."""
    with tenancy.as_worker():
        Server.objects.filter(pk=server.pk, status__in=READY).update(status=status)
    cache.delete(cache_key(server))
