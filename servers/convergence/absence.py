"""Servers that existed and that their provider no longer has.

One of them may have been deleted there. Many at once say more about the provider: a wrong address, a database that was
put back or emptied. Then nothing is changed until they are found again, or staff say that they are gone.
"""

from datetime import timedelta

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from core import audit, outside, tenancy
from servers.convergence.context import ConvergenceContext, attempts_of, spec_of
from servers.models import DesiredState, Provider, Server, ServerStatus

# The provider is asked about so many of its other servers, at most once a minute while it is suspected.
SAMPLE = 9
MAX_MISSING_PERCENT = 20
ASK_AGAIN_AFTER = timedelta(minutes=1)


def fail_vanished(ctx: ConvergenceContext) -> None:
    """The server existed and is gone, with its data: raise Rejected, or nothing where that is recorded already.

    Only a person may have it created again, by Retry.
    """
    server = ctx.server
    if server.status == ServerStatus.FAILED and server.vanished_at is not None:
        return
    require_trusted(ctx)
    ctx.record(vanished_at=ctx.at)
    raise outside.Rejected(_("The provider no longer has this server. Retry creates it again, without its files."))


def require_trusted(ctx: ConvergenceContext) -> None:
    """Raise Unavailable while the provider misses more of our servers than a few, so that absence proves nothing."""
    if not is_trusted(ctx):
        raise outside.Unavailable("the provider misses many servers at once, so nothing is changed", retry_after=60)


def is_trusted(ctx: ConvergenceContext) -> bool:
    """Whether the provider has nearly all of our servers; when that has changed, it is recorded for staff."""
    provider = ctx.server.blueprint.provider
    if provider.missing_accepted_until is not None and ctx.at < provider.missing_accepted_until:
        return True
    if provider.suspected_at is not None and ctx.at - provider.suspected_at < ASK_AGAIN_AFTER:
        return False
    others = others_of(ctx)
    found = [ctx.remote, *(ctx.driver.find(spec_of(other), attempts_of(other)) for other in others)]
    missing = sum(remote is None for remote in found)
    is_trusted = missing <= max(1, len(found) * MAX_MISSING_PERCENT // 100)
    with tenancy.as_worker():
        suspected_at = None if is_trusted else ctx.at
        Provider.objects.filter(pk=provider.pk).update(suspected_at=suspected_at)
        if is_trusted != (provider.suspected_at is None):
            action = "provider.trust" if is_trusted else "provider.suspect"
            new = {"asked_about": len(found), "missing": missing}
            audit.record(action=action, entity=provider, actor=None, new=new, at=ctx.at)
    return is_trusted


def others_of(ctx: ConvergenceContext) -> QuerySet[Server]:
    """Other servers of the provider that should be there: they ran once, and nobody found them gone."""
    rows = Server.objects.select_related("blueprint__provider", "node__location").filter(
        blueprint__provider=ctx.server.blueprint.provider,
        desired_state=DesiredState.PRESENT,
        running_at__isnull=False,
        vanished_at=None,
    )
    return rows.exclude(pk=ctx.server.pk).exclude(ref="").order_by("-observed_at")[:SAMPLE]
