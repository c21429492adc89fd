"""What syncs wrote is deleted when it is old."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from core import site_settings
from servers import inventory
from servers.inventory import retention
from servers.models import DriftFinding, DriftKind, Provider, RemoteServerSeen, SyncRun, SyncState
from tests.servers.builders import AT, make_provider

pytestmark = pytest.mark.django_db
OLD, RECENT = AT - timedelta(days=31), AT - timedelta(days=29)


def make_run(provider: Provider, created_at: datetime, state: SyncState = SyncState.COMPLETED) -> SyncRun:
    finished_at = created_at if state in {SyncState.COMPLETED, SyncState.FAILED} else None
    run = SyncRun.objects.create(provider=provider, state=state, started_at=created_at, finished_at=finished_at)
    SyncRun.objects.filter(pk=run.pk).update(created_at=created_at)
    return run


def make_finding(provider: Provider, ref: str, closed_at: datetime | None) -> DriftFinding:
    what = {"kind": DriftKind.GHOST, "subject": ref, "subject_ref": ref}
    return DriftFinding.objects.create(provider=provider, found_at=OLD, closed_at=closed_at, **what)


def make_seen(provider: Provider, ref: str, updated_at: datetime, **fields: Any) -> RemoteServerSeen:
    seen = RemoteServerSeen.objects.create(provider=provider, ref=ref, memory_mib=1, disk_mib=1, **fields)
    with connection.cursor() as cursor:  # its trigger would say that it changed now
        cursor.execute("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE servers_remoteserverseen SET updated_at = %s WHERE id = %s", [updated_at, seen.pk])
        cursor.execute("SET LOCAL session_replication_role = origin; SET LOCAL ROLE nodebyte_worker")
    return seen


def test_what_ended_long_ago_is_deleted_and_what_is_open_present_or_newest_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(retention, "PURGE_BATCH", 2)
    site_settings.set_value("servers.keep_sync_days", 30)
    provider, idle = make_provider(), make_provider()
    for _ in range(3):
        make_run(provider, OLD)
    make_run(provider, OLD, SyncState.FAILED)
    make_run(idle, OLD - timedelta(days=1))
    make_finding(provider, "closed", OLD)
    make_seen(provider, "gone", OLD, is_present=False)
    kept = [
        make_run(provider, OLD, SyncState.RUNNING),
        make_run(provider, RECENT),
        make_run(idle, OLD),
        make_finding(provider, "closed lately", RECENT),
        make_finding(provider, "open", None),
        make_seen(provider, "gone lately", RECENT, is_present=False),
        make_seen(provider, "there", OLD),
    ]

    assert inventory.purge_sync_history(at=AT) == 7

    left = [*SyncRun.objects.all(), *DriftFinding.objects.all(), *RemoteServerSeen.objects.all()]
    assert {row.pk for row in left} == {row.pk for row in kept}
