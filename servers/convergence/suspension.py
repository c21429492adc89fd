"""Suspended while any hold is in force; and what a suspension hides.

A panel may have one status. A suspension replaces "installing" and "install failed", and lifting it always reads as
ready, as does a suspension whose node call failed (`DriverFacts.suspension_hides_install`). After a suspension that
came before the server first ran, it is then unknown how its install ended: `is_install_doubtful` is set until a later
install has been watched to its end.
"""

from django.utils.translation import gettext as _

from core import outside, tenancy
from core.work import Reschedule
from servers.convergence import drift, installing
from servers.convergence.context import LATER, NOW, SOON, ConvergenceContext
from servers.drivers.abilities import Reinstall, Suspension
from servers.drivers.base import RemoteState
from servers.hytale import sessions
from servers.models import ServerStatus, Step


def ensure_suspended(ctx: ConvergenceContext) -> Reschedule | None:
    """The next step for a server with a hold."""
    server, driver, state = ctx.server, ctx.driver, ctx.existing.state
    if state is RemoteState.SUSPENDED and server.status == ServerStatus.SUSPENDED:
        return drift.step(ctx)
    if state is RemoteState.RESTORING:
        return LATER  # the end of a running restore would lift the suspension
    # Recorded before the call: even one that fails replaces the status of the install.
    if driver.facts.suspension_hides_install and server.running_at is None and not server.is_install_doubtful:
        ctx.record(is_install_doubtful=True)
    if state is RemoteState.SUSPENDED:
        with tenancy.as_worker():
            ctx.record(status=ServerStatus.SUSPENDED, step=Step.SUSPENDED, failure="")
            sessions.request_end(server, at=ctx.at)
        return NOW
    if not isinstance(driver, Suspension):
        raise outside.Rejected(_("The provider cannot suspend servers. Stop this one there by hand."))
    driver.suspend(ctx.existing)
    if server.status == ServerStatus.SUSPENDED:
        ctx.record(step=Step.SUSPENDED, note=_("Suspended again: the provider had lifted the suspension."))
    return SOON


def lift_suspension(ctx: ConvergenceContext) -> Reschedule:
    """No hold is in force, and the provider still suspends the server."""
    driver = ctx.driver
    is_doubtful = driver.facts.suspension_hides_install and ctx.server.running_at is None
    if is_doubtful and driver.facts.reinstall_keeps_data and isinstance(driver, Reinstall):
        return installing.reinstall(ctx)
    if not isinstance(driver, Suspension):
        raise outside.Rejected(_("The provider suspends the server, and only a person can lift that there."))
    driver.resume(ctx.existing)
    if ctx.server.status != ServerStatus.SUSPENDED:  # suspended by somebody on the panel
        ctx.record(status=ServerStatus.SUSPENDED)
    return SOON
