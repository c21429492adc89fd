"""Creating a server: recorded before the call, one call, and no second one while the first may still have worked."""

from dataclasses import replace
from datetime import timedelta

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers import builds
from servers.convergence import absence, accounts, installing
from servers.convergence.context import NOW, ConvergenceContext, replace_ports
from servers.drivers.base import AccountNotFound, PortTaken
from servers.models import ReservationState, ServerStatus, Step


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server that should be present, does not exist at the provider, and never did."""
    if ctx.server.status == ServerStatus.FAILED:
        return None
    if wait := wait_for_lost_answer(ctx):
        return wait
    if ctx.has_holds:
        ctx.record(status=ServerStatus.SUSPENDED)
        return None
    return accounts.ensure_account(ctx) or create(ctx)


def wait_for_lost_answer(ctx: ConvergenceContext) -> Reschedule | None:
    """After a creation whose answer was lost: not found twice, some time apart, means not created."""
    server = ctx.server
    if server.ref or server.create_asked_at is None:
        return None
    if server.create_missed_at is None:
        ctx.record(create_missed_at=ctx.at)
    rest = (server.create_missed_at or ctx.at) + ctx.driver.facts.lost_answer_wait - ctx.at
    return Reschedule(rest) if rest > timedelta(0) else None


def create(ctx: ConvergenceContext) -> Reschedule:
    """One call. It is recorded beforehand, and the record stays only where the answer was lost."""
    server, spec = ctx.server, ctx.spec
    if server.blueprint.provider.suspected_at is not None:
        absence.require_trusted(ctx)  # what is created while the address is wrong is lost when it is right again
    accounts.log_account(ctx)
    if server.reservation is None or server.reservation.state != ReservationState.CONFIRMED:
        raise outside.Rejected(_("No capacity is confirmed for this server, so it cannot be created."))
    if len(spec.allocations) < builds.build_facts(server.blueprint).min_ports:
        raise outside.Rejected(_("No port is reserved for this server."))
    build = spec.build or builds.game_build(server.blueprint, builds.environment_of(server))
    spec = replace(spec, attempt=server.create_attempts + 1, build=build)
    ctx.record(create_asked_at=ctx.at, create_missed_at=None, create_attempts=spec.attempt)
    try:
        remote = ctx.driver.create(spec)
    except PortTaken as error:
        ctx.record(create_asked_at=None)
        replace_ports(server, error.refs)
        ctx.record(
            step=Step.PLACED, note=_("With another port: the provider had given the first one to another server.")
        )
        return NOW
    except AccountNotFound:
        ctx.record(create_asked_at=None)
        accounts.forget_account(ctx)
        return NOW
    except (outside.Unavailable, outside.Rejected):
        ctx.record(create_asked_at=None)
        raise
    return installing.attach(ctx, remote)
