"""The next step for a server that should be there and is."""

from core.work import Again
from servers.convergence import booting, drift, installing, suspension
from servers.convergence.case import LATER, Case
from servers.models import ServerStatus
from servers.providers.base import Condition

FAILED_INSTALLS = {Condition.INSTALL_FAILED, Condition.REINSTALL_FAILED}


def step(case: Case) -> Again | None:
    """What most needs doing, in this order: know it, hold it, release it, install it, boot it, put it right."""
    seen = case.present
    if case.server.ref != seen.ref:
        return installing.adopt(case, seen)
    if case.has_holds:
        return suspension.keep(case)
    if seen.condition is Condition.SUSPENDED:
        return suspension.lift(case)
    return _awake(case, seen.condition)


def _awake(case: Case, condition: Condition) -> Again | None:
    if condition is Condition.INSTALLING:
        return installing.watch(case)
    if condition in FAILED_INSTALLS:
        return installing.failed(case)
    if condition is Condition.RESTORING:
        return LATER
    if case.server.running_at is None:
        return booting.step(case)
    if case.server.status == ServerStatus.SUSPENDED:
        return booting.come_back(case)
    return drift.step(case)
