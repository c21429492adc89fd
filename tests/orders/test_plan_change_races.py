"""Plan changes at once, killed, and refused by the database: one at a time, and all or nothing."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from billing import subscriptions
from billing.models import (
    Invoice,
    InvoiceItem,
    ItemKind,
    Period,
    SubscriptionStatus,
)
from catalog.models import Term
from orders.changes import ending, making
from orders.changes.models import PlanChange, PlanChangeStatus
from servers.capacity import InsufficientCapacity
from servers.models import Node, Reservation, Server
from tests.billing.sales import wallet_balance
from tests.builders import make_price
from tests.orders.sold import APRIL, MAY, MIDDLE, make_offer, make_sold
from tests.orders.test_plan_changes import bill, in_force
from tests.servers.test_capacity import assert_counters_agree
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db
QUARTER = timedelta(minutes=15)
S = PlanChangeStatus


@pytest.mark.django_db(transaction=True)
def test_two_confirms_at_once_make_one_change() -> None:
    sold = make_sold()
    change = sold.request(sold.offer.large)

    assert run_at_once(lambda: sold.confirm(change), times=2) == []

    assert Invoice.objects.count() == 2
    assert Reservation.objects.exclude(extends=None).count() == 1
    assert sold.subscription.items.count() == 2
    sold.give_credit()
    before = wallet_balance(sold.organization)
    assert run_at_once(lambda: making.pay_with_credit(change=change, at=MIDDLE), times=2) == []
    assert wallet_balance(sold.organization) == before - 600
    assert_counters_agree()


@pytest.mark.django_db(transaction=True)
def test_the_last_memory_of_a_node_makes_one_of_two_servers_larger() -> None:
    offer = make_offer(memory_mib=3072)
    waiting = [each.request(offer.large) for each in (make_sold(offer), make_sold(offer))]

    def confirm() -> None:
        change = waiting.pop()
        making.confirm(change=change, actor=change.requested_by, at=MIDDLE)

    errors = run_at_once(confirm, times=2)

    assert [type(error) for error in errors] == [InsufficientCapacity]
    assert sorted(PlanChange.objects.values_list("status", flat=True)) == [S.PENDING_PAYMENT, S.QUOTED]
    assert Node.objects.get().memory_reserved_mib == 3072


@pytest.mark.django_db(transaction=True)
def test_a_process_killed_anywhere_leaves_money_and_size_in_agreement(monkeypatch: pytest.MonkeyPatch) -> None:
    sold = make_sold()
    sold.give_credit()
    before = wallet_balance(sold.organization)

    class Killed(BaseException):
        """The process ends here: what is open is rolled back, and nothing after it runs."""

    def kill(*_args: Any, **_fields: Any) -> None:
        raise Killed

    acts = ["billing.item_changes.switch_items", "servers.capacity.merge_extension"]
    acts += ["servers.resizing.request_convergence", "core.audit.record", "billing.invoicing.allocate"]
    change = sold.request(sold.offer.large)
    for name in ["orders.changes.making.draft", "billing.item_changes.add_items", "core.audit.record"]:
        with monkeypatch.context() as patch:
            patch.setattr(name, kill)
            with pytest.raises(Killed):
                sold.confirm(change)
        assert change.reload().status == S.QUOTED
        assert sold.offer.node.reload().memory_reserved_mib == 1024
        assert sold.subscription.items.count() == 1
    change = sold.confirm(change)
    for name in acts:
        with monkeypatch.context() as patch:
            patch.setattr(name, kill)
            with pytest.raises(Killed):
                making.pay_with_credit(change=change, at=MIDDLE)
        assert (wallet_balance(sold.organization), sold.server.memory_mib) == (before, 1024)
        assert in_force(sold, MAY) == ["Minecraft 1 GB"]
    assert making.pay_with_credit(change=change, at=MIDDLE)
    assert (wallet_balance(sold.organization), sold.server.memory_mib) == (before - 600, 2048)
    assert in_force(sold, MAY) == ["Minecraft 2 GB"]


def test_the_database_refuses_a_second_open_change_and_to_bill_the_same_time_again() -> None:
    sold = make_sold()
    change = sold.request(sold.offer.large)
    change.pk = None
    with pytest.raises(IntegrityError, match="orders_plan_change_one_open"), transaction.atomic():
        change.save(force_insert=True)
    sold.give_credit()
    sold.change_to(sold.offer.large, at=MIDDLE)
    again = bill(sold, Period(MAY, MAY + timedelta(days=31)))
    columns = "kind, description, quantity, unit_minor, amount_minor, currency, subscription_id, subscription_item_id"
    insert = (
        f"INSERT INTO billing_invoiceitem (id, invoice_id, organization_id, is_void, position, created_at, updated_at,"
        f" period_start, period_end, {columns}) SELECT uuidv7(), %s, organization_id, false, 9, now(), now(),"
        f" period_start, period_end, {columns} FROM billing_invoiceitem WHERE id = %s"
    )
    proration = InvoiceItem.objects.get(kind=ItemKind.PRORATION)
    refused = pytest.raises(IntegrityError, match="period_billed_once")
    with refused, transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(insert, [again.pk, proration.pk])


def test_a_sale_that_is_over_drops_its_scheduled_change() -> None:
    sold = make_sold()
    yearly = make_price(sold.offer.small.plan, minor=8000, term=Term.YEARLY, at=APRIL)
    change = sold.change_to(yearly, at=MIDDLE)
    subscriptions.end_subscription(subscription=sold.subscription, reason="test", at=MIDDLE + QUARTER)
    assert sold.subscription.status == SubscriptionStatus.ENDED

    assert ending.expire_due(at=MIDDLE + QUARTER) == 1

    assert change.reload().status == S.CANCELED
    assert Server.objects.get().memory_mib == 1024
