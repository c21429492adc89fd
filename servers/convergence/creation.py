"""Creating a server: recorded before the call, one call, and no second one while the first may still have worked."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers import builds
from servers.convergence import absence, accounts, installing
from servers.convergence.context import LATER, NOW, SOON, ConvergenceContext, replace_ports
from servers.drivers.abilities import ComparedCreation
from servers.drivers.base import AccountNotFound, GameBuild, MachineBuild, PortTaken, ServerSpec
from servers.hytale import sessions
from servers.locks import advisory_lock
from servers.models import ReservationState, Server, ServerStatus, Step

LOOK_EVERY = timedelta(seconds=30)  # for a creation whose answer was lost
# So long after it was asked for, another creation of the account is no longer under way: its answer was lost.
CREATION_TAKES = timedelta(seconds=10)


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
    """After a creation whose answer was lost: not found for some time, looked for repeatedly, means not created."""
    server = ctx.server
    if server.ref or server.create_asked_at is None:
        return None
    if server.create_missed_at is None:
        ctx.record(create_missed_at=ctx.at)
    rest = (server.create_missed_at or ctx.at) + ctx.driver.facts.lost_answer_wait - ctx.at
    return Reschedule(min(rest, LOOK_EVERY)) if rest > timedelta(0) else None


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
    build = spec.build or builds.game_build(
        server.blueprint, builds.environment_of(server), server.build.get("image", "")
    )
    if isinstance(build, MachineBuild) and ctx.driver.facts.takes_root_password:
        if not server.root_password:  # each attempt has the same, until its customer has seen it
            ctx.record(root_password=builds.new_root_password())
        build = replace(build, root_password=server.root_password or "")
    if isinstance(build, GameBuild) and sessions.starts_with_session(server, ctx.driver):
        build = replace(build, starts_after_install=False)
    spec = replace(spec, attempt=server.create_attempts + 1, build=build)
    try:
        if wait := record_request(ctx, spec):
            return wait
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


def record_request(ctx: ConvergenceContext, spec: ServerSpec) -> Reschedule | None:
    """Record what is about to be asked for; None when it may be.

    Where only a comparison tells what was created, that is one creation for each account at a time: of two whose
    answers were lost nobody could say which made what.
    """
    server, provider_id = ctx.server, ctx.server.blueprint.provider_id
    columns: dict[str, Any] = {"create_asked_at": ctx.at, "create_missed_at": None, "create_attempts": spec.attempt}
    if not isinstance(ctx.driver, ComparedCreation):
        ctx.record(**columns)
        return None
    with advisory_lock(f"creation:{provider_id}:{server.owner_id}") as is_locked:
        if not is_locked:
            return SOON
        others = Server.objects.filter(blueprint__provider=provider_id, owner=server.owner_id, ref="")
        others = others.exclude(pk=server.pk).exclude(create_asked_at=None).exclude(status=ServerStatus.DELETED)
        if open_since := others.order_by("create_asked_at").values_list("create_asked_at", flat=True).first():
            return SOON if ctx.at - open_since < CREATION_TAKES else LATER
        ctx.record(**columns, create_note=dict(ctx.driver.before_create(spec)))
    return None
