"""How a server stands, as its page says it, and which power buttons make sense then."""

from dataclasses import dataclass
from uuid import UUID

from django.core.cache import cache
from django.utils.translation import gettext_lazy as _

from core.models import StatusChoices, Tone
from servers.drivers.base import Power, Signal
from servers.models import Server, ServerStatus
from servers.usage import Figures

POWERED = {ServerStatus.RUNNING, ServerStatus.STOPPED}
OF_STATUS = {ServerStatus.RUNNING: Power.RUNNING, ServerStatus.STOPPED: Power.OFF}
GOAL = {Signal.START: Power.RUNNING, Signal.RESTART: Power.RUNNING, Signal.STOP: Power.OFF, Signal.KILL: Power.OFF}
ON_THE_WAY = {Power.RUNNING: Power.STARTING, Power.OFF: Power.STOPPING}
REMEMBERED_SECONDS = 40  # a panel may tell figures that are half a minute old


class PowerState(StatusChoices):
    STOPPED = "stopped", Tone.NEUTRAL, _("Stopped")
    STARTING = "starting", Tone.INFO, _("Starting")
    RUNNING = "running", Tone.SUCCESS, _("Running")
    STOPPING = "stopping", Tone.INFO, _("Stopping")


@dataclass(frozen=True)
class Shown:
    """The state to show, and what can be done now."""

    state: StatusChoices
    can_start: bool = False
    can_stop: bool = False
    can_kill: bool = False


def remember_press(server_id: UUID, signal: str) -> None:
    """A button was pressed with success: until the panel tells the outcome, the page says that it is under way."""
    cache.set(_key(server_id), GOAL[Signal(signal)].value, REMEMBERED_SECONDS)


def shown(server: Server, figures: Figures | None) -> Shown:
    """What the panel says of the machine, our own row where it says nothing."""
    status = ServerStatus(server.status)
    if status not in POWERED:
        return Shown(status)
    power = _power(server, figures.power if figures else OF_STATUS[status])
    return Shown(
        PowerState.STOPPED if power == Power.OFF else PowerState(power.value),
        can_start=power == Power.OFF,
        can_stop=power in {Power.RUNNING, Power.STARTING},
        can_kill=power != Power.OFF,
    )


def _power(server: Server, told: Power) -> Power:
    wanted = cache.get(_key(server.pk))
    if wanted is None or told == wanted:
        return told
    return ON_THE_WAY[Power(wanted)]


def _key(server_id: UUID) -> str:
    return f"servers:pressed:{server_id}"
