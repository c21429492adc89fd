"""Suspended while any hold stands; and what a suspension hides.

The panel keeps one status. A suspension replaces "installing" and "install failed", and lifting it always reads as
ready, as does a suspension whose node call failed. So the install of a server suspended before it was first seen
running is doubtful, until an install has been watched to its end.
"""

from django.utils.translation import gettext as _

from core.work import Reschedule
from servers import events
from servers.convergence import drift, installing
from servers.convergence.context import LATER, NOW, SOON, ConvergenceContext
from servers.drivers.base import RemoteState
from servers.models import ServerStatus, Step


def keep(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server that has to stay suspended."""
    if ctx.present.condition is not RemoteState.SUSPENDED:
        return _suspend(ctx)
    if ctx.server.status != ServerStatus.SUSPENDED:
        _mark_doubt(ctx)
        ctx.record(status=ServerStatus.SUSPENDED, step=Step.SUSPENDED, news=events.server_suspended, failure="")
        return NOW
    return drift.step(ctx)


def _suspend(ctx: ConvergenceContext) -> Reschedule:
    """Suspend, and look again. The end of a running restore would lift it, so that is waited for."""
    if ctx.present.condition is RemoteState.RESTORING:
        return LATER
    _mark_doubt(ctx)
    ctx.driver.suspend(ctx.present)
    if ctx.server.status == ServerStatus.SUSPENDED:
        ctx.record(step=Step.SUSPENDED, note=_("Again: the panel had lifted the suspension."))
    return SOON


def _mark_doubt(ctx: ConvergenceContext) -> None:
    """On record before the call: even one that fails replaces the status of the install."""
    if ctx.server.running_at is None and not ctx.server.is_install_doubtful:
        ctx.record(is_install_doubtful=True)


def lift(ctx: ConvergenceContext) -> Reschedule:
    """No hold stands and the panel still suspends it."""
    if ctx.server.running_at is None:
        return installing.again(ctx)
    ctx.driver.resume(ctx.present)
    if ctx.server.status != ServerStatus.SUSPENDED:  # suspended by somebody on the panel
        ctx.record(status=ServerStatus.SUSPENDED)
    return NOW
