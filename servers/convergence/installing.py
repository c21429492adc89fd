"""From created to installed: watching the install to its end, and installing again where that is the only proof."""

from datetime import timedelta

from django.utils.translation import gettext as _

from core import outside
from core.models import WorkState
from core.work import Reschedule
from servers.convergence import provisioning_log
from servers.convergence.context import NOT_CREATED, NOW, ConvergenceContext
from servers.drivers.abilities import Reinstall
from servers.drivers.base import NotOnNode, RemoteServer
from servers.models import ProvisioningTask, ServerStatus, Step

# An install is polled again after a twentieth of the time it has taken, which adds a fortieth on average.
MIN_INTERVAL, MAX_INTERVAL = timedelta(seconds=1), timedelta(seconds=30)
POLLS_PER_INSTALL = 20
LOOKS_FOR_BEGIN = 10
IN_PROGRESS = (ServerStatus.PENDING, ServerStatus.INSTALLING, ServerStatus.DELETING)


def attach(ctx: ConvergenceContext, remote: RemoteServer) -> Reschedule:
    """Record that the server exists, whether by the call just made or by an earlier one whose answer was lost."""
    ctx.record(
        status=ServerStatus.INSTALLING,
        step=Step.CREATED,
        ref=remote.ref,
        identifier=remote.identifier,
        **provisioning_log.address_columns(remote),
        install_deadline_at=ctx.at + install_timeout(ctx),
        create_missed_at=None,
        failure="",
    )
    return Reschedule(poll_interval(ctx))


def install(ctx: ConvergenceContext) -> Reschedule | None:
    """The provider created the server and installed nothing: ask for that, once while it may still be begun."""
    server, asked_at = ctx.server, ctx.server.reinstall_asked_at
    if server.status == ServerStatus.FAILED:
        return None
    wait = ctx.driver.facts.lost_answer_wait
    if asked_at is not None and ctx.at < asked_at + wait:
        return Reschedule(wait / LOOKS_FOR_BEGIN)
    ctx.record(reinstall_asked_at=ctx.at)
    try:
        return reinstall(ctx)
    except (outside.Unavailable, outside.Rejected):
        ctx.record(reinstall_asked_at=asked_at)
        raise


def wait_for_install(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step while the panel reports an install in progress."""
    server = ctx.server
    if server.status == ServerStatus.FAILED:
        return None
    is_late = server.install_deadline_at is not None and ctx.at > server.install_deadline_at
    if server.status == ServerStatus.INSTALLING and server.install_deadline_at is not None:
        if is_late:
            minutes = server.blueprint.install_minutes
            raise outside.Rejected(_("The install did not end within {minutes} minutes.").format(minutes=minutes))
        return Reschedule(poll_interval(ctx))
    if server.status == ServerStatus.PENDING and is_late:
        return reinstall(ctx)  # staff retry an install that never ends
    deadline = ctx.at + install_timeout(ctx)
    ctx.record(status=ServerStatus.INSTALLING, install_deadline_at=deadline, is_install_doubtful=False)
    return Reschedule(poll_interval(ctx))


def fail_install(ctx: ConvergenceContext) -> Reschedule | None:
    """The panel reports a failed install: the server fails, and is installed again when staff retry it."""
    if ctx.server.status == ServerStatus.FAILED:
        return None
    if ctx.server.status == ServerStatus.PENDING:
        return reinstall(ctx)
    raise outside.Rejected(_("The server could not be installed. See the install log on the node."))


def reinstall_doubtful(ctx: ConvergenceContext) -> Reschedule:
    """Only installing again tells whether the server is installed. Where that erases it, a person has to ask for it."""
    is_asked = ctx.server.status == ServerStatus.PENDING  # that is a server that staff retry
    if not (is_asked or ctx.driver.facts.reinstall_keeps_data):
        raise outside.Rejected(
            _("It is not known whether the server is installed. Retry erases it and installs again.")
        )
    return reinstall(ctx)


def reinstall(ctx: ConvergenceContext) -> Reschedule:
    """Install from the start, because a person asked or because nothing is lost by it. How it ends can be seen.

    Raises Rejected for a server that has run where its files would be erased: Retry asks for less than that.
    """
    if ctx.server.running_at is not None and not ctx.driver.facts.reinstall_keeps_data:
        raise outside.Rejected(
            _("The server has run, and installing it again would erase its files. Repair it at the provider.")
        )
    if not isinstance(ctx.driver, Reinstall):
        raise outside.Rejected(_("The server is not installed, and its provider cannot install it again."))
    try:
        ctx.driver.reinstall(ctx.spec, ctx.existing)
    except NotOnNode:
        # The node does not have the server. One that was never used is deleted and created again.
        if ctx.server.running_at is not None:
            raise outside.Rejected(_("The node no longer has this server; its files may be lost.")) from None
        ctx.driver.delete(ctx.existing)
        ctx.record(status=ServerStatus.PENDING, failure="", **NOT_CREATED)
        return NOW
    ctx.record(
        status=ServerStatus.INSTALLING,
        install_deadline_at=ctx.at + install_timeout(ctx),
        installed_at=None,
        start_asked_at=None,
        reinstall_asked_at=ctx.at,
        is_install_doubtful=False,
        failure="",
    )
    return Reschedule(poll_interval(ctx))


def install_timeout(ctx: ConvergenceContext) -> timedelta:
    """How long an install may take."""
    return timedelta(minutes=ctx.server.blueprint.install_minutes)


def poll_interval(ctx: ConvergenceContext) -> timedelta:
    """When to look again: quick at first, slower as the install goes on, and with more servers in progress."""
    deadline = ctx.server.install_deadline_at or ctx.at
    elapsed = ctx.at - (deadline - install_timeout(ctx))
    # Servers that a recheck queues are looked at once, so they do not count.
    in_progress = ProvisioningTask.objects.filter(
        state__in=[WorkState.QUEUED, WorkState.RUNNING],
        server__blueprint__provider=ctx.server.blueprint.provider,
        server__status__in=IN_PROGRESS,
    ).count()
    # All polls of a provider together take half of its calls.
    share = timedelta(minutes=2) * in_progress / ctx.driver.facts.calls_per_minute
    return max(MIN_INTERVAL, min(elapsed / POLLS_PER_INSTALL, MAX_INTERVAL), share)
