"""The next step for a server that should be there and is."""

from core.work import Reschedule
from servers.convergence import booting, drift, installing, suspension
from servers.convergence.context import LATER, ConvergenceContext
from servers.drivers.base import RemoteState
from servers.models import ServerStatus

FAILED_INSTALLS = {RemoteState.INSTALL_FAILED, RemoteState.REINSTALL_FAILED}


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """What most needs doing, in this order: know it, hold it, release it, install it, boot it, put it right."""
    seen = ctx.present
    if ctx.server.ref != seen.ref:
        return installing.adopt(ctx, seen)
    if ctx.has_holds:
        return suspension.keep(ctx)
    if seen.condition is RemoteState.SUSPENDED:
        return suspension.lift(ctx)
    return _awake(ctx, seen.condition)


def _awake(ctx: ConvergenceContext, condition: RemoteState) -> Reschedule | None:
    if condition is RemoteState.INSTALLING:
        return installing.watch(ctx)
    if condition in FAILED_INSTALLS:
        return installing.failed(ctx)
    if condition is RemoteState.RESTORING:
        return LATER
    if ctx.server.running_at is None:
        return booting.step(ctx)
    if ctx.server.status == ServerStatus.SUSPENDED:
        return booting.mark_resumed(ctx)
    return drift.step(ctx)
