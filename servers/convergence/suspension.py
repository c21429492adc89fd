"""Suspended while any hold stands; and what a suspension hides.

The panel keeps one status. A suspension replaces "installing" and "install failed", and lifting it always reads as
ready, as does a suspension whose node call failed. So the install of a server suspended before it was first seen
running is doubtful, until an install has been watched to its end.
"""

from django.utils.translation import gettext as _

from core.work import Again
from servers import events
from servers.convergence import drift, installing
from servers.convergence.case import LATER, NOW, SOON, Case
from servers.models import ServerStatus, Step
from servers.providers.base import Condition


def keep(case: Case) -> Again | None:
    """The next step for a server that has to stay suspended."""
    if case.present.condition is not Condition.SUSPENDED:
        return _suspend(case)
    if case.server.status != ServerStatus.SUSPENDED:
        _mark_doubt(case)
        case.record(status=ServerStatus.SUSPENDED, step=Step.SUSPENDED, news=events.server_suspended, failure="")
        return NOW
    return drift.step(case)


def _suspend(case: Case) -> Again:
    """Suspend, and look again. The end of a running restore would lift it, so that is waited for."""
    if case.present.condition is Condition.RESTORING:
        return LATER
    _mark_doubt(case)
    case.driver.suspend(case.present)
    if case.server.status == ServerStatus.SUSPENDED:
        case.record(step=Step.SUSPENDED, note=_("Again: the panel had lifted the suspension."))
    return SOON


def _mark_doubt(case: Case) -> None:
    """On record before the call: even one that fails replaces the status of the install."""
    if case.server.running_at is None and not case.server.is_install_doubtful:
        case.record(is_install_doubtful=True)


def lift(case: Case) -> Again:
    """No hold stands and the panel still suspends it."""
    if case.server.running_at is None:
        return installing.again(case)
    case.driver.resume(case.present)
    if case.server.status != ServerStatus.SUSPENDED:  # suspended by somebody on the panel
        case.record(status=ServerStatus.SUSPENDED)
    return NOW
