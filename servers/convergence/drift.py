"""A server that exists and is not being installed: its size, ports, name and owner, where they differ from ours."""

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers.convergence import accounts
from servers.convergence.context import NOW, ConvergenceContext, replace_ports, spec_of
from servers.drivers.base import Capability, RemoteServer, ServerSpec
from servers.models import ServerStatus, Step

SETTLED = {ServerStatus.RUNNING, ServerStatus.STOPPED, ServerStatus.SUSPENDED}


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """Correct size and details; None when nothing differs."""
    spec = spec_of(ctx, accounts.account_of(ctx))
    if not has_size(ctx.existing, spec) and ctx.can(Capability.RESIZE):
        return resize(ctx, spec)
    if not has_details(ctx.existing, spec):
        if not has_details(ctx.driver.update_details(ctx.existing, spec), spec):
            raise outside.Rejected(_("The panel did not accept the server's name or owner."))
        return NOW
    if ctx.server.status not in SETTLED:
        ctx.record(status=ServerStatus.RUNNING, failure="")
    return None


def has_size(remote: RemoteServer, spec: ServerSpec) -> bool:
    """Whether the limits and ports are the spec's."""
    has_ports = remote.allocation_refs == set(spec.allocations) and remote.primary_ref == spec.allocations[0]
    return remote.limits == spec.limits and has_ports and not remote.can_add_ports


def has_details(remote: RemoteServer, spec: ServerSpec) -> bool:
    """Whether the name and owner are the spec's."""
    return remote.name == spec.name and remote.account_ref == spec.account.ref


def resize(ctx: ConvergenceContext, spec: ServerSpec) -> Reschedule:
    """The panel skips ports that it cannot add and says nothing, so the answer is compared with the spec."""
    resized = ctx.driver.resize(ctx.existing, spec)
    missing = set(spec.allocations) - resized.allocation_refs
    if missing:
        replace_ports(ctx.server, missing)
        return NOW
    if resized == ctx.existing:
        raise outside.Rejected(_("The panel did not accept the server's new size."))
    if has_size(resized, spec):
        ctx.record(step=Step.RESIZED)
    return NOW
