"""What staff do with servers and providers: each action once over HTTP, with its audit entry."""

import html
import re
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
from tests.builders import make_price
from tests.servers.builders import make_blueprint, make_location, make_node, make_plan, make_provider, make_server

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


def test_findings_say_what_each_loses_a_month_and_how_that_is_reckoned(superadmin: Client) -> None:
    provider = make_provider()
    location = make_location(provider)
    make_node(location)
    bought, larger = make_price(make_plan(), minor=800).plan, make_price(make_plan(memory_mib=4096), minor=2000).plan
    blueprint = make_blueprint(provider, bought)
    make_blueprint(provider, larger)
    server = make_server(provider, plan=bought, blueprint=blueprint, location=location)
    for ref, ours in (("1", server), ("2", None)):
        RemoteServerSeen.objects.create(provider=provider, ref=ref, server=ours, memory_mib=4096, disk_mib=5120)

    def make_finding(kind: DriftKind, ref: str = "", **values: str) -> DriftFinding:
        named = {"subject": kind.value, "subject_ref": ref or str(server.pk), "server": None if ref else server}
        return DriftFinding.objects.create(provider=provider, kind=kind, found_at=AT, **named, **values)

    losses = {
        make_finding(DriftKind.ORPHAN, "2"): ("$20.00", "cheapest plan that covers its size"),
        make_finding(DriftKind.LIMITS): ("$12.00", "less its plan"),
        make_finding(DriftKind.DUPLICATE, found="1, 2, 3"): ("$16.00", "for each copy"),
        make_finding(DriftKind.SUSPENSION, expected="suspended", found="active"): ("$8.00", "although it is suspended"),
        make_finding(DriftKind.GHOST): ("–", ""),
    }

    page = superadmin.get("/admin/servers/driftfinding/").content.decode()
    shown = {row.partition("</tr>")[0] for row in page.split("<tr")[1:]}
    for finding, (amount, words) in losses.items():
        [row] = [each for each in shown if str(finding.pk) in each]
        assert f">{amount}<" in re.sub(r"\s+", "", row), finding.kind
        of_one = superadmin.get(page_of(finding)).content.decode()
        assert (amount in of_one, words in of_one) == (True, True), finding.kind
    DriftFinding.objects.filter(kind=DriftKind.SUSPENSION).update(expected="active", found="suspended")
    assert "$8.00" not in superadmin.get("/admin/servers/driftfinding/").content.decode()


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


def choose(client: Client, action: str, findings: list[DriftFinding], **data: Any) -> Any:
    """Select findings of the list and choose the action; with data, submit what it asks."""
    selected = {"action": action, "_selected_action": [finding.pk for finding in findings]}
    submitted = {"_form_submitted": "True", **data} if data else {}
    return client.post("/admin/servers/driftfinding/", selected | submitted)


def results_of(answer: Any) -> dict[Any, tuple[bool, str]]:
    """What came of each row, as the page says."""
    page = answer.content.decode()
    assert all(html.escape(result.text) in page for result in answer.context["results"])
    return {result.row.pk: (result.is_done, result.text) for result in answer.context["results"]}


def make_more_orphans(orphan: DriftFinding, seen: RemoteServerSeen, *build_refs: str) -> list[DriftFinding]:
    """Others of the same size on the same node, each built from this."""
    made, node = [], seen.node
    assert node is not None
    for number, build_ref in enumerate(build_refs, start=900):
        port = Allocation.objects.create(node=node, ref=f"p{number}", ip="192.0.2.9", port=40000 + number)
        values = {"ref": str(number), "name": f"Found {number}", "key": f"key-{number}", "identifier": f"id{number}"}
        RemoteServerSeen.objects.create(
            **values,
            provider=orphan.provider,
            node=node,
            memory_mib=seen.memory_mib,
            disk_mib=seen.disk_mib,
            allocation_refs=[port.ref],
            build_ref=build_ref,
        )
        found = {"subject": f"Found {number}", "subject_ref": str(number), "found_at": AT}
        made.append(DriftFinding.objects.create(kind=DriftKind.ORPHAN, provider=orphan.provider, **found))
    return made


def test_of_selected_orphans_those_that_fit_are_taken_over_and_the_others_say_why(
    rows: Rows, superadmin: Client
) -> None:
    orphan, seen = make_seen_orphan(rows)
    fits, other_egg = make_more_orphans(orphan, seen, "", "another egg")
    found = {"provider": orphan.provider, "subject": "Elsewhere", "subject_ref": "1", "found_at": AT}
    gone = DriftFinding.objects.create(kind=DriftKind.GHOST, **found)
    selected, organization = [other_egg, gone, orphan, fits], rows.organizations[0]
    EmailAddress.objects.filter(user=organization.owner).update(verified=True)
    entered = {"plan": str(rows.plans[0].pk), "term": "monthly", "billed_from": "2099-01-01"}
    asked = choose(superadmin, "adopt", selected).content.decode()
    assert "4 selected rows" in asked
    assert 'name="billed_from"' in asked
    wrong = choose(superadmin, "adopt", selected, organization="no-such", **entered)
    assert (wrong.status_code, list(wrong.context["form"].errors)) == (422, ["organization"])

    results = results_of(choose(superadmin, "adopt", selected, organization=organization.slug, **entered))

    assert {pk: is_done for pk, (is_done, _text) in results.items()} == {
        orphan.pk: True,
        fits.pk: True,
        other_egg.pk: False,
        gone.pk: False,
    }
    assert "of something else" in results[other_egg.pk][1]
    taken = Server.objects.filter(ref__in=[orphan.subject_ref, fits.subject_ref], organization=organization)
    assert taken.count() == 2
    assert all(is_audited(superadmin, "server.adopt", server) for server in taken)


def test_selected_orphans_are_deleted_under_their_number_and_any_finding_is_ignored_for_one_reason(
    rows: Rows, superadmin: Client
) -> None:
    orphan, seen = make_seen_orphan(rows)
    [second] = make_more_orphans(orphan, seen, "")
    RemoteServerSeen.objects.filter(ref=second.subject_ref).update(is_present=False)
    selected = [second, orphan]
    assert choose(superadmin, "delete_there", selected, count="1").status_code == 422
    assert not RemoteDeletion.objects.exists()

    found = results_of(choose(superadmin, "delete_there", selected, count="2"))

    assert [found[row.pk][0] for row in selected] == [False, True]
    assert "no longer there" in found[second.pk][1]
    assert RemoteDeletion.objects.get().ref == orphan.subject_ref
    assert is_audited(superadmin, "drift.delete", orphan)
    assert choose(superadmin, "ignore", selected, reason="").status_code == 422
    ignored = results_of(choose(superadmin, "ignore", [*selected, second], reason="our own test servers"))
    assert [is_done for is_done, _text in ignored.values()] == [True, True]
    assert all(is_audited(superadmin, "drift.ignore", row) for row in selected)
    again = results_of(choose(superadmin, "ignore", selected, reason="once more"))
    assert not any(is_done for is_done, _text in again.values())
    assert {row.reload().ignore_reason for row in selected} == {"our own test servers"}


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
