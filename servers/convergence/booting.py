"""From installed to running, the first time.

A node that restarts during an install reports nothing, and the panel then shows the server as ready. What gives it away
is that the game was never started, as a finished install does; so a server found off is installed once more before it
counts as delivered.
"""

from datetime import timedelta

from django.utils.translation import gettext as _

from core.work import Reschedule
from servers import events
from servers.convergence import installing
from servers.convergence.context import LATER, NOW, ConvergenceContext
from servers.drivers.base import Capability, Power, Signal, WrongState
from servers.models import ServerStatus, Step

# The panel keeps power figures for 20 s, so looking again sooner shows nothing new. The first look is not to be
# wasted: we take it that a node starts the game only after it has told the panel of the install's end.
FRESH_FIGURES = timedelta(seconds=21)
FIRST_REST = timedelta(seconds=1)
START_PATIENCE = timedelta(seconds=60)
UP = {Power.STARTING, Power.RUNNING}


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server that looks installed and was never seen running."""
    server = ctx.server
    if server.is_install_doubtful:
        return installing.again(ctx)
    if server.installed_at is None:
        ctx.record(status=ServerStatus.INSTALLING, step=Step.INSTALLED, installed_at=ctx.at)
        return Reschedule(FIRST_REST)
    if not ctx.can(Capability.USAGE):
        return mark_running(ctx, ServerStatus.RUNNING)
    try:
        power = ctx.driver.usage(ctx.present.identifier).power
    except WrongState:
        return LATER
    return mark_running(ctx, ServerStatus.RUNNING) if power in UP else ensure_started(ctx)


def ensure_started(ctx: ConvergenceContext) -> Reschedule | None:
    """It is off: wait for fresh figures, install once more, start it, and in the end take it as it is."""
    server = ctx.server
    if server.reinstall_asked_at is None:
        rest = (server.installed_at or ctx.at) + FRESH_FIGURES - ctx.at
        return Reschedule(rest) if rest > timedelta(0) else installing.again(ctx)
    if server.start_asked_at is None:
        ctx.driver.press(ctx.present.identifier, Signal.START)
        ctx.record(start_asked_at=ctx.at)
        return Reschedule(FRESH_FIGURES)
    if ctx.at < server.start_asked_at + START_PATIENCE:
        return Reschedule(FRESH_FIGURES)
    return mark_running(ctx, ServerStatus.STOPPED, note=_("It stopped by itself after the start."))


def mark_running(ctx: ConvergenceContext, status: ServerStatus, note: str = "") -> Reschedule:
    ctx.record(status=status, step=Step.RUNNING, note=note, news=events.server_running, running_at=ctx.at, failure="")
    return NOW


def mark_resumed(ctx: ConvergenceContext) -> Reschedule:
    """The suspension is lifted: the game starts, as it ran before."""
    if ctx.can(Capability.POWER):
        try:
            ctx.driver.press(ctx.present.identifier, Signal.START)
        except WrongState:
            return LATER
    ctx.record(status=ServerStatus.RUNNING, step=Step.RESUMED, news=events.server_resumed, failure="")
    return NOW
