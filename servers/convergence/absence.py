"""Servers that existed and that their provider no longer has.

One of them may have been deleted there. Many at once say more about the provider: a wrong address, a database that was
restored or emptied. Then nothing is changed until they are found again, or staff say that they are gone.
"""

from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.utils.translation import gettext as _

from core import outside
from servers import suspicion
from servers.convergence.context import ConvergenceContext, attempts_of, spec_of
from servers.drivers import registry
from servers.models import DesiredState, Server, ServerStatus

# The provider is asked about so many of its other servers, at most once a minute while it is suspected.
SAMPLE = 9
ASK_AGAIN_AFTER = timedelta(minutes=1)


class AskAboutOthers(Exception):
    """This round can only go on when it is known whether the provider has our other servers: `ask_about_others`."""


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
    """Whether the provider has nearly all of our servers. Raises AskAboutOthers where that has to be asked first."""
    provider = ctx.server.blueprint.provider
    if provider.missing_accepted_until is not None and ctx.at < provider.missing_accepted_until:
        return True
    if ctx.is_provider_trusted is not None:
        return ctx.is_provider_trusted
    if provider.suspected_at is not None and ctx.at - provider.suspected_at < ASK_AGAIN_AFTER:
        return False
    raise AskAboutOthers


def ask_about_others(server: Server, *, at: datetime) -> bool:
    """Ask the provider about this server and some others; whether it has nearly all. A change is recorded for staff.

    Several calls, so without the server's lock. Only the round after it may use the answer: later it proves nothing.
    """
    provider = server.blueprint.provider
    driver = registry.driver_of(provider)
    asked = [server, *others_of(server)]
    missing = sum(driver.find(spec_of(each), attempts_of(each)) is None for each in asked)
    # Those that were found gone lately count too, so that many do not fail one after another.
    since = max(filter(None, (at - suspicion.LATELY, provider.missing_accepted_until)))
    gone = Server.objects.filter(blueprint__provider=provider, desired_state=DesiredState.PRESENT)
    failed = gone.filter(vanished_at__gt=since).exclude(pk=server.pk).count()
    return suspicion.update_trust(provider, asked=len(asked) + failed, missing=missing + failed, at=at)


def others_of(server: Server) -> QuerySet[Server]:
    """Other servers of the provider that should be there: they ran once, and nobody found them gone."""
    rows = Server.objects.select_related("blueprint__provider", "node__location").filter(
        blueprint__provider=server.blueprint.provider,
        desired_state=DesiredState.PRESENT,
        running_at__isnull=False,
        vanished_at=None,
    )
    return rows.exclude(pk=server.pk).exclude(ref="").order_by("-observed_at")[:SAMPLE]
