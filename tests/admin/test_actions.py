"""Staff actions whatever they are about: dead work, dialogs, failures, and the audit chain."""

from typing import Any

import pytest
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User
from billing.models import GatewayEvent, PaymentTask, RefundTask
from core.ids import uuid7
from core.models import AuditEntry, WorkState
from orders import fulfilment
from orders.models import Order, OrderStatus
from servers.models import (
    ProvisioningTask,
    Server,
)
from support.models import Delivery
from tests.admin.action_pages import is_audited, page_of, run, submit, undisputed_rows
from tests.admin.conftest import signed_in_user
from tests.admin.rows import Rows

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(db: None) -> Rows:
    return undisputed_rows(1)


@pytest.mark.parametrize("model", [Delivery, ProvisioningTask, GatewayEvent, PaymentTask, RefundTask])
def test_dead_work_is_queued_again(rows: Rows, superadmin: Client, model: Any) -> None:
    item = model.objects.get()

    run(superadmin, item, "retry")

    assert item.reload().state == WorkState.QUEUED
    assert is_audited(superadmin, "work.retry", item)


def test_all_dead_work_of_a_filter_is_queued_again_with_one_audit_entry_a_batch(
    superadmin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.admin_base.actions.MAX_ROWS", 1)
    monkeypatch.setattr("core.admin_base.work_items.RETRY_BATCH", 2)
    Rows(5)
    done = Delivery.objects.order_by("pk")[0]
    Delivery.objects.filter(pk=done.pk).update(state=WorkState.DONE)
    dead = set(Delivery.objects.filter(state=WorkState.DEAD).values_list("pk", flat=True))
    address = reverse("admin:support_delivery_changelist") + "?state__exact=dead"
    data = {"action": "retry", "select_across": "1", "_selected_action": [min(dead)]}

    response = superadmin.post(address, data)

    assert set(Delivery.objects.filter(state=WorkState.QUEUED).values_list("pk", flat=True)) == dead
    assert done.reload().state == WorkState.DONE
    entries = AuditEntry.objects.filter(action="work.retry", actor=signed_in_user(superadmin))
    assert list(entries.values_list("metadata__count", flat=True)) == [2, 2]
    assert [str(message) for message in get_messages(response.wsgi_request)] == ["4 rows are queued again."]


def test_one_failing_row_does_not_stop_the_others(superadmin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    undisputed_rows(3)
    Order.objects.update(status=OrderStatus.WAITING_CAPACITY, paid_at=timezone.now())
    chosen = list(Order.objects.order_by("pk").values_list("pk", flat=True))
    tried: list[Any] = []

    def failing_for_the_first(order_ids: Any, *, at: Any) -> None:
        tried.extend(order_ids)
        if order_ids == chosen[:1]:
            raise RuntimeError("disk full")

    monkeypatch.setattr(fulfilment, "retry_after_commit", failing_for_the_first)
    data = {"action": "retry_placement", "_selected_action": chosen}
    response = superadmin.post(reverse("admin:orders_order_changelist"), data)

    assert sorted(tried) == chosen
    assert "disk full" in str(list(get_messages(response.wsgi_request))[-1])


def test_the_audit_chain_is_verified(rows: Rows, superadmin: Client) -> None:
    response = superadmin.post(reverse("admin:core_auditentry_verify"), {"_form_submitted": "True"})

    assert "is intact" in str(next(iter(get_messages(response.wsgi_request))))


def test_a_broken_audit_chain_is_reported(rows: Rows, superadmin: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE core_auditentry SET action = 'other' WHERE action = 'test'")
        cursor.execute("SET LOCAL session_replication_role = origin; SET LOCAL ROLE nodebyte_worker")

    response = superadmin.post(reverse("admin:core_auditentry_verify"), {"_form_submitted": "True"})

    assert "is broken in 1 place" in str(next(iter(get_messages(response.wsgi_request))))


def test_an_action_that_the_state_does_not_allow_is_not_run(rows: Rows, superadmin: Client) -> None:
    user = User.objects.get(email="row0@example.com")

    response = submit(superadmin, user, "reactivate", reason="x")

    assert "not available now" in str(next(iter(get_messages(response.wsgi_request))))


def test_an_action_of_an_unknown_row_is_not_found(superadmin: Client) -> None:
    assert superadmin.get(reverse("admin:servers_server_suspend", args=[uuid7()])).status_code == 404


def test_a_dialog_names_its_row_and_leaves_after_submission_through_htmx(rows: Rows, superadmin: Client) -> None:
    server, headers = Server.objects.get(), {"HX-Request": "true"}

    dialog = superadmin.get(page_of(server, "suspend"), headers=headers).content.decode()
    refused = superadmin.post(page_of(server, "suspend"), {"_form_submitted": "True"}, headers=headers)
    done = superadmin.post(page_of(server, "suspend"), {"_form_submitted": "True", "reason": "x"}, headers=headers)

    assert server.name in dialog
    assert "<html" not in dialog
    assert (refused.status_code, "HX-Redirect" in refused) == (200, False)
    assert done["HX-Redirect"] == page_of(server)


def test_a_customers_server_name_cannot_inject_markup_into_a_dialog(rows: Rows, superadmin: Client) -> None:
    Server.objects.update(name="<script>alert(1)</script>")

    assert "<script>alert" not in superadmin.get(page_of(Server.objects.get(), "delete_server")).content.decode()
