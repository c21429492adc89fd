"""One round of convergence, under the server's own lock."""

from datetime import datetime
from uuid import UUID

from core import outside
from core.work import Reschedule
from servers import locks, provisioning_log
from servers.convergence import creation, presence, removal
from servers.convergence.context import SOON, ConvergenceContext, has_holds
from servers.drivers import registry
from servers.models import DesiredState, ProvisioningTask, Server, ServerStatus


def converge(*, server_id: UUID, at: datetime) -> Reschedule | None:
    """Look at the server, take the one next step, record it; None when nothing is left to do.

    May be called any number of times, concurrently and after any crash; never inside a transaction. Unavailable and
    Unknown: come again. Rejected: the failure is on the server, for a person to see.
    """
    with locks.held(f"server:{server_id}") as is_ours:
        if not is_ours:
            return SOON
        server = _server(server_id)
        if server.status == ServerStatus.DELETED:
            return None
        try:
            return _step(server, at)
        except outside.Rejected as error:
            provisioning_log.fail(server, str(error), at=at)
            raise


def _server(server_id: UUID) -> Server:
    rows = Server.objects.select_related("blueprint__provider", "blueprint__egg", "reservation", "owner")
    return rows.get(pk=server_id)


def _step(server: Server, at: datetime) -> Reschedule | None:
    driver = registry.driver_of(server.blueprint.provider)
    seen = driver.find(server.pk)
    provisioning_log.observe(server, seen, at=at)
    ctx = ConvergenceContext(server, driver, seen, has_holds(server), at)
    if server.desired_state == DesiredState.ABSENT:
        return removal.step(ctx)
    return creation.step(ctx) if seen is None else presence.step(ctx)


def _was_dead(task: ProvisioningTask) -> bool:
    """Whether a person put the buried row back: only then does a first attempt remember an error."""
    return task.attempts == 1 and bool(task.last_error)


def perform(task: ProvisioningTask, *, at: datetime) -> Reschedule | None:
    """The task's handler. When the last attempt fails, the server says so too."""
    if _was_dead(task):
        provisioning_log.try_again(_server(task.server_id), at=at)
    try:
        return converge(server_id=task.server_id, at=at)
    except outside.Rejected:
        raise
    except Exception as error:
        if task.attempts >= task.MAX_ATTEMPTS:
            provisioning_log.fail(_server(task.server_id), str(error) or type(error).__name__, at=at)
        raise
