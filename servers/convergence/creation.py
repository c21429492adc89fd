"""Creating a server: recorded before the call, one call, and no second one while the first may still have worked."""

from datetime import timedelta

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers.convergence import accounts, build, installing
from servers.convergence.context import NOT_CREATED, NOW, ConvergenceContext, replace_ports, spec_of
from servers.drivers.base import AccountNotFound, PortTaken
from servers.models import ReservationState, ServerStatus, Step

# A panel that lost its caller works on for as long as two node calls last.
LOST_ANSWER_WAIT = timedelta(seconds=30)


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server that should be present and does not exist at the provider."""
    server = ctx.server
    if server.status == ServerStatus.FAILED:
        return None
    if server.ref:
        # It existed and is gone. Only staff may decide to create it again, by Retry.
        if server.status != ServerStatus.PENDING:
            raise outside.Rejected(_("The panel no longer has this server. Retry creates it again, without its files."))
        ctx.record(**NOT_CREATED)
        return NOW
    if wait := wait_for_lost_answer(ctx):
        return wait
    if ctx.has_holds:
        ctx.record(status=ServerStatus.SUSPENDED)
        return None
    return accounts.step(ctx) or create(ctx)


def wait_for_lost_answer(ctx: ConvergenceContext) -> Reschedule | None:
    """After a creation whose answer was lost: not found twice, half a minute apart, means not created."""
    server = ctx.server
    if server.ref or server.create_asked_at is None:
        return None
    if server.create_missed_at is None:
        ctx.record(create_missed_at=ctx.at)
    rest = (server.create_missed_at or ctx.at) + LOST_ANSWER_WAIT - ctx.at
    return Reschedule(rest) if rest > timedelta(0) else None


def create(ctx: ConvergenceContext) -> Reschedule:
    """One call. It is recorded beforehand, and the record stays only where the answer was lost."""
    reservation = ctx.server.reservation
    if reservation is None or reservation.state != ReservationState.CONFIRMED:
        raise outside.Rejected(_("No capacity is confirmed for this server, so it cannot be created."))
    server_build, spec = build.build_of(ctx.server), spec_of(ctx, accounts.account_of(ctx))
    ctx.record(create_asked_at=ctx.at, create_missed_at=None)
    try:
        remote = ctx.driver.create(spec, server_build)
    except PortTaken as error:
        ctx.record(create_asked_at=None)
        replace_ports(ctx.server, error.refs)
        ctx.record(step=Step.PLACED, note=_("With another port: the panel had assigned the first one elsewhere."))
        return NOW
    except AccountNotFound:
        ctx.record(create_asked_at=None)
        accounts.forget_account(ctx)
        return NOW
    except (outside.Unavailable, outside.Rejected):
        ctx.record(create_asked_at=None)
        raise
    return installing.attach(ctx, remote)
