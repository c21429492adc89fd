"""What staff do with servers and providers: each action once over HTTP, with its audit entry."""

from typing import Any

import pytest
from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone

from core import queue
from core.models import WorkState
from orders.models import Order, OrderStatus
from servers.models import (
    Allocation,
    Blueprint,
    DesiredState,
    DriftFinding,
    DriftKind,
    HoldKind,
    ProvisioningTask,
    RemoteDeletion,
    RemoteServerSeen,
    Server,
    ServerHold,
    ServerStatus,
    SyncRun,
    SyncState,
)
from tests.admin.action_pages import is_audited, page_of, run, submit, undisputed_rows
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


def make_seen_orphan(rows: Rows) -> tuple[DriftFinding, RemoteServerSeen]:
    """An orphan of which all is known, and that the plan of the rows fits."""
    orphan = DriftFinding.objects.get(kind=DriftKind.ORPHAN)
    RemoteDeletion.objects.all().delete()
    node, plan = rows.nodes[0], rows.plans[0]
    Blueprint.objects.filter(product=plan.product).update(provider=orphan.provider)
    port = Allocation.objects.create(node=node, ref="p1", ip="192.0.2.9", port=40000)
    values = {"node": node, "memory_mib": plan.memory_mib, "disk_mib": plan.disk_mib, "allocation_refs": [port.ref]}
    seen = RemoteServerSeen.objects.filter(provider=orphan.provider, ref=orphan.subject_ref)
    seen.update(identifier="a1b2c3d4", server=None, **values)
    return orphan, seen.get()


def test_an_orphan_is_taken_over_by_its_dialog(rows: Rows, superadmin: Client) -> None:
    orphan, seen = make_seen_orphan(rows)
    page = superadmin.get(page_of(orphan)).content.decode()
    assert "Take it over, or delete it if it is not used" in page
    assert "/repair/" not in page
    organization, before = rows.organizations[0], Server.objects.count()
    EmailAddress.objects.filter(user=organization.owner).update(verified=True)
    entered = {"organization": organization.slug, "plan": str(rows.plans[0].pk), "term": "monthly"}
    wrong = {"organization": "no-such", "billed_from": "2020-01-01", "plan": "x", "term": "hourly"}
    for name, value in wrong.items():
        data = {**entered, "billed_from": "2099-01-01", name: value}
        answer = submit(superadmin, orphan, "adopt", **data)
        assert (answer.status_code, name in answer.context["form"].errors) == (422, True)
    assert Server.objects.count() == before

    run(superadmin, orphan, "adopt", **entered, billed_from="2099-01-01")

    server = Server.objects.get(ref=seen.ref, identifier="a1b2c3d4")
    assert (server.organization, seen.reload().server) == (organization, server)
    end = server.order_item.subscription.current_period_end
    assert end is not None
    assert end.year == 2099
    assert is_audited(superadmin, "server.adopt", server)
    assert superadmin.get(page_of(seen, "adopt")).status_code == 302  # it is ours now


def test_an_orphan_is_deleted_only_under_its_name(rows: Rows, superadmin: Client) -> None:
    orphan, seen = make_seen_orphan(rows)
    assert submit(superadmin, orphan, "delete_there", ref=seen.ref, name="another").status_code == 422
    assert submit(superadmin, orphan, "delete_there", ref="999", name=orphan.subject).status_code == 422
    assert not RemoteDeletion.objects.exists()

    run(superadmin, orphan, "delete_there", ref=seen.ref, name=orphan.subject)

    assert RemoteDeletion.objects.get().requested_by == signed_in_user(superadmin)
    assert is_audited(superadmin, "drift.delete", orphan)


def test_a_finding_is_ignored_for_a_reason_and_no_longer(rows: Rows, superadmin: Client) -> None:
    orphan = DriftFinding.objects.get(kind=DriftKind.ORPHAN)
    ignored = "/admin/servers/driftfinding/?ignored_at__isempty=0"
    assert submit(superadmin, orphan, "ignore", reason="").status_code == 422
    assert orphan.subject not in superadmin.get(ignored).content.decode()

    run(superadmin, orphan, "ignore", reason="our own test server")

    assert orphan.subject in superadmin.get(ignored).content.decode()
    assert "our own test server" in superadmin.get(page_of(orphan)).content.decode()
    run(superadmin, orphan, "stop_ignoring")
    assert orphan.reload().ignored_at is None
    assert is_audited(superadmin, "drift.stop_ignoring", orphan)


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
