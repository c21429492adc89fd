"""A provider that misses many of our servers at once: nothing of ours is changed by what it says, and nothing is sold.

Its address may be wrong, or its database was put back or emptied. It is believed again when it has nearly all, or when
staff say that those it misses are gone.
"""

from datetime import datetime, timedelta

from core import audit, tenancy
from servers import events
from servers.models import DriftFinding, DriftKind, Provider

MAX_MISSING_PERCENT = 20
LATELY = timedelta(days=1)  # those that were found gone since then count, so that many do not fail one after another


def is_trusted_after(provider: Provider, *, asked: int, missing: int, is_another: bool = False, at: datetime) -> bool:
    """Whether a provider is believed that misses so many of those it was asked about. A change is told to staff.

    `is_another`: it has nothing else either that we know.
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
