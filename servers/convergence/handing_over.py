"""A server that another organization got: what those before could still do at its provider ends.

Each thing is done by itself and noted in `Server.handover`, so that what a provider allows only a few times a minute
ends in several rounds. After a lost answer a guest is looked for, and a password is changed once more.
"""

from typing import Any

from core import tenancy
from core.work import Reschedule
from servers import builds
from servers.convergence.context import LATER, NOW, ConvergenceContext
from servers.drivers.abilities import HiddenVariables, SharedAccess
from servers.drivers.base import WrongState
from servers.drivers.self_service import Databases
from servers.models import Build, Server


def step(ctx: ConvergenceContext) -> Reschedule | None:
    """End it; the server belongs to its new owner's account already."""
    try:
        end_access(ctx)
    except WrongState:
        return LATER
    note(ctx.server, None)
    return NOW


def end_access(ctx: ConvergenceContext) -> None:
    """Remove guests, change the passwords of databases, and send the passwords that the shop derives anew."""
    server, driver, identifier = ctx.server, ctx.driver, ctx.existing.identifier
    if isinstance(driver, SharedAccess):
        for ref in driver.guests(identifier):
            driver.remove_guest(identifier, ref)
    if isinstance(driver, Databases):
        for database in driver.databases(identifier):
            changed = (server.handover or {}).get("databases", [])
            if database.ref not in changed:
                driver.rotate_password(identifier, database.ref)
                note(server, {"databases": [*changed, database.ref]})
    # Containers have theirs by their build, which convergence compares.
    generated = builds.generated_variables(server) if server.blueprint.build == Build.GAME else {}
    if generated and isinstance(driver, HiddenVariables):
        driver.set_hidden_variables(ctx.existing.ref, generated)


def note(server: Server, done: dict[str, Any] | None) -> None:
    """Keep what is done, unless another organization got the server meanwhile: then it begins anew."""
    with tenancy.as_worker():
        Server.objects.filter(pk=server.pk, generation=server.generation).update(handover=done)
    server.handover = done
