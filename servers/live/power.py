"""Starting, stopping, restarting and killing a server: requested by its customer, sent by a worker."""

import logging
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from accounts.models import User
from accounts.permissions import Action
from core import audit, outside, tenancy, work
from core.models import WorkState
from core.models.audit import Outcome
from servers import queries
from servers.drivers import registry
from servers.drivers.abilities import Power, UsageFigures
from servers.drivers.base import Driver, NotOnNode, PowerAction, PowerState, WrongState
from servers.hytale import sessions
from servers.live.status import INSTALLED
from servers.models import PowerOutcome, PowerTask, Server, ServerStatus, UsageTask

STARTS = (PowerAction.START, PowerAction.RESTART)
UNANSWERED = (PowerOutcome.NOT_SENT, PowerOutcome.NO_ANSWER)
log = logging.getLogger(__name__)
# An action is not sent later than this: a server must not stop an hour after somebody asked for it.
GIVE_UP_AFTER = timedelta(minutes=2)
SECONDS_TO_LOOK_AGAIN = 10
SAMPLE_AFTER = timedelta(seconds=1)
STATUS_AFTER = {
    PowerAction.START: ServerStatus.RUNNING,
    PowerAction.RESTART: ServerStatus.RUNNING,
    PowerAction.STOP: ServerStatus.STOPPED,
    PowerAction.KILL: ServerStatus.STOPPED,
}


class PowerRefused(Exception):
    """The action was not requested; the text says why, for the customer."""


def request_power_action(*, server: Server, action: PowerAction, actor: User | None, at: datetime) -> None:
    """Have a worker send start, stop, restart or kill; of several requested one after another, the last.

    Raises PowerRefused where the server is in no state for it.
    """
    if server.status == ServerStatus.SUSPENDED or server.has_holds():
        raise PowerRefused(_("The server is suspended. You can start it again once the suspension is lifted."))
    if server.status in {ServerStatus.PENDING, ServerStatus.INSTALLING}:
        raise PowerRefused(_("The server is still being installed. It starts by itself when that is done."))
    if server.status not in INSTALLED:
        raise PowerRefused(_("The server cannot be started or stopped in its present state."))
    with tenancy.as_worker(server):
        row = Server.objects.select_related("blueprint__provider").get(pk=server.pk)
        provider = row.blueprint.provider
        if not row.identifier or not isinstance(registry.driver_of(provider), Power):
            raise PowerRefused(_("This server cannot be started or stopped from here."))
        audit.record(action="server.power", entity=row, actor=actor, new={"action": action.value}, at=at)
        PowerTask.request(
            row,
            at=at,
            organization_id=row.organization_id,
            provider_id=provider.pk,
            node_id=row.node_id,
            action=action.value,
            requested_at=at,
            requested_by=actor,
            outcome="",
            retry_at=None,
        )
        work.wake_worker(PowerTask)


def perform(task: PowerTask, *, at: datetime) -> None:
    """The task's handler: send the action once, and record how that ended. An outage is waited for, not for long."""
    if at - task.requested_at > GIVE_UP_AFTER:
        return _settle(task, PowerOutcome(task.outcome or PowerOutcome.NOT_SENT), at=at)
    server = Server.objects.select_related("blueprint__provider").get(pk=task.server_id)
    driver, action = registry.driver_of(server.blueprint.provider), PowerAction(task.action)
    if server.status not in INSTALLED or server.has_holds() or not server.identifier:
        return _settle(task, PowerOutcome.NOT_INSTALLED, at=at)
    if not isinstance(driver, Power):
        return _settle(task, PowerOutcome.UNSUPPORTED, at=at)
    if not queries.may_still(task.requested_by, Action.SERVER_POWER, server):
        return _settle(task, PowerOutcome.NO_ACCESS, at=at)
    try:
        # Repeating the others does no harm. After a lost answer: look first, and restart only what did not restart.
        is_repeated = task.outcome == PowerOutcome.NO_ANSWER and action is PowerAction.RESTART
        if not is_repeated or not has_restarted(driver, server, since=at - task.requested_at):
            _send(task, driver, server, at=at)
    except sessions.NoSession as error:
        return _settle(task, error.outcome, retry_at=error.retry_at, at=at)
    except WrongState:
        return _settle(task, PowerOutcome.BUSY, at=at)
    except NotOnNode:
        return _settle(task, PowerOutcome.NOT_ON_NODE, at=at)
    except outside.Rejected as error:
        log.warning("power %s of %s: %s", action, server.pk, error)
        return _settle(task, PowerOutcome.REFUSED, at=at)
    return _settle(task, PowerOutcome.SENT, at=at)


def _send(task: PowerTask, driver: Power, server: Server, *, at: datetime) -> None:
    """Send the action. That it may have arrived is recorded before, and taken back where it certainly did not."""
    is_on_already = task.action == PowerAction.START and sessions.runs_with_session(server, driver)
    if task.action in STARTS and not is_on_already:
        sessions.prepare_start(server, driver, at=at)
    PowerTask.objects.filter(pk=task.pk, requested_at=task.requested_at).update(outcome=PowerOutcome.NO_ANSWER)
    try:
        driver.send_power_action(server.identifier, PowerAction(task.action))
    except outside.Unavailable:
        PowerTask.objects.filter(pk=task.pk, requested_at=task.requested_at).update(outcome=task.outcome)
        raise


def has_restarted(driver: Driver, server: Server, *, since: timedelta) -> bool:
    """Whether the server restarted during the time `since` it was requested; False where the provider cannot say,
    as one that measures no uptime.

    Raises Unavailable while the provider's figures may be older than that.
    """
    if not isinstance(driver, UsageFigures):
        return False
    if since <= driver.facts.usage_max_age:
        raise outside.Unavailable("the figures may be from before the restart", retry_after=SECONDS_TO_LOOK_AGAIN)
    usage = driver.usage(server.identifier)
    is_on = usage.power_state in {PowerState.STARTING, PowerState.RUNNING}
    return usage.power_state is PowerState.STOPPING or (is_on and 0 < usage.uptime_seconds < since.total_seconds())


def _settle(task: PowerTask, outcome: PowerOutcome, *, at: datetime, retry_at: datetime | None = None) -> None:
    """Record the outcome, unless another action was requested meanwhile."""
    current = {"pk": task.pk, "requested_at": task.requested_at}
    with tenancy.as_worker():
        if outcome == PowerOutcome.SENT:
            # Lists show this until convergence looks again; a status that has changed meanwhile is left alone.
            servers = Server.objects.filter(power_task__in=PowerTask.objects.filter(**current), status__in=INSTALLED)
            servers.update(status=STATUS_AFTER[PowerAction(task.action)])
            watched = UsageTask.objects.filter(server=task.server_id, state=WorkState.QUEUED, outages=0)
            watched.update(run_at=at + SAMPLE_AFTER)
            if task.action in STARTS:
                sessions.mark_started(task.server, is_restart=task.action == PowerAction.RESTART, at=at)
            else:
                sessions.request_end(task.server, at=at)
        elif PowerTask.objects.filter(**current).exists():
            audit.record(
                action="server.power",
                entity=Server.objects.get(pk=task.server_id),
                actor=task.requested_by,
                new={"action": task.action},
                outcome=Outcome.FAILED if outcome in UNANSWERED else Outcome.REFUSED,
                message=str(outcome.label),
                at=at,
            )
        PowerTask.objects.filter(**current).update(outcome=outcome, retry_at=retry_at)
