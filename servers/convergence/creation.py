"""Bringing a server into being: intent first, one call, and no second one while the first may still have worked."""

from datetime import timedelta

from django.utils.translation import gettext as _

from core import outside
from core.work import Again
from servers import capacity
from servers.convergence import accounts, building, installing
from servers.convergence.case import NOW, UNMADE, Case, spec_of, swap_ports
from servers.models import ReservationState, ServerStatus, Step
from servers.providers.base import AccountGone, PortTaken

# A panel that lost its caller works on for as long as two node calls last.
SETTLING = timedelta(seconds=30)


def step(case: Case) -> Again | None:
    """The next step for a server that should be there and is not."""
    server = case.server
    if server.status == ServerStatus.FAILED:
        return None
    if server.ref:
        return _vanished(case)
    if wait := wait_for_lost_answer(case):
        return wait
    if case.has_holds:
        case.record(status=ServerStatus.SUSPENDED)
        return None
    return accounts.step(case) or _create(case)


def _vanished(case: Case) -> Again:
    """It was there and is gone: only a person may decide to make it anew, by Retry."""
    if case.server.status != ServerStatus.PENDING:
        raise outside.Rejected(_("The panel no longer has this server. Retry makes it anew, without its files."))
    case.record(**UNMADE)
    return NOW


def wait_for_lost_answer(case: Case) -> Again | None:
    """Where a creation's answer never came: look, and look again half a minute later, before it counts as not made."""
    server = case.server
    if server.ref or server.create_asked_at is None:
        return None
    if server.create_missed_at is None:
        case.record(create_missed_at=case.at)
    rest = (server.create_missed_at or case.at) + SETTLING - case.at
    return Again(rest) if rest > timedelta(0) else None


def _create(case: Case) -> Again:
    """Ask once. The intent is on record before the call; it stays there only where the answer was lost."""
    _refuse_without_room(case)
    build, spec = building.build_of(case.server), spec_of(case, accounts.required(case))
    case.record(create_asked_at=case.at, create_missed_at=None)
    try:
        seen = case.driver.create(spec, build)
    except PortTaken as error:
        case.record(create_asked_at=None)
        return _take_other_ports(case, error)
    except AccountGone:
        case.record(create_asked_at=None)
        accounts.forget(case)
        return NOW
    except (outside.Unavailable, outside.Rejected):
        case.record(create_asked_at=None)
        raise
    return installing.adopt(case, seen)


def _refuse_without_room(case: Case) -> None:
    reservation = case.server.reservation
    if reservation is None or reservation.state != ReservationState.KEPT:
        raise outside.Rejected(_("No room is kept for this server, so it cannot be placed."))


def _take_other_ports(case: Case, error: PortTaken) -> Again:
    try:
        swap_ports(case, error.refs)
    except capacity.NoPortFree:
        reason = _("The panel gave this server's port to another one, and its node has no other port free.")
        raise outside.Rejected(reason) from error
    case.record(step=Step.PLACED, note=_("On another port: the panel had given the first one away."))
    return NOW
