"""A provider that does not answer: workers write `Node.unreachable_since`, which pages show until it answers again.

One failed call says little, so it counts once another fails at least a minute later, with no answer between them.
"""

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from core import outside, tenancy
from servers.drivers import registry
from servers.models import Node, Provider

CONFIRMED_AFTER = timedelta(minutes=1)
SILENT_STATUSES = {None, 502, 503, 504}  # no answer, or that of a proxy before a host that is down


def record_failure(error: outside.OutsideError, *, provider: Provider, node: Node | None, at: datetime) -> None:
    """Note that a call was not answered. An error with a code of the provider's own is an answer."""
    if error.status not in SILENT_STATUSES or error.code:
        return
    if node is None and not registry.facts()[provider.kind].has_address:
        return  # one host of several, and nobody knows which
    is_new = Q(silent_since=None) | Q(unreachable_since=None, silent_since__lte=at - CONFIRMED_AFTER)
    rows = _behind_one_host(provider, node).filter(is_new)
    if rows.exists():
        with tenancy.as_worker():
            rows.filter(pk__in=_locked(rows)).update(
                unreachable_since=F("silent_since"), silent_since=Coalesce("silent_since", at)
            )


def record_answer(*, provider: Provider, node: Node | None) -> None:
    """Note that the provider has answered. A `node` that was read before the call saves the query."""
    if node is not None and node.silent_since is None:
        return
    rows = _behind_one_host(provider, node).filter(silent_since__isnull=False)
    if rows.exists():
        with tenancy.as_worker():
            rows.filter(pk__in=_locked(rows)).update(silent_since=None, unreachable_since=None)


def _behind_one_host(provider: Provider, node: Node | None) -> QuerySet[Node]:
    """All nodes of a panel or a cloud, which one host answers for; of hosts of our own only the node that is one."""
    if node is None or registry.facts()[provider.kind].has_address:
        return Node.objects.filter(provider=provider)
    return Node.objects.filter(pk=node.pk)


def _locked(rows: QuerySet[Node]) -> list[UUID]:
    """Their keys, locked in the order in which all lock several nodes."""
    return list(rows.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
