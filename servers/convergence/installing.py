"""From created to installed: watching the install to its end, and installing again where that is the only proof."""

from datetime import timedelta

from django.utils.translation import gettext as _

from core import outside
from core.models import WorkState
from core.work import Reschedule
from servers.convergence.context import NOW, UNMADE, ConvergenceContext, ports_of
from servers.drivers.base import Capability, NotOnNode, RemoteServer
from servers.models import ProvisioningTask, ServerStatus, Step

# An install is looked at again after a twentieth of the time it has taken: waiting adds a fortieth, on the average.
QUICKEST, SLOWEST = timedelta(seconds=1), timedelta(seconds=30)
SHARE = 20
# The panel allows 240 calls a minute; all looks at it together take half of that, two a second.
LOOKS_A_SECOND = 2
ON_THEIR_WAY = (ServerStatus.PENDING, ServerStatus.INSTALLING, ServerStatus.DELETING)


def adopt(ctx: ConvergenceContext, seen: RemoteServer) -> Reschedule:
    """Write down that the server exists, whether by the call just made or by an earlier one whose answer was lost."""
    ports = ports_of(ctx.server)
    primary = next((port for port in ports if port.ref == seen.primary_ref), ports[0] if ports else None)
    ctx.record(
        status=ServerStatus.INSTALLING,
        step=Step.CREATED,
        ref=seen.ref,
        identifier=seen.identifier,
        ip=primary.ip if primary else "",
        port=primary.port if primary else None,
        address=primary.address if primary else "",
        install_deadline_at=ctx.at + _patience(ctx),
        create_missed_at=None,
        failure="",
    )
    return Reschedule(_pace(ctx))


def watch(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step while the panel says that the install goes on."""
    server = ctx.server
    if server.status == ServerStatus.FAILED:
        return None
    is_late = server.install_deadline_at is not None and ctx.at > server.install_deadline_at
    if server.status == ServerStatus.INSTALLING and server.install_deadline_at is not None:
        if is_late:
            minutes = server.blueprint.install_minutes
            raise outside.Rejected(_("The install did not end within {minutes} minutes.").format(minutes=minutes))
        return Reschedule(_pace(ctx))
    if server.status == ServerStatus.PENDING and is_late:
        return again(ctx)  # a person pressed Retry on an install that is stuck
    ctx.record(status=ServerStatus.INSTALLING, install_deadline_at=ctx.at + _patience(ctx), is_install_doubtful=False)
    return Reschedule(_pace(ctx))


def failed(ctx: ConvergenceContext) -> Reschedule | None:
    """The panel reports a failed install: a failure to be seen, and after Retry another try."""
    if ctx.server.status == ServerStatus.FAILED:
        return None
    if ctx.server.status == ServerStatus.PENDING:
        return again(ctx)
    raise outside.Rejected(_("The game could not be installed. The node's install log tells why."))


def again(ctx: ConvergenceContext) -> Reschedule:
    """Install from the start. It also lifts a suspension, and how it ends can be seen."""
    if not ctx.can(Capability.REINSTALL):
        raise outside.Rejected(_("Whether the server is installed cannot be told, and its panel cannot install again."))
    try:
        ctx.driver.reinstall(ctx.present)
    except NotOnNode:
        return _start_over(ctx)
    ctx.record(
        status=ServerStatus.INSTALLING,
        install_deadline_at=ctx.at + _patience(ctx),
        installed_at=None,
        start_asked_at=None,
        reinstall_asked_at=ctx.at,
        is_install_doubtful=False,
        failure="",
    )
    return Reschedule(_pace(ctx))


def _start_over(ctx: ConvergenceContext) -> Reschedule:
    """The node never heard of the server. One that nobody used is deleted and made anew; any other is for a person."""
    if ctx.server.running_at is not None:
        raise outside.Rejected(_("The node no longer knows this server; its files may be lost."))
    ctx.driver.delete(ctx.present)
    ctx.record(status=ServerStatus.PENDING, failure="", **UNMADE)
    return NOW


def _patience(ctx: ConvergenceContext) -> timedelta:
    return timedelta(minutes=ctx.server.blueprint.install_minutes)


def _pace(ctx: ConvergenceContext) -> timedelta:
    """When to look again: quick at first, slower as the install goes on, and slower the more servers are at work."""
    deadline = ctx.server.install_deadline_at or ctx.at
    elapsed = ctx.at - (deadline - _patience(ctx))
    crowd = timedelta(seconds=1) * _at_work(ctx) / LOOKS_A_SECOND
    return max(QUICKEST, min(elapsed / SHARE, SLOWEST), crowd)


def _at_work(ctx: ConvergenceContext) -> int:
    """How many servers of this provider are on their way, each with a look at its every step.

    Those that a recheck queues are looked at once and are no crowd.
    """
    provider = ctx.server.blueprint.provider
    at_work = ProvisioningTask.objects.filter(state__in=[WorkState.QUEUED, WorkState.RUNNING])
    return at_work.filter(server__blueprint__provider=provider, server__status__in=ON_THEIR_WAY).count()
