"""Every staff action once over HTTP: the service did it, it is audited, and a failure is a message."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from accounts.models import User, UserStatus
from billing.models import Dispute, GatewayEvent, JournalEntry, Payment, PaymentState, PaymentTask, Refund, RefundTask
from core import queue
from core.ids import uuid7
from core.models import AuditEntry, WorkState
from core.money import Money
from orders import fulfilment
from orders.models import Order, OrderStatus
from servers.models import (
    Allocation,
    DesiredState,
    HoldKind,
    ProvisioningTask,
    Reservation,
    Server,
    ServerHold,
    ServerStatus,
)
from support.models import Delivery
from tests.admin.conftest import signed_in_user
from tests.admin.rows import Rows
from tests.builders import PASSWORD, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def rows(db: None) -> Rows:
    return undisputed_rows(1)


def undisputed_rows(count: int) -> Rows:
    """Rows whose disputes are won: what is disputed gets neither server nor refund."""
    rows = Rows(count)
    Dispute.objects.update(closed_at=timezone.now(), is_won=True)
    return rows


def page_of(row: Any, page: str = "change") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=[quote(row.pk)])


def submit(client: Client, row: Any, action: str, /, **data: Any) -> Any:
    """Submit the action's dialog."""
    return client.post(page_of(row, action), {"_form_submitted": "True", **data})


def run(client: Client, row: Any, action: str, /, **data: Any) -> list[str]:
    """Open the action's dialog and submit it; the messages shown."""
    assert client.get(page_of(row, action)).status_code == 200
    response = submit(client, row, action, **data)
    assert response.status_code == 302, response.content.decode()
    return [str(message) for message in get_messages(response.wsgi_request)]


def is_audited(client: Client, action: str, row: Any) -> bool:
    return AuditEntry.objects.filter(action=action, actor=signed_in_user(client), entity_id=str(row.pk)).exists()


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

    def failing_for_the_first(*, order_id: Any, at: Any) -> bool:
        tried.append(order_id)
        if order_id == chosen[0]:
            raise RuntimeError("disk full")
        return True

    monkeypatch.setattr(fulfilment, "retry_order", failing_for_the_first)
    data = {"action": "retry_placement", "_selected_action": chosen}
    response = superadmin.post(reverse("admin:orders_order_changelist"), data)

    assert sorted(tried) == chosen
    assert "disk full" in str(list(get_messages(response.wsgi_request))[-1])


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
        run(superadmin, rows.providers[0], "resync")
    assert not sent
    for callback in callbacks:
        callback()

    assert sent == [("servers.tasks.sync_provider", [str(rows.providers[0].pk)])]


def payment_under_review(rows: Rows, *, minor: int = 800, currency: str = "USD", **fields: Any) -> Payment:
    """Eight dollars, or another amount, without an invoice unless one is given."""
    reason = {"state": PaymentState.UNDER_REVIEW, "review_reason": "no invoice", "settled_at": timezone.now()}
    return Payment.objects.create(
        organization=rows.organizations[0],
        gateway="stripe",
        amount_minor=minor,
        received_minor=minor,
        received_currency=currency,
        currency=currency,
        idempotency_key="review",
        transaction_id="pi_review",
        **reason,
        **fields,
    )


def test_a_payment_is_refunded_in_part(rows: Rows, superadmin: Client) -> None:
    payment = payment_under_review(rows)

    run(superadmin, payment, "refund", amount="3.00", reason="half a month", seen=0)

    refund = Refund.objects.get(payment=payment)
    assert (refund.amount_minor, refund.reason) == (300, "half a month")
    assert RefundTask.objects.filter(refund=refund, state=WorkState.QUEUED).exists()
    assert JournalEntry.objects.filter(reference=f"refund:{refund.pk}").exists()


def test_a_refund_submitted_twice_is_made_once(rows: Rows, superadmin: Client) -> None:
    payment, data = payment_under_review(rows), {"amount": "3.00", "reason": "x", "seen": 0}

    run(superadmin, payment, "refund", **data)
    messages = run(superadmin, payment, "refund", **data)

    assert Refund.objects.filter(payment=payment).count() == 1
    assert "Another refund" in messages[-1]


def test_a_refund_locks_the_invoice_before_the_payment(rows: Rows, superadmin: Client) -> None:
    """As a webhook does: in the other order each could hold what the other waits for."""
    payment = payment_under_review(rows, invoice=rows.invoices[0])

    with CaptureQueriesContext(connection) as queries:
        run(superadmin, payment, "refund", amount="3.00", reason="half a month", seen=0)

    locks = [query["sql"] for query in queries if "FOR NO KEY UPDATE" in query["sql"]]
    assert 'FROM "billing_invoice"' in locks[0]
    assert Refund.objects.filter(payment=payment).exists()


@pytest.mark.parametrize("amount", ["8.01", "0", "-1", "1e3", "NaN", "3.001", "１"])
def test_a_refund_of_an_odd_amount_is_refused(rows: Rows, superadmin: Client, amount: str) -> None:
    payment = payment_under_review(rows)

    answer = submit(superadmin, payment, "refund", amount=amount, reason="x", seen=0)

    assert answer.status_code == 422
    assert not Refund.objects.filter(payment=payment).exists()


