"""From installed to running, the first time.

A node that restarts during an install reports nothing, and its panel then shows the server as ready. Where a finished
install starts the server, one that is found off is installed once more before it counts as delivered, unless that
would erase it.
"""

from datetime import timedelta

from django.utils.translation import gettext as _

from core.work import Reschedule
from servers import events
from servers.convergence import installing
from servers.convergence.context import LATER, NOW, SOON, ConvergenceContext
from servers.drivers.abilities import Power, Reinstall, UsageFigures
from servers.drivers.base import PowerAction, PowerState, WrongState
from servers.hytale import sessions
from servers.models import ServerStatus, Step

# A node starts a server only after it has reported the end of the install.
FIRST_LOOK_AFTER = timedelta(seconds=1)
ON = {PowerState.STARTING, PowerState.RUNNING}


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server that looks installed and has never run."""
    server, driver = ctx.server, ctx.driver
    if server.is_install_doubtful:
        return installing.reinstall_doubtful(ctx)
    if server.installed_at is None:
        ctx.record(status=ServerStatus.INSTALLING, step=Step.INSTALLED, installed_at=ctx.at)
        return Reschedule(FIRST_LOOK_AFTER)
    if not isinstance(driver, UsageFigures):
        return mark_running(ctx, ServerStatus.RUNNING)
    try:
        power_state = driver.usage(ctx.existing.identifier).power_state
    except WrongState:
        return LATER
    if power_state in ON:
        return mark_running(ctx, ServerStatus.RUNNING)
    # It is off: wait for new figures, install once more, start it, and in the end deliver it as it is.
    facts, look_again = driver.facts, Reschedule(max(driver.facts.usage_max_age, SOON.after))
    can_install_again = facts.install_starts_server and facts.reinstall_keeps_data and isinstance(driver, Reinstall)
    is_left_to_us = sessions.starts_with_session(server, driver)
    if server.reinstall_asked_at is None and server.start_asked_at is None:
        rest = server.installed_at + facts.usage_max_age - ctx.at
        if rest > timedelta(0):
            return Reschedule(rest)
        if can_install_again and not is_left_to_us:
            return installing.reinstall(ctx)
    if server.start_asked_at is None and isinstance(driver, Power):
        start(ctx, driver)
        ctx.record(start_asked_at=ctx.at)
        return look_again
    if server.start_asked_at is not None and ctx.at < server.start_asked_at + facts.start_timeout:
        return look_again
    if can_install_again and is_left_to_us and server.reinstall_asked_at is None:
        return installing.reinstall(ctx)
    return mark_running(ctx, ServerStatus.STOPPED, note=_("It stopped by itself after the start."))


def start(ctx: ConvergenceContext, driver: Power) -> None:
    """Start it, with a game session where the shop signs it in."""
    sessions.prepare_start(ctx.server, ctx.driver, at=ctx.at)
    driver.send_power_action(ctx.existing.identifier, PowerAction.START)
    sessions.mark_started(ctx.server, is_restart=False, at=ctx.at)


def mark_running(ctx: ConvergenceContext, status: ServerStatus, note: str = "") -> Reschedule:
    """The server is delivered."""
    ctx.record(status=status, step=Step.RUNNING, note=note, event=events.servers_running, running_at=ctx.at, failure="")
    return NOW


def start_again(ctx: ConvergenceContext, *, step: Step) -> Reschedule:
    """What stopped it has ended, such as a suspension: the server is started, as it ran before."""
    if isinstance(ctx.driver, Power):
        try:
            start(ctx, ctx.driver)
        except WrongState:
            return LATER
    ctx.record(status=ServerStatus.RUNNING, step=step, event=events.servers_running, failure="")
    return NOW
