"""Taking a server away to the end: the provider first, then the room."""

from core import tenancy
from core.work import Reschedule
from servers import capacity, events
from servers.convergence.context import NOW, ConvergenceContext
from servers.convergence.creation import wait_for_lost_answer
from servers.models import ServerStatus, Step


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server that should not be there. Only the panel's own "not found" ends it."""
    if ctx.server.status != ServerStatus.DELETING:
        ctx.record(status=ServerStatus.DELETING, failure="")
    if ctx.seen is not None:
        ctx.driver.delete(ctx.seen)
        if not ctx.server.ref:  # a creation whose answer was lost did work
            ctx.record(ref=ctx.seen.ref)
        return NOW
    if wait := wait_for_lost_answer(ctx):
        return wait
    _gone(ctx)
    return None


def _gone(ctx: ConvergenceContext) -> None:
    with tenancy.as_worker():
        ctx.record(
            status=ServerStatus.DELETED, step=Step.DELETED, news=events.server_deleted, deleted_at=ctx.at, failure=""
        )
        if ctx.server.reservation_id is not None:
            capacity.release(reservation_id=ctx.server.reservation_id, at=ctx.at)
