"""A provider that misses many of our servers at once is suspected: `Provider.suspected_at` is when that was last found.

Its address may be wrong, or its database was restored or emptied. Until it has nearly all again, or staff say that
those it misses are gone, they do not count as gone, and nothing is sold, created or merged from its lists.
"""

from datetime import datetime, timedelta

from core import audit, tenancy
from servers import events
from servers.models import DriftFinding, DriftKind, Provider

MAX_MISSING_PERCENT = 20
LATELY = timedelta(days=1)  # those that were found gone since then count, so that many do not fail one after another


def update_trust(provider: Provider, *, asked: int, missing: int, is_another: bool = False, at: datetime) -> bool:
    """Store whether the provider is trusted that misses so many of the `asked` servers; whether it is.

    One may be missing, and of many a fifth. `is_another`: none of the nodes is known either, so even one is too many. A
    change is written to the audit trail, and opens or closes a drift finding; staff are told of a new one.
    """
    is_trusted = missing <= max(1, asked * MAX_MISSING_PERCENT // 100) and not is_another
    with tenancy.as_worker():
        was_trusted = Provider.objects.select_for_update(no_key=True).get(pk=provider.pk).suspected_at is None
        Provider.objects.filter(pk=provider.pk).update(suspected_at=None if is_trusted else at)
        if is_trusted == was_trusted:
            return is_trusted
        action, new = "provider.trust" if is_trusted else "provider.suspect", {"asked_about": asked, "missing": missing}
        audit.record(action=action, entity=provider, actor=None, new=new, at=at)
        if is_trusted:
            DriftFinding.objects.filter(provider=provider, kind=DriftKind.MISSING, closed_at=None).update(closed_at=at)
        else:
            named = {"subject": provider.name, "subject_ref": str(provider.pk), "found": f"{missing} / {asked}"}
            finding = DriftFinding.objects.create(provider=provider, kind=DriftKind.MISSING, found_at=at, **named)
            events.providers_suspected.send(sender=Provider, finding_ids=[finding.pk], at=at)
    return is_trusted
