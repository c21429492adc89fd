"""A server that is as alive as it should be: its size, ports, name and owner, where they differ from ours."""

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers import capacity
from servers.convergence import accounts
from servers.convergence.context import NOW, ConvergenceContext, spec_of, swap_ports
from servers.drivers.base import Capability, RemoteServer, ServerSpec
from servers.models import ServerStatus, Step

AWAKE = {ServerStatus.RUNNING, ServerStatus.STOPPED, ServerStatus.SUSPENDED}


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """Bring size and description in line; None when all is as it should be."""
    spec = spec_of(ctx, accounts.required(ctx))
    if not _has_size(ctx.present, spec) and ctx.can(Capability.RESIZE):
        return _resize(ctx, spec)
    if not _has_description(ctx.present, spec):
        return _describe(ctx, spec)
    if ctx.server.status not in AWAKE:
        ctx.record(status=ServerStatus.RUNNING, failure="")
    return None


def _has_size(seen: RemoteServer, spec: ServerSpec) -> bool:
    is_placed = seen.allocation_refs == set(spec.allocations) and seen.primary_ref == spec.allocations[0]
    return seen.limits == spec.limits and is_placed and not seen.can_add_ports


def _has_description(seen: RemoteServer, spec: ServerSpec) -> bool:
    return seen.name == spec.name and seen.account_ref == spec.account.ref


def _resize(ctx: ConvergenceContext, spec: ServerSpec) -> Reschedule:
    """The panel passes over ports it cannot give and says nothing: what it did shows in what it has now."""
    now = ctx.driver.resize(ctx.present, spec)
    missing = set(spec.allocations) - now.allocation_refs
    if missing:
        return _take_other_ports(ctx, missing)
    if now == ctx.present:
        raise outside.Rejected(_("The panel did not take over the server's new size."))
    if _has_size(now, spec):
        ctx.record(step=Step.RESIZED)
    return NOW


def _take_other_ports(ctx: ConvergenceContext, missing: set[str]) -> Reschedule:
    try:
        swap_ports(ctx, missing)
    except capacity.NoFreePort as error:
        raise outside.Rejected(_("The server's node has no free port for it.")) from error
    return NOW


def _describe(ctx: ConvergenceContext, spec: ServerSpec) -> Reschedule:
    now = ctx.driver.describe(ctx.present, spec)
    if not _has_description(now, spec):
        raise outside.Rejected(_("The panel did not take over the server's name or owner."))
    return NOW
