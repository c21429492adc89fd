"""What staff can do, each pressed once through HTTP: the service did it, it is on record, failure is a message."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.admin.utils import quote
from django.contrib.messages import get_messages
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.models import User, UserStatus
from billing.models import GatewayEvent, JournalEntry, Payment, PaymentState, Refund, RefundTask
from core import queue
from core.models import AuditEntry, WorkState
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
from tests.admin.conftest import person
from tests.admin.rows import Rows
from tests.builders import PASSWORD, make_user

pytestmark = pytest.mark.django_db
type Press = Callable[..., list[str]]


@pytest.fixture
def rows(db: None) -> Rows:
    return Rows(1)


def page_of(row: Any, page: str = "change") -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=[quote(row.pk)])


def deed_of(row: Any, name: str) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_deed", args=[quote(row.pk), name])


def press(client: Client, row: Any, deed: str, /, **typed: Any) -> list[str]:
    """Open the deed's page, press its button; what was told."""
    address = deed_of(row, deed)
    assert client.get(address).status_code == 200
    response = client.post(address, typed)
    assert response.status_code == 302, response.content.decode()
    return [str(message) for message in get_messages(response.wsgi_request)]


def is_on_record(client: Client, action: str, row: Any) -> bool:
    return AuditEntry.objects.filter(action=action, actor=person(client), entity_id=str(row.pk)).exists()


@pytest.mark.parametrize("model", [Delivery, ProvisioningTask, GatewayEvent, RefundTask])
def test_dead_work_is_queued_again(rows: Rows, superadmin: Client, model: Any) -> None:
    item = model.objects.get()

    press(superadmin, item, "retry")

    assert item.reload().state == WorkState.QUEUED
    assert is_on_record(superadmin, "work.retry", item)


def test_selected_dead_work_is_queued_again_at_once(superadmin: Client) -> None:
    Rows(3)
    chosen = list(Delivery.objects.order_by("pk").values_list("pk", flat=True))[:2]

    superadmin.post(reverse("admin:support_delivery_changelist"), {"action": "retry", "_selected_action": chosen})

    assert Delivery.objects.filter(state=WorkState.QUEUED).count() == 2
    assert Delivery.objects.filter(state=WorkState.DEAD).count() == 1


def test_a_server_is_suspended_by_a_hold_with_its_reason(rows: Rows, superadmin: Client) -> None:
    server = Server.objects.get()

    press(superadmin, server, "suspend", reason="spam")

    hold = ServerHold.objects.get(lifted_at=None)
    assert (hold.kind, hold.reason, hold.placed_by) == (HoldKind.MANUAL, "spam", person(superadmin))
    assert ProvisioningTask.objects.filter(server=server, state=WorkState.QUEUED).exists()


def test_suspending_asks_why(rows: Rows, superadmin: Client) -> None:
    assert superadmin.post(deed_of(Server.objects.get(), "suspend"), {"reason": ""}).status_code == 422
    assert not ServerHold.objects.filter(lifted_at=None).exists()


def test_a_hold_is_lifted(rows: Rows, superadmin: Client) -> None:
    server = Server.objects.get()
    press(superadmin, server, "suspend", reason="spam")

    press(superadmin, server, "lift", kind="manual", reason="settled")

    assert not ServerHold.objects.filter(lifted_at=None).exists()


def test_a_failed_server_is_tried_again(rows: Rows, superadmin: Client) -> None:
    Server.objects.update(status=ServerStatus.FAILED, failure="no")
    server = Server.objects.get()

    press(superadmin, server, "converge")

    assert server.reload().status == ServerStatus.PENDING
    assert ProvisioningTask.objects.filter(server=server, state=WorkState.QUEUED).exists()


def test_a_server_is_deleted_only_under_its_name(rows: Rows, superadmin: Client) -> None:
    server = Server.objects.get()

    assert superadmin.post(deed_of(server, "delete"), {"name": "other", "reason": "x"}).status_code == 422
    assert server.reload().desired_state == DesiredState.PRESENT
    press(superadmin, server, "delete", name=server.name, reason="asked for")

    assert server.reload().desired_state == DesiredState.ABSENT
    assert is_on_record(superadmin, "server.delete", server)


