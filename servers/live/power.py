"""Starting, stopping, restarting and killing a server."""

from datetime import datetime

from django.core.cache import cache
from django.utils.translation import gettext as _

from accounts.models import User
from core import audit, tenancy
from core.outside import refuse_transaction
from servers.drivers import registry
from servers.drivers.abilities import Power
from servers.drivers.base import NotOnNode, PowerAction, WrongState
from servers.live.status import INSTALLED
from servers.live.usage import cache_key
from servers.models import Server, ServerStatus

STATUS_AFTER = {
    PowerAction.START: ServerStatus.RUNNING,
    PowerAction.RESTART: ServerStatus.RUNNING,
    PowerAction.STOP: ServerStatus.STOPPED,
    PowerAction.KILL: ServerStatus.STOPPED,
}


class PowerRefused(Exception):
    """The action was not sent; the text says why, for the customer."""


def send_power_action(*, server: Server, action: str, actor: User | None, at: datetime) -> None:
    """Send start, stop, restart or kill to the panel, which answers before the outcome shows.

    Never inside a transaction. Raises PowerRefused, or core.outside's errors where the panel does not answer.
    """
    refuse_transaction("a provider")
    with tenancy.as_worker(server):
        server = Server.objects.select_related("blueprint__provider").get(pk=server.pk)
    if server.status == ServerStatus.SUSPENDED or server.has_holds():
        raise PowerRefused(_("The server is suspended. You can start it again once the suspension is lifted."))
    if server.status in {ServerStatus.PENDING, ServerStatus.INSTALLING}:
        raise PowerRefused(_("The server is still being installed. It starts by itself when that is done."))
    if server.status not in INSTALLED or not server.identifier:
        raise PowerRefused(_("The server cannot be started or stopped in its present state."))
    driver, power_action = registry.driver_of(server.blueprint.provider), PowerAction(action)
    if not isinstance(driver, Power):
        raise PowerRefused(_("This server cannot be started or stopped from here."))
    new = {"action": power_action.value}
    audit.record_informational(action="server.power", entity=server, actor=actor, new=new, at=at)
    try:
        driver.send_power_action(server.identifier, power_action)
    except WrongState:
        raise PowerRefused(_("The server is busy with something else at the moment. Try again in a minute.")) from None
    except NotOnNode:
        raise PowerRefused(_("The server was not found on its node. Please contact support.")) from None
    # Lists show this until convergence looks again; a status that has changed meanwhile is left alone.
    with tenancy.as_worker():
        Server.objects.filter(pk=server.pk, status__in=INSTALLED).update(status=STATUS_AFTER[power_action])
    cache.delete(cache_key(server))