@pytest.mark.parametrize(
    ("currency", "typed", "step"),
    [("USD", "1.255", "$0.01"), ("JPY", "10.5", "¥1"), ("KWD", "1.255", "0.010")],
)
def test_a_refund_finer_than_the_gateway_can_carry_is_refused_beside_the_field(
    rows: Rows, superadmin: Client, currency: str, typed: str, step: str
) -> None:
    payment = payment_under_review(rows, minor=80_000, currency=currency)

    answer = submit(superadmin, payment, "refund", amount=typed, reason="x", seen=0)

    assert answer.status_code == 422
    (error,) = answer.context["form"].errors["amount"]
    assert "Too many decimals" in error
    assert step in error
    assert list(answer.context["form"].errors) == ["amount"]
    assert not Refund.objects.filter(payment=payment).exists()


def test_a_payment_under_review_is_accepted(rows: Rows, superadmin: Client) -> None:
    payment = payment_under_review(rows)

    run(superadmin, payment, "accept", reason="the customer wrote")

    assert payment.reload().state == PaymentState.SUCCEEDED
    assert is_audited(superadmin, "payment.accept_payment", payment)


def waiting_order(rows: Rows) -> Order:
    """A paid order without a reservation or a server."""
    order: Order = rows.orders[0]
    item = rows.items[0]
    Server.objects.update(reservation=None)
    item.server, item.reservation = None, None
    item.options = {"blueprint": str(rows.blueprints[0].pk), "variables": {}}
    item.save()
    Order.objects.filter(pk=order.pk).update(
        status=OrderStatus.WAITING_CAPACITY,
        paid_at=timezone.now(),
        refund_due_at=timezone.now() + timedelta(hours=1),
    )
    return order


def test_a_waiting_order_is_placed_once_there_is_capacity(rows: Rows, superadmin: Client) -> None:
    order = waiting_order(rows)
    Allocation.objects.create(node=rows.nodes[0], ref="2", ip="192.0.2.1", port=30000)

    run(superadmin, order, "retry_placement")

    assert order.reload().status == OrderStatus.PROVISIONING
    assert Reservation.objects.count() == 2


def test_a_waiting_order_without_capacity_keeps_waiting(rows: Rows, superadmin: Client) -> None:
    order = waiting_order(rows)

    messages = run(superadmin, order, "retry_placement")

    assert order.reload().status == OrderStatus.WAITING_CAPACITY
    assert "no capacity" in messages[0]


def test_an_unexpected_failure_is_shown_and_rolled_back(rows: Rows, superadmin: Client) -> None:
    order = waiting_order(rows)
    rows.items[0].options = {}
    rows.items[0].save()

    messages = run(superadmin, order, "retry_placement")

    assert "failed: KeyError" in messages[0]
    assert order.reload().status == OrderStatus.WAITING_CAPACITY


def test_a_failed_order_is_canceled_and_refunded(rows: Rows, superadmin: Client) -> None:
    order = rows.orders[0]
    Order.objects.update(status=OrderStatus.FAILED, paid_at=timezone.now())

    run(superadmin, order, "refund", reason="cannot be built")

    assert Refund.objects.get(reason="cannot be built").amount == Money(800, "USD")
    assert order.reload().status == OrderStatus.CANCELED
    assert Server.objects.get().desired_state == DesiredState.ABSENT


def test_an_unpaid_order_is_canceled(rows: Rows, superadmin: Client) -> None:
    run(superadmin, rows.orders[0], "cancel", reason="asked for")

    assert rows.orders[0].reload().status == OrderStatus.CANCELED


def test_a_suspended_user_is_signed_out_at_once_and_can_be_reactivated(superadmin: Client) -> None:
    user, theirs = make_user(), Client()
    theirs.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    assert theirs.get(reverse("dashboard")).status_code == 200

    run(superadmin, user, "suspend", reason="abuse")
    assert theirs.get(reverse("dashboard")).status_code == 302
    run(superadmin, user, "reactivate", reason="settled")

    assert user.reload().status == UserStatus.ACTIVE
    assert theirs.get(reverse("dashboard")).status_code == 302  # the old session stays ended
    assert is_audited(superadmin, "user.suspend", user)


def test_a_user_is_signed_out_everywhere(superadmin: Client) -> None:
    user, theirs = make_user(), Client()
    theirs.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})

    run(superadmin, user, "sign_out")

    assert theirs.get(reverse("dashboard")).status_code == 302
    assert user.reload().status == UserStatus.ACTIVE


def test_users_cannot_suspend_themselves(superadmin: Client) -> None:
    messages = run(superadmin, signed_in_user(superadmin), "suspend", reason="x")

    assert messages == ["You cannot do this to your own account."]
    assert signed_in_user(superadmin).status == UserStatus.ACTIVE


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
