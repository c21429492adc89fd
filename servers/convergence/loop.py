"""One round of convergence, under the server's own lock: look at the panel, and take the one next step."""

from datetime import datetime, timedelta
from uuid import UUID

from django.utils.translation import gettext as _

from core import outside
from core.work import Reschedule
from servers import outages, pulls
from servers.convergence import (
    absence,
    creation,
    drift,
    handing_over,
    installing,
    provisioning_log,
    relocation,
    removal,
    starting,
    suspension,
)
from servers.convergence.context import LATER, NOT_CREATED, NOW, SOON, ConvergenceContext, attempts_of, spec_of
from servers.drivers import registry
from servers.drivers.base import RemoteServer, RemoteState, VariablesRefused
from servers.locks import advisory_lock
from servers.models import DesiredState, ProvisioningTask, Server, ServerStatus, Step

MAX_OUTAGE = timedelta(days=1)


def converge(*, server_id: UUID, at: datetime) -> Reschedule | None:
    """Look at the server, take the one next step, record it; None when nothing is left to do.

    May be called any number of times, concurrently and after any crash; never inside a transaction. Unavailable and
    Unknown: try again later. Rejected: the server has failed, and staff have to look.
    """
    try:
        return _round(server_id, at)
    except absence.AskAboutOthers:
        is_trusted = absence.ask_about_others(read_server(server_id), at=at)
        return _round(server_id, at, is_provider_trusted=is_trusted)


def _round(server_id: UUID, at: datetime, *, is_provider_trusted: bool | None = None) -> Reschedule | None:
    """One round under the server's lock. Raises AskAboutOthers where it cannot be decided without."""
    with advisory_lock(f"server:{server_id}") as is_locked:
        if not is_locked:
            return SOON
        server = read_server(server_id)
        if server.status == ServerStatus.DELETED:
            return None
        try:
            driver = registry.driver_of(server.blueprint.provider)
            spec = spec_of(server)
            remote = driver.find(spec, attempts_of(server))
            if remote is not None:  # otherwise some drivers had nothing to ask for
                outages.record_answer(provider=server.blueprint.provider, node=server.node)
            provisioning_log.observe(server, remote, at=at)
            with pulls.shown_of(server):
                return next_step(
                    ConvergenceContext(server, driver, spec, remote, server.has_holds(), at, is_provider_trusted)
                )
        except outside.Rejected as error:
            variable_errors = error.messages if isinstance(error, VariablesRefused) else None
            provisioning_log.fail(server, str(error), at=at, variable_errors=variable_errors)
            raise


def next_step(ctx: ConvergenceContext) -> Reschedule | None:
    """Take the first step that is needed, in this order."""
    server, remote = ctx.server, ctx.remote
    if remote is not None and remote.ref != server.ref:
        require_unclaimed(ctx, remote)
    if server.desired_state == DesiredState.ABSENT:
        return removal.step(ctx)
    if remote is None and server.ref:
        if server.recreate_asked_at is None:
            absence.fail_vanished(ctx)
            return None
        ctx.record(**NOT_CREATED)  # only now, when it was looked for once more: it might have been found again
        return NOW
    if remote is None:
        return creation.step(ctx)
    if server.blueprint.provider.suspected_at is not None:
        absence.is_trusted(ctx)
    if server.ref != remote.ref:
        return installing.attach(ctx, remote)
    # Until a sync has seen where it is now, everything else goes on, above all holds; only `drift.step` waits for it.
    if relocation.is_moved(ctx) and (node := relocation.new_node(ctx)) is not None:
        return relocation.follow(ctx, node)
    if ctx.has_holds:
        return suspension.ensure_suspended(ctx)
    match remote.state:
        case RemoteState.SUSPENDED:
            return suspension.lift_suspension(ctx)
        case RemoteState.CREATED:
            return installing.install(ctx)
        case RemoteState.INSTALLING:
            return installing.wait_for_install(ctx)
        case RemoteState.INSTALL_FAILED | RemoteState.REINSTALL_FAILED:
            return installing.fail_install(ctx)
        case RemoteState.RESTORING:
            return LATER
    if server.running_at is None:
        return starting.step(ctx)
    if server.status == ServerStatus.SUSPENDED:
        return starting.start_again(ctx, step=Step.RESUMED)
    # Its customer had it installed again, which stopped it. What that left to be put right comes first: a container
    # that is being replaced cannot start while the one before it has its ports.
    if server.status == ServerStatus.INSTALLING and not ctx.driver.differences(ctx.spec, remote):
        return starting.start_again(ctx, step=Step.INSTALLED)
    wait = drift.step(ctx)
    return handing_over.step(ctx) if wait is None and server.handover is not None else wait


def require_unclaimed(ctx: ConvergenceContext, remote: RemoteServer) -> None:
    """Raise Rejected where what was found is another server of ours, before it is attached or deleted as this one."""
    known = Server.objects.filter(blueprint__provider=ctx.server.blueprint.provider, ref=remote.ref)
    if known.exclude(pk=ctx.server.pk).exclude(status=ServerStatus.DELETED).exists():
        reason = _("What was found for it at the provider ({ref}) is another server of this shop.")
        raise outside.Rejected(reason.format(ref=remote.ref))


def perform(task: ProvisioningTask, *, at: datetime) -> Reschedule | None:
    """The task's handler. When the last attempt fails, the server says so too.

    A panel that stays away never ends the task. But a new server fails after a day, so that staff look and its order is
    refunded in time.
    """
    # Only a dead task that staff put back in the queue has an error at its first attempt.
    if task.attempts == 1 and task.last_error:
        provisioning_log.retry_failed(read_server(task.server_id), at=at)
    try:
        return converge(server_id=task.server_id, at=at)
    except outside.Rejected:
        raise
    except (outside.Unavailable, outside.Unknown) as error:
        server = read_server(task.server_id)
        outages.record_failure(error, provider=server.blueprint.provider, node=server.node, at=at)
        is_new = server.running_at is None and server.desired_state == DesiredState.PRESENT
        if is_new and at - server.created_at > MAX_OUTAGE:
            provisioning_log.fail(server, "The provider has not answered for a day.", at=at)
        raise
    except Exception as error:
        if task.counted_attempts >= task.MAX_ATTEMPTS:
            provisioning_log.fail(read_server(task.server_id), str(error) or type(error).__name__, at=at)
        raise


def read_server(server_id: UUID) -> Server:
    """The server with all that a round needs of it."""
    joined = ("blueprint__provider", "blueprint__egg", "reservation", "owner", "node__location")
    return Server.objects.select_related(*joined).get(pk=server_id)
