"""A server that exists and is not being installed: what the driver says differs from its spec is put right."""

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers import events
from servers.convergence import accounts, relocation, resizing
from servers.convergence.context import NOW, ConvergenceContext, replace_ports
from servers.drivers.base import Difference, PortTaken
from servers.models import ServerStatus, Step

SETTLED = {ServerStatus.RUNNING, ServerStatus.STOPPED, ServerStatus.SUSPENDED}
SIZE = {Difference.SIZE, Difference.PORTS}


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """Take away a difference; None when there is none. Unavailable until it is known where a moved server is."""
    if relocation.is_moved(ctx):
        raise outside.Unavailable("the server was moved to a node or ports that no sync has seen yet")
    if wait := accounts.ensure_account(ctx):
        return wait
    differences = ctx.driver.differences(ctx.spec, ctx.existing)
    if ctx.server.resize_asked_at is not None and not differences & SIZE:
        resizing.finish(ctx)
    if not differences:
        if ctx.server.status not in SETTLED:
            ctx.record(status=ServerStatus.RUNNING, event=events.servers_running, failure="")
        return None
    try:
        changed = ctx.driver.apply(ctx.spec, ctx.existing)
    except PortTaken as error:  # it has the new size, and other ports are added in the next round
        replace_ports(ctx.server, error.refs)
        return NOW
    left = ctx.driver.differences(ctx.spec, changed)
    if left == differences and changed == ctx.existing:
        named = ", ".join(sorted(left))
        raise outside.Rejected(_("The provider did not accept a change of the server: {named}.").format(named=named))
    if differences & SIZE and not left & SIZE and ctx.server.resize_asked_at is None:
        ctx.record(step=Step.RESIZED)  # one that was asked for is recorded at its end, whose answer may be lost here
    return NOW
