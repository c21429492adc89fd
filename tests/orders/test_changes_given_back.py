"""What a plan change gives back: no more and no less than was paid, with its tax, also where it cannot be delivered."""

from datetime import datetime, timedelta

import pytest

from billing import invoicing, refunds, renewals
from billing.documents.document import of_credit_note, of_invoice
from billing.ledger_audit import broken_rules
from billing.models import CreditNote, Period, TaxRate
from orders.changes import applying, making
from orders.changes.models import PlanChangeStatus as S
from support.models import Delivery
from tests.billing.sales import refund, run_commit_triggers, wallet_balance
from tests.billing.test_tax import add_rate, set_up_shop
from tests.builders import make_plan, make_price
from tests.orders.sold import APRIL, MAY, MIDDLE, make_sold, pay, resized
from tests.orders.test_plan_changes import bill, fill_node, in_force, lines
from tests.servers.test_capacity import assert_counters_agree

pytestmark = pytest.mark.django_db


def test_a_partial_refund_of_a_change_takes_no_more_of_the_new_plan_than_it_gave_back() -> None:
    sold = make_sold()
    change = sold.confirm(sold.request(sold.offer.large))
    making.open_payment(change=change, at=MIDDLE)
    assert change.invoice is not None
    payment = pay(change.invoice, MIDDLE)
    resized(sold)

    refund(payment, 300)

    # The new plan's half month cost 1000: 400 of it were unused time, 600 were paid, and 300 of these went back.
    size = {"memory_mib": 4096, "disk_mib": 20480, "databases": 1, "backups": 1}
    larger = make_price(make_plan(sold.offer.small.plan.product, name="4 GB", **size), minor=4000, at=APRIL)
    later = sold.request(larger, at=MIDDLE)
    assert lines(later) == [("credit", "Minecraft 2 GB", -700), ("proration", "Minecraft 4 GB", 2000)]


def test_unused_time_is_given_back_with_the_tax_that_it_was_paid_with() -> None:
    set_up_shop()
    sold = make_sold()
    sold.give_credit()
    TaxRate.objects.update(valid_until=APRIL + timedelta(days=5))
    add_rate("DE", "21", valid_from=APRIL + timedelta(days=5))

    change = sold.confirm(sold.request(sold.offer.large))

    assert [line["amount_minor"] for line in change.lines] == [-400, 1000, 210, -76]
    assert change.due_minor == 734
    assert making.pay_with_credit(change=change, at=MIDDLE)
    assert change.invoice is not None
    taxes = [(int(row.rate), row.net_minor, row.tax_minor) for row in change.invoice.taxes.all()]
    assert taxes == [(21, 1000, 210), (19, -400, -76)]
    refunds.credit_invoice(invoice=change.invoice.reload(), at=MIDDLE)
    note = CreditNote.objects.get()
    assert [(row.net.minor, row.amount.minor) for row in of_credit_note(note).taxes] == [(1000, 210), (-400, -76)]
    assert [(line.net.minor, line.tax) for line in of_credit_note(note).lines] == [(1000, 0), (-400, 1)]
    assert [(line.net.minor, line.tax) for line in of_invoice(note.invoice).lines] == [(-400, 1), (1000, 0)]
    run_commit_triggers()
    assert set(broken_rules()) == {"account_not_rows"}  # `give_credit` is from nowhere


def test_a_scheduled_change_that_cannot_be_delivered_costs_no_more_than_before() -> None:
    sold = make_sold()
    sold.give_credit()
    size = {"memory_mib": 2048, "disk_mib": 2048, "databases": 1, "backups": 1}
    odd = make_price(make_plan(sold.offer.small.plan.product, name="odd", **size), minor=2000, at=APRIL)
    change = sold.change_to(odd, at=MIDDLE)
    june, july = (datetime(2026, month, 1, tzinfo=MAY.tzinfo) for month in (6, 7))
    invoicing.pay_from_wallet(invoice=bill(sold, Period(MAY, june)), at=MAY)
    fill_node(sold, change)
    before = wallet_balance(sold.organization)

    assert [applying.apply_due(at=MAY) for _twice in range(2)] == [0, 0]

    assert (change.reload().status, sold.server.memory_mib) == (S.FAILED, 1024)
    assert wallet_balance(sold.organization) - before == 1200
    assert CreditNote.objects.get().total_minor == 1200
    assert (in_force(sold, MAY), in_force(sold, june)) == (["Minecraft odd"], ["Minecraft 1 GB"])
    assert [line.amount.minor for line in renewals.renewal_lines(sold.subscription, Period(june, july))] == [800]
    assert list(
        Delivery.objects.filter(event__startswith="plan_change").order_by("pk").values_list("event", flat=True)
    ) == [
        "plan_change.scheduled",
        "plan_change.failed",
    ]
    assert_counters_agree()
    run_commit_triggers()
    assert set(broken_rules()) == {"account_not_rows"}  # `give_credit` is from nowhere