def test_a_pull_is_left_to_a_worker_after_the_commit(
    rows: Rows, superadmin: Client, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    sent: list[Any] = []
    monkeypatch.setattr(queue, "send", lambda name, *arguments: sent.append((name, list(arguments))))

    with django_capture_on_commit_callbacks() as callbacks:
        press(superadmin, rows.providers[0], "resync")
    assert not sent
    for callback in callbacks:
        callback()

    assert sent == [("servers.tasks.sync_provider", [str(rows.providers[0].pk)])]


def held_payment(rows: Rows) -> Payment:
    """Eight dollars that nobody has an invoice for."""
    reason = {"state": PaymentState.UNDER_REVIEW, "review_reason": "nobody asked for it", "settled_at": timezone.now()}
    return Payment.objects.create(
        organization=rows.organizations[0],
        gateway="stripe",
        amount_minor=800,
        received_minor=800,
        currency="USD",
        idempotency_key="held",
        transaction_id="pi_held",
        **reason,
    )


def test_a_part_of_a_payment_goes_back(rows: Rows, superadmin: Client) -> None:
    payment = held_payment(rows)

    press(superadmin, payment, "refund", amount="3.00", reason="half a month", seen=0)

    refund = Refund.objects.get(payment=payment)
    assert (refund.amount_minor, refund.reason) == (300, "half a month")
    assert RefundTask.objects.filter(refund=refund, state=WorkState.QUEUED).exists()
    assert JournalEntry.objects.filter(reference=f"refund:{refund.pk}").exists()


def test_a_refund_pressed_twice_is_one(rows: Rows, superadmin: Client) -> None:
    payment, typed = held_payment(rows), {"amount": "3.00", "reason": "x", "seen": 0}

    press(superadmin, payment, "refund", **typed)
    told = press(superadmin, payment, "refund", **typed)

    assert Refund.objects.filter(payment=payment).count() == 1
    assert "Another refund" in told[-1]


@pytest.mark.parametrize("amount", ["8.01", "0", "-1", "1e3", "NaN", "3.001", "１"])
def test_a_refund_of_an_odd_amount_is_refused(rows: Rows, superadmin: Client, amount: str) -> None:
    payment = held_payment(rows)

    answer = superadmin.post(deed_of(payment, "refund"), {"amount": amount, "reason": "x", "seen": 0})

    assert answer.status_code == 422
    assert not Refund.objects.filter(payment=payment).exists()


def test_a_held_payment_is_accepted(rows: Rows, superadmin: Client) -> None:
    payment = held_payment(rows)

    press(superadmin, payment, "accept", reason="the customer wrote")

    assert payment.reload().state == PaymentState.SUCCEEDED
    assert is_on_record(superadmin, "payment.accept_payment", payment)


def waiting_order(rows: Rows) -> Order:
    """Paid, and no room: its item lost what was held for it."""
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


def test_a_waiting_order_finds_room(rows: Rows, superadmin: Client) -> None:
    order = waiting_order(rows)
    Allocation.objects.create(node=rows.nodes[0], ref="2", ip="192.0.2.1", port=30000)

    press(superadmin, order, "place")

    assert order.reload().status == OrderStatus.PROVISIONING
    assert Reservation.objects.count() == 2


def test_a_waiting_order_without_room_goes_on_waiting(rows: Rows, superadmin: Client) -> None:
    order = waiting_order(rows)

    told = press(superadmin, order, "place")

    assert order.reload().status == OrderStatus.WAITING_CAPACITY
    assert "no room" in told[0]


def test_what_a_service_cannot_do_is_told_and_undone(rows: Rows, superadmin: Client) -> None:
    order = waiting_order(rows)
    rows.items[0].options = {}
    rows.items[0].save()

    told = press(superadmin, order, "place")

    assert "failed: KeyError" in told[0]
    assert order.reload().status == OrderStatus.WAITING_CAPACITY


def test_a_failed_order_is_canceled_and_refunded(rows: Rows, superadmin: Client) -> None:
    order = rows.orders[0]
    Payment.objects.update(state=PaymentState.FAILED, received_minor=0, transaction_id=None)
    Order.objects.update(status=OrderStatus.FAILED, paid_at=timezone.now())

    press(superadmin, order, "refund", reason="cannot be built")

    assert order.reload().status == OrderStatus.CANCELED
    assert Server.objects.get().desired_state == DesiredState.ABSENT


def test_an_unpaid_order_is_canceled(rows: Rows, superadmin: Client) -> None:
    press(superadmin, rows.orders[0], "cancel", reason="asked for")

    assert rows.orders[0].reload().status == OrderStatus.CANCELED


def test_a_suspended_person_is_out_at_once_and_can_come_back(superadmin: Client) -> None:
    user, theirs = make_user(), Client()
    theirs.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})
    assert theirs.get(reverse("dashboard")).status_code == 200

    press(superadmin, user, "suspend", reason="abuse")
    assert theirs.get(reverse("dashboard")).status_code == 302
    press(superadmin, user, "reactivate", reason="settled")

    assert user.reload().status == UserStatus.ACTIVE
    assert theirs.get(reverse("dashboard")).status_code == 302  # the old session stays ended
    assert is_on_record(superadmin, "user.suspend", user)


def test_a_person_is_signed_out_everywhere(superadmin: Client) -> None:
    user, theirs = make_user(), Client()
    theirs.post(reverse("account_login"), {"login": user.email, "password": PASSWORD})

    press(superadmin, user, "sign_out")

    assert theirs.get(reverse("dashboard")).status_code == 302
    assert user.reload().status == UserStatus.ACTIVE


def test_nobody_suspends_themselves(superadmin: Client) -> None:
    told = press(superadmin, person(superadmin), "suspend", reason="x")

    assert told == ["Not to yourself."]
    assert person(superadmin).status == UserStatus.ACTIVE


def test_the_audit_chain_is_verified(rows: Rows, superadmin: Client) -> None:
    address = reverse("admin:core_auditentry_general_deed", args=["verify"])

    response = superadmin.post(address)

    assert "is whole" in str(next(iter(get_messages(response.wsgi_request))))


def test_a_broken_audit_chain_is_told(rows: Rows, superadmin: Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE; SET LOCAL session_replication_role = replica")
        cursor.execute("UPDATE core_auditentry SET action = 'other' WHERE action = 'test'")
        cursor.execute("SET LOCAL session_replication_role = origin; SET LOCAL ROLE nodebyte_worker")

    response = superadmin.post(reverse("admin:core_auditentry_general_deed", args=["verify"]))

    assert "is broken in 1 place" in str(next(iter(get_messages(response.wsgi_request))))


def test_a_deed_that_does_not_suit_the_state_is_not_done(rows: Rows, superadmin: Client) -> None:
    user = User.objects.get(email="row0@example.com")

    response = superadmin.post(deed_of(user, "reactivate"), {"reason": "x"})

    assert "does not suit" in str(next(iter(get_messages(response.wsgi_request))))


def test_an_unknown_deed_is_not_found(rows: Rows, superadmin: Client) -> None:
    assert superadmin.get(deed_of(rows.servers[0], "explode")).status_code == 404
