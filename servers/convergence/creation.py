"""Bringing a server into being: intent first, one call, and no second one while the first may still have worked."""

from datetime import timedelta

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers import capacity
from servers.convergence import accounts, building, installing
from servers.convergence.context import NOW, UNMADE, ConvergenceContext, spec_of, swap_ports
from servers.drivers.base import AccountGone, PortTaken
from servers.models import ReservationState, ServerStatus, Step

# A panel that lost its caller works on for as long as two node calls last.
SETTLING = timedelta(seconds=30)


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server that should be there and is not."""
    server = ctx.server
    if server.status == ServerStatus.FAILED:
        return None
    if server.ref:
        return _vanished(ctx)
    if wait := wait_for_lost_answer(ctx):
        return wait
    if ctx.has_holds:
        ctx.record(status=ServerStatus.SUSPENDED)
        return None
    return accounts.step(ctx) or _create(ctx)


def _vanished(ctx: ConvergenceContext) -> Reschedule:
    """It was there and is gone: only a person may decide to make it anew, by Retry."""
    if ctx.server.status != ServerStatus.PENDING:
        raise outside.Rejected(_("The panel no longer has this server. Retry makes it anew, without its files."))
    ctx.record(**UNMADE)
    return NOW


def wait_for_lost_answer(ctx: ConvergenceContext) -> Reschedule | None:
    """Where a creation's answer never came: look, and look again half a minute later, before it counts as not made."""
    server = ctx.server
    if server.ref or server.create_asked_at is None:
        return None
    if server.create_missed_at is None:
        ctx.record(create_missed_at=ctx.at)
    rest = (server.create_missed_at or ctx.at) + SETTLING - ctx.at
    return Reschedule(rest) if rest > timedelta(0) else None


def _create(ctx: ConvergenceContext) -> Reschedule:
    """Ask once. The intent is on record before the call; it stays there only where the answer was lost."""
    _refuse_without_room(ctx)
    build, spec = building.build_of(ctx.server), spec_of(ctx, accounts.required(ctx))
    ctx.record(create_asked_at=ctx.at, create_missed_at=None)
    try:
        seen = ctx.driver.create(spec, build)
    except PortTaken as error:
        ctx.record(create_asked_at=None)
        return _take_other_ports(ctx, error)
    except AccountGone:
        ctx.record(create_asked_at=None)
        accounts.forget(ctx)
        return NOW
    except (outside.Unavailable, outside.Rejected):
        ctx.record(create_asked_at=None)
        raise
    return installing.adopt(ctx, seen)


def _refuse_without_room(ctx: ConvergenceContext) -> None:
    reservation = ctx.server.reservation
    if reservation is None or reservation.state != ReservationState.CONFIRMED:
        raise outside.Rejected(_("No room is kept for this server, so it cannot be placed."))


def _take_other_ports(ctx: ConvergenceContext, error: PortTaken) -> Reschedule:
    try:
        swap_ports(ctx, error.refs)
    except capacity.NoFreePort:
        reason = _("The panel gave this server's port to another one, and its node has no other port free.")
        raise outside.Rejected(reason) from error
    ctx.record(step=Step.PLACED, note=_("On another port: the panel had given the first one away."))
    return NOW
