"""The status that a server's page shows, and which power actions are possible in it."""

from dataclasses import dataclass
from uuid import UUID

from django.core.cache import cache
from django.utils.translation import gettext_lazy as _

from core.models import StatusChoices, Tone
from servers.drivers.base import PowerAction, PowerState
from servers.live.usage import LiveUsage
from servers.models import Server, ServerStatus

INSTALLED = {ServerStatus.RUNNING, ServerStatus.STOPPED}
STATE_OF_STATUS = {ServerStatus.RUNNING: PowerState.RUNNING, ServerStatus.STOPPED: PowerState.OFF}
# What an action leads to in the end, and what is shown until the panel reports that.
TARGET_STATE = {
    PowerAction.START: PowerState.RUNNING,
    PowerAction.RESTART: PowerState.RUNNING,
    PowerAction.STOP: PowerState.OFF,
    PowerAction.KILL: PowerState.OFF,
}
STATE_ON_THE_WAY = {PowerState.RUNNING: PowerState.STARTING, PowerState.OFF: PowerState.STOPPING}
PENDING_ACTION_SECONDS = 40  # a panel may report usage that is half a minute old


class PowerStatus(StatusChoices):
    """A driver's PowerState as customers read it."""

    OFF = "off", Tone.NEUTRAL, _("Stopped")
    STARTING = "starting", Tone.INFO, _("Starting")
    RUNNING = "running", Tone.SUCCESS, _("Running")
    STOPPING = "stopping", Tone.INFO, _("Stopping")


@dataclass(frozen=True)
class LiveStatus:
    """The state to show, and which power actions are possible in it."""

    state: StatusChoices
    can_start: bool = False
    can_stop: bool = False
    can_kill: bool = False


def store_pending_action(server_id: UUID, action: str) -> None:
    """After an action was sent: until the panel reports its outcome, the page shows that it is under way."""
    cache.set(_key(server_id), TARGET_STATE[PowerAction(action)].value, PENDING_ACTION_SECONDS)


def live_status(server: Server, usage: LiveUsage | None) -> LiveStatus:
    """What the panel reports of the server; our own row's status where it reports nothing."""
    status = ServerStatus(server.status)
    if status not in INSTALLED:
        return LiveStatus(status)
    reported = usage.power_state if usage else STATE_OF_STATUS[status]
    target = cache.get(_key(server.pk))
    state = reported if target in {None, reported} else STATE_ON_THE_WAY[PowerState(target)]
    return LiveStatus(
        PowerStatus(state.value),
        can_start=state == PowerState.OFF,
        can_stop=state in {PowerState.RUNNING, PowerState.STARTING},
        can_kill=state != PowerState.OFF,
    )


def _key(server_id: UUID) -> str:
    return f"servers:pending-action:{server_id}"
