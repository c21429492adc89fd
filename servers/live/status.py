"""The status that a server's page shows, and which power actions are possible in it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from core.models import StatusChoices, WorkState
from servers.drivers.base import PowerAction
from servers.live.usage import UsageHistory
from servers.models import PowerOutcome, PowerStatus, PowerTask, Server, ServerStatus

INSTALLED = {ServerStatus.RUNNING, ServerStatus.STOPPED}
STATE_OF_STATUS = {ServerStatus.RUNNING: PowerStatus.RUNNING, ServerStatus.STOPPED: PowerStatus.OFF}
# What an action leads to in the end, and what is shown until the panel reports that.
TARGET_STATE = {
    PowerAction.START: PowerStatus.RUNNING,
    PowerAction.RESTART: PowerStatus.RUNNING,
    PowerAction.STOP: PowerStatus.OFF,
    PowerAction.KILL: PowerStatus.OFF,
}
STATE_ON_THE_WAY = {PowerStatus.RUNNING: PowerStatus.STARTING, PowerStatus.OFF: PowerStatus.STOPPING}
PENDING_ACTION = timedelta(seconds=40)  # a panel may report usage that is half a minute old
OUTCOME_SHOWN_FOR = timedelta(minutes=10)


@dataclass(frozen=True)
class LiveStatus:
    """The state to show, which power actions are possible in it, and how the last one failed, if it did.

    `requested` is the action that a worker has yet to send, `retry_at` when the one that failed can be sent.
    """

    state: StatusChoices
    can_start: bool = False
    can_stop: bool = False
    can_kill: bool = False
    requested: PowerAction | None = None
    failed: PowerAction | None = None
    failure: str = ""
    retry_at: datetime | None = None


def live_status(server: Server, usage: UsageHistory, task: PowerTask | None, *, at: datetime) -> LiveStatus:
    """What the panel reports of the server and what was requested; our own row's status where it reports nothing."""
    status = ServerStatus(server.status)
    if status not in INSTALLED:
        return LiveStatus(status)
    reported = PowerStatus(usage.latest.power_state) if usage.latest and usage.is_fresh else STATE_OF_STATUS[status]
    is_requested = task is not None and task.state in {WorkState.QUEUED, WorkState.RUNNING}
    state, failed = reported, None
    if task is not None:
        target = TARGET_STATE[PowerAction(task.action)]
        ended_at = task.finished_at or task.requested_at
        is_sent = task.outcome == PowerOutcome.SENT and at - ended_at < PENDING_ACTION
        if (is_requested or is_sent) and target != reported:
            state = STATE_ON_THE_WAY[target]
        if not is_requested and task.outcome != PowerOutcome.SENT and at - ended_at < OUTCOME_SHOWN_FOR:
            failed = PowerAction(task.action)
    return LiveStatus(
        state,
        can_start=state == PowerStatus.OFF,
        can_stop=state in {PowerStatus.RUNNING, PowerStatus.STARTING},
        can_kill=state != PowerStatus.OFF,
        requested=PowerAction(task.action) if task and is_requested else None,
        failed=failed,
        failure=str(PowerOutcome(task.outcome).label) if task and failed and task.outcome else "",
        retry_at=task.retry_at if task and failed else None,
    )
