"""From installed to running, the first time.

A node that restarts during an install reports nothing, and the panel then shows the server as ready. What gives it away
is that the game was never started, as a finished install does; so a server found off is installed once more before it
counts as delivered.
"""

from datetime import timedelta

from django.utils.translation import gettext as _

from core.work import Again
from servers import events
from servers.convergence import installing
from servers.convergence.case import LATER, NOW, Case
from servers.models import ServerStatus, Step
from servers.providers.base import Capability, Power, Signal, WrongState

# The panel keeps power figures for 20 s, so looking again sooner shows nothing new. The first look is not to be
# wasted: we take it that a node starts the game only after it has told the panel of the install's end.
FRESH_FIGURES = timedelta(seconds=21)
FIRST_REST = timedelta(seconds=1)
START_PATIENCE = timedelta(seconds=60)
UP = {Power.STARTING, Power.RUNNING}


def step(case: Case) -> Again | None:
    """The next step for a server that looks installed and was never seen running."""
    server = case.server
    if server.is_install_doubtful:
        return installing.again(case)
    if server.installed_at is None:
        case.record(status=ServerStatus.INSTALLING, step=Step.INSTALLED, installed_at=case.at)
        return Again(FIRST_REST)
    if not case.can(Capability.USAGE):
        return _delivered(case, ServerStatus.RUNNING)
    try:
        power = case.driver.usage(case.present.identifier).power
    except WrongState:
        return LATER
    return _delivered(case, ServerStatus.RUNNING) if power in UP else _coax(case)


def _coax(case: Case) -> Again | None:
    """It is off: wait for fresh figures, install once more, start it, and in the end take it as it is."""
    server = case.server
    if server.reinstall_asked_at is None:
        rest = (server.installed_at or case.at) + FRESH_FIGURES - case.at
        return Again(rest) if rest > timedelta(0) else installing.again(case)
    if server.start_asked_at is None:
        case.driver.press(case.present.identifier, Signal.START)
        case.record(start_asked_at=case.at)
        return Again(FRESH_FIGURES)
    if case.at < server.start_asked_at + START_PATIENCE:
        return Again(FRESH_FIGURES)
    return _delivered(case, ServerStatus.STOPPED, note=_("It stopped by itself after the start."))


def _delivered(case: Case, status: ServerStatus, note: str = "") -> Again:
    case.record(status=status, step=Step.RUNNING, note=note, news=events.server_running, running_at=case.at, failure="")
    return NOW


def come_back(case: Case) -> Again:
    """The suspension is lifted: the game starts, as it ran before."""
    if case.can(Capability.POWER):
        try:
            case.driver.press(case.present.identifier, Signal.START)
        except WrongState:
            return LATER
    case.record(status=ServerStatus.RUNNING, step=Step.RESUMED, news=events.server_resumed, failure="")
    return NOW
