"""From installed to running, the first time.

A node that restarts during an install reports nothing, and the panel then shows the server as ready. But a finished
install starts the game, so a server that is found off is installed once more before it counts as delivered.
"""

from datetime import timedelta

from django.utils.translation import gettext as _

from core.work import Reschedule
from servers import events
from servers.convergence import installing
from servers.convergence.context import LATER, NOW, ConvergenceContext
from servers.drivers.base import Capability, PowerAction, PowerState, WrongState
from servers.models import ServerStatus, Step

# The panel caches usage for 20 s, so looking again sooner shows nothing new. The first look waits a moment, since a
# node starts the game only after it has reported the end of the install to the panel.
USAGE_CACHE = timedelta(seconds=21)
FIRST_LOOK_AFTER = timedelta(seconds=1)
START_TIMEOUT = timedelta(seconds=60)
ON = {PowerState.STARTING, PowerState.RUNNING}


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server that looks installed and has never run."""
    server = ctx.server
    if server.is_install_doubtful:
        return installing.reinstall(ctx)
    if server.installed_at is None:
        ctx.record(status=ServerStatus.INSTALLING, step=Step.INSTALLED, installed_at=ctx.at)
        return Reschedule(FIRST_LOOK_AFTER)
    if not ctx.can(Capability.USAGE):
        return mark_running(ctx, ServerStatus.RUNNING)
    try:
        power_state = ctx.driver.usage(ctx.existing.identifier).power_state
    except WrongState:
        return LATER
    if power_state in ON:
        return mark_running(ctx, ServerStatus.RUNNING)
    # It is off: wait for new usage, install once more, start it, and in the end deliver it as it is.
    if server.reinstall_asked_at is None:
        rest = server.installed_at + USAGE_CACHE - ctx.at
        return Reschedule(rest) if rest > timedelta(0) else installing.reinstall(ctx)
    if server.start_asked_at is None:
        ctx.driver.send_power_action(ctx.existing.identifier, PowerAction.START)
        ctx.record(start_asked_at=ctx.at)
        return Reschedule(USAGE_CACHE)
    if ctx.at < server.start_asked_at + START_TIMEOUT:
        return Reschedule(USAGE_CACHE)
    return mark_running(ctx, ServerStatus.STOPPED, note=_("It stopped by itself after the start."))


def mark_running(ctx: ConvergenceContext, status: ServerStatus, note: str = "") -> Reschedule:
    """The server is delivered."""
    ctx.record(status=status, step=Step.RUNNING, note=note, event=events.servers_running, running_at=ctx.at, failure="")
    return NOW


def mark_resumed(ctx: ConvergenceContext) -> Reschedule:
    """The suspension is lifted: the game is started, as it ran before."""
    if ctx.can(Capability.POWER):
        try:
            ctx.driver.send_power_action(ctx.existing.identifier, PowerAction.START)
        except WrongState:
            return LATER
    ctx.record(status=ServerStatus.RUNNING, step=Step.RESUMED, failure="")
    return NOW
