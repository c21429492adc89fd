"""Taking a server away to the end: the provider first, then the room."""

from core import tenancy
from core.work import Again
from servers import capacity, events
from servers.convergence.case import NOW, Case
from servers.convergence.creation import wait_for_lost_answer
from servers.models import ServerStatus, Step


def step(case: Case) -> Again | None:
    """The next step for a server that should not be there. Only the panel's own "not found" ends it."""
    if case.server.status != ServerStatus.DELETING:
        case.record(status=ServerStatus.DELETING, failure="")
    if case.seen is not None:
        case.driver.delete(case.seen)
        if not case.server.ref:  # a creation whose answer was lost did work
            case.record(ref=case.seen.ref)
        return NOW
    if wait := wait_for_lost_answer(case):
        return wait
    _gone(case)
    return None


def _gone(case: Case) -> None:
    with tenancy.system():
        case.record(
            status=ServerStatus.DELETED, step=Step.DELETED, news=events.server_deleted, deleted_at=case.at, failure=""
        )
        if case.server.reservation_id is not None:
            capacity.release(reservation_id=case.server.reservation_id, at=case.at)
