"""What staff do with servers and providers: each action once over HTTP, with its audit entry."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from core import queue
from core.models import WorkState
from orders.models import Order, OrderStatus
from servers.models import (
    DesiredState,
    DriftFinding,
    DriftKind,
    HoldKind,
    ProvisioningTask,
    Server,
    ServerHold,
    ServerStatus,
    SyncRun,
    SyncState,
)
from tests.admin.action_pages import is_audited, run, submit, undisputed_rows
from tests.admin.conftest import signed_in_user
from tests.admin.rows import AT, Rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(db: None) -> Rows:
    return undisputed_rows(1)


def test_a_server_is_suspended_by_a_hold_with_its_reason(rows: Rows, superadmin: Client) -> None:
    server = Server.objects.get()

    run(superadmin, server, "suspend", reason="spam")

    hold = ServerHold.objects.get(lifted_at=None)
    assert (hold.kind, hold.reason, hold.placed_by) == (HoldKind.MANUAL, "spam", signed_in_user(superadmin))
    assert ProvisioningTask.objects.filter(server=server, state=WorkState.QUEUED).exists()


def test_suspending_asks_why(rows: Rows, superadmin: Client) -> None:
    assert submit(superadmin, Server.objects.get(), "suspend", reason="").status_code == 422
    assert not ServerHold.objects.filter(lifted_at=None).exists()


def test_a_hold_is_lifted(rows: Rows, superadmin: Client) -> None:
    server = Server.objects.get()
    run(superadmin, server, "suspend", reason="spam")

    run(superadmin, server, "lift_hold", kind="manual", reason="settled")

    assert not ServerHold.objects.filter(lifted_at=None).exists()


def test_a_failed_server_is_tried_again(rows: Rows, superadmin: Client) -> None:
    Server.objects.update(status=ServerStatus.FAILED, failure="no")
    server = Server.objects.get()

    run(superadmin, server, "converge")

    assert server.reload().status == ServerStatus.PENDING
    assert ProvisioningTask.objects.filter(server=server, state=WorkState.QUEUED).exists()


def test_a_server_is_deleted_only_under_its_name(rows: Rows, superadmin: Client) -> None:
    server = Server.objects.get()

    assert submit(superadmin, server, "delete_server", name="other", reason="x").status_code == 422
    assert server.reload().desired_state == DesiredState.PRESENT
    run(superadmin, server, "delete_server", name=server.name, reason="asked for")

    assert server.reload().desired_state == DesiredState.ABSENT
    assert is_audited(superadmin, "server.delete", server)


def test_a_sync_is_left_to_a_worker_after_the_commit(
    rows: Rows, superadmin: Client, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(queue, "send", lambda name, *arguments: sent.append((name, list(arguments))))

    with django_capture_on_commit_callbacks() as callbacks:
        run(superadmin, rows.providers[0], "resync", kind="servers")
    assert not sent
    for callback in callbacks:
        callback()

    assert sent == [("servers.tasks.sync_provider", [str(rows.providers[0].pk), "servers"])]
    pending = SyncRun.objects.get(state=SyncState.PENDING)
    assert (pending.kind, pending.requested_by) == ("servers", signed_in_user(superadmin))


def test_a_sync_that_runs_shows_its_progress_on_a_page_that_renews_itself(rows: Rows, superadmin: Client) -> None:
    sync_run = SyncRun.objects.create(provider=rows.providers[0], counts={"servers": {"read": 1500}})
    url = f"/admin/servers/syncrun/{sync_run.pk}/change/"
    SyncRun.objects.filter(pk=sync_run.pk).update(state=SyncState.RUNNING, started_at=AT, progress_percent=37)
    page = superadmin.get(url).content.decode()
    assert 'name="reload-seconds"' in page
    assert "37 %" in page
    assert "1500" in page

    SyncRun.objects.filter(pk=sync_run.pk).update(state=SyncState.COMPLETED, finished_at=AT)
    assert 'name="reload-seconds"' not in superadmin.get(url).content.decode()


def test_a_finding_is_repaired_by_one_click_which_is_audited(rows: Rows, superadmin: Client) -> None:
    server = Server.objects.get()
    found = {"provider": rows.providers[0], "subject": server.name, "subject_ref": str(server.pk), "found_at": AT}
    finding = DriftFinding.objects.create(kind=DriftKind.LIMITS, server=server, **found)
    assert finding.subject in superadmin.get("/admin/servers/driftfinding/").content.decode()

    run(superadmin, finding, "repair")

    assert ProvisioningTask.objects.filter(server=server, state=WorkState.QUEUED).exists()
    assert is_audited(superadmin, "drift.repair", finding)


def test_a_finding_that_only_a_person_at_the_provider_can_mend_has_no_button(rows: Rows, superadmin: Client) -> None:
    orphan = DriftFinding.objects.get(kind=DriftKind.ORPHAN)
    page = superadmin.get(f"/admin/servers/driftfinding/{orphan.pk}/change/").content.decode()

    assert "Delete it there if it is not used" in page
    assert "/repair/" not in page


def test_retry_is_on_the_failed_server_its_order_and_the_start_page(rows: Rows, superadmin: Client) -> None:
    Server.objects.update(status=ServerStatus.FAILED, failure="the panel refused")
    server = Server.objects.get()
    Order.objects.filter(pk=server.order_item.order_id).update(status=OrderStatus.FAILED, paid_at=timezone.now())
    start = superadmin.get("/admin/").content.decode()

    assert f"/admin/servers/server/{server.pk}/retry/" in start
    assert f"/admin/orders/order/{server.order_item.order_id}/retry-servers/" in start

    run(superadmin, server.order_item.order, "retry_servers")
    assert server.reload().status == ServerStatus.PENDING

    Server.objects.update(status=ServerStatus.FAILED, failure="the panel refused")
    run(superadmin, server, "retry")
    assert server.reload().status == ServerStatus.PENDING
