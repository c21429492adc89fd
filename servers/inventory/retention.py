"""What syncs wrote, deleted when it is old."""

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from core import site_settings, tenancy
from core.work import PURGE_BATCH
from servers.models import DriftFinding, RemoteAccountSeen, RemoteServerSeen, SyncRun


def purge_sync_history(*, at: datetime) -> int:
    """Delete what ended longer ago than the setting says; how many rows. A provider keeps its newest run."""
    before = at - timedelta(days=site_settings.get("servers.keep_sync_days"))
    is_followed = Exists(SyncRun.objects.filter(provider=OuterRef("provider"), created_at__gt=OuterRef("created_at")))
    ended = (
        (SyncRun, Q(is_followed, finished_at__lt=before)),
        (DriftFinding, Q(closed_at__lt=before)),
        (RemoteServerSeen, Q(is_present=False, updated_at__lt=before)),
        (RemoteAccountSeen, Q(is_present=False, updated_at__lt=before)),
    )
    deleted = 0
    for model, is_old in ended:
        count = PURGE_BATCH
        while count == PURGE_BATCH:
            with tenancy.as_worker():
                rows = model._default_manager.filter(is_old).order_by("pk").values_list("pk", flat=True)
                count, _by_model = model._default_manager.filter(pk__in=list(rows[:PURGE_BATCH])).delete()
            deleted += count
    return deleted
