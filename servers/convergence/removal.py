"""Deleting a server: at the provider first, then its capacity is released."""

from core import outside, site_settings, tenancy
from core.work import Reschedule
from servers import capacity
from servers.convergence import absence
from servers.convergence.context import LATER, NOW, SOON, ConvergenceContext
from servers.convergence.creation import wait_for_lost_answer
from servers.drivers.abilities import FinalBackup
from servers.hytale import sessions
from servers.models import ServerStatus, Step


def _keep_final_backup(ctx: ConvergenceContext) -> Reschedule | None:
    """Wait for the copy that outlives a server that has run, where the shop keeps one and the provider can."""
    server, driver = ctx.server, ctx.driver
    is_due = server.running_at is not None and server.delete_asked_at is None and not server.is_backed_up
    if not is_due or not site_settings.get("servers.keep_final_backup") or not isinstance(driver, FinalBackup):
        return None
    if not driver.keep_final_backup(ctx.spec, ctx.existing):
        return LATER
    ctx.record(step=Step.BACKED_UP, is_backed_up=True)
    return NOW


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server that should be absent. Only the provider's own "not found" ends it."""
    server = ctx.server
    if ctx.remote is None and server.ref and server.delete_asked_at is None:
        absence.require_trusted(ctx)  # we did not delete it
    if server.status != ServerStatus.DELETING:
        ctx.record(status=ServerStatus.DELETING, failure="")
    if ctx.remote is not None:
        if wait := _keep_final_backup(ctx):
            return wait
        is_repeated = server.delete_asked_at is not None
        # `ref` is not known yet where a creation whose answer was lost did work.
        ctx.record(ref=ctx.remote.ref, identifier=ctx.remote.identifier, delete_asked_at=ctx.at)
        try:
            ctx.driver.delete(ctx.remote)
        except (outside.Unavailable, outside.Rejected):
            ctx.record(delete_asked_at=None)
            raise
        return SOON if is_repeated else NOW  # a provider may take a while to delete it
    if wait := wait_for_lost_answer(ctx):
        return wait
    with tenancy.as_worker():
        ctx.record(status=ServerStatus.DELETED, step=Step.DELETED, deleted_at=ctx.at, failure="")
        sessions.request_end(server, at=ctx.at)
        if server.reservation_id is not None:
            capacity.release(reservation_ids=[server.reservation_id], at=ctx.at)
    return None
