"""A server that is as alive as it should be: its size, ports, name and owner, where they differ from ours."""

from django.utils.translation import gettext as _

from core import outside
from core.work import Again
from servers import capacity
from servers.convergence import accounts
from servers.convergence.case import NOW, Case, spec_of, swap_ports
from servers.models import ServerStatus, Step
from servers.providers.base import Capability, Observed, ServerSpec

AWAKE = {ServerStatus.RUNNING, ServerStatus.STOPPED, ServerStatus.SUSPENDED}


def step(case: Case) -> Again | None:
    """Bring size and description in line; None when all is as it should be."""
    spec = spec_of(case, accounts.required(case))
    if not _has_size(case.present, spec) and case.can(Capability.RESIZE):
        return _resize(case, spec)
    if not _has_description(case.present, spec):
        return _describe(case, spec)
    if case.server.status not in AWAKE:
        case.record(status=ServerStatus.RUNNING, failure="")
    return None


def _has_size(seen: Observed, spec: ServerSpec) -> bool:
    is_placed = seen.allocation_refs == set(spec.allocations) and seen.primary_ref == spec.allocations[0]
    return seen.limits == spec.limits and is_placed and not seen.can_add_ports


def _has_description(seen: Observed, spec: ServerSpec) -> bool:
    return seen.name == spec.name and seen.account_ref == spec.account.ref


def _resize(case: Case, spec: ServerSpec) -> Again:
    """The panel passes over ports it cannot give and says nothing: what it did shows in what it has now."""
    now = case.driver.resize(case.present, spec)
    missing = set(spec.allocations) - now.allocation_refs
    if missing:
        return _take_other_ports(case, missing)
    if now == case.present:
        raise outside.Rejected(_("The panel did not take over the server's new size."))
    if _has_size(now, spec):
        case.record(step=Step.RESIZED)
    return NOW


def _take_other_ports(case: Case, missing: set[str]) -> Again:
    try:
        swap_ports(case, missing)
    except capacity.NoPortFree as error:
        raise outside.Rejected(_("The server's node has no free port for it.")) from error
    return NOW


def _describe(case: Case, spec: ServerSpec) -> Again:
    now = case.driver.describe(case.present, spec)
    if not _has_description(now, spec):
        raise outside.Rejected(_("The panel did not take over the server's name or owner."))
    return NOW
