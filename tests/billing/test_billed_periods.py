"""A time is billed once per item of a subscription, until its invoice is void or expires."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from django.db import IntegrityError, connection, transaction

from billing import invoicing, renewals
from billing.invoicing import InvoiceLine
from billing.models import Invoice, InvoiceItem, ItemKind, PaymentState, Period
from core import tenancy
from core.money import Money
from tests.billing.sales import GATEWAY, NOON, Sale, make_sale, plan_line

pytestmark = pytest.mark.django_db
APRIL = Period(datetime(2026, 4, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 12, tzinfo=UTC))
MAY = Period(APRIL.end, datetime(2026, 6, 1, 12, tzinfo=UTC))


def later(period: Period, seconds: int) -> Period:
    """The same length of time, begun later."""
    delay = timedelta(seconds=seconds)
    return Period(period.start + delay, period.end + delay)


def draft(sale: Sale, period: Period) -> Invoice:
    """A draft that bills the period."""
    lines = [plan_line(sale.subscription, period=period)]
    return invoicing.draft_invoice(organization=sale.organization, currency="USD", lines=lines, at=NOON)


def draft_usage(sale: Sale, period: Period) -> Invoice:
    """A draft that bills what the plan's server used in the period."""
    line = replace(plan_line(sale.subscription, period=period), kind=ItemKind.USAGE, description="Traffic")
    return invoicing.draft_invoice(organization=sale.organization, currency="USD", lines=[line], at=NOON)


@pytest.mark.parametrize("seconds", [0, 1, -1, 86400])
def test_a_period_that_overlaps_a_billed_one_is_refused(seconds: int) -> None:
    sale = make_sale()
    draft(sale, APRIL)
    with pytest.raises(IntegrityError, match="period_billed_once"), transaction.atomic():
        draft(sale, later(APRIL, seconds))


def test_the_next_period_and_another_subscription_are_billed() -> None:
    sale, other = make_sale(), make_sale()
    for row, period in ((sale, APRIL), (sale, MAY), (other, APRIL)):
        draft(row, period)
    assert InvoiceItem.objects.filter(period_start__isnull=False).count() == 3


def test_a_proration_bills_the_time_of_what_begins_and_never_time_that_is_billed() -> None:
    sale = make_sale()
    draft(sale, APRIL)
    item = sale.subscription.items.get()
    line = InvoiceLine(
        ItemKind.PRORATION,
        "Upgrade",
        Money(100, "USD"),
        subscription=sale.subscription,
        subscription_item=item,
        period=APRIL,
    )
    with pytest.raises(IntegrityError, match="period_billed_once"), transaction.atomic():
        invoicing.draft_invoice(organization=sale.organization, currency="USD", lines=[line], at=NOON)


def test_usage_is_billed_beside_the_plan_and_once() -> None:
    sale = make_sale()
    draft(sale, APRIL)
    draft_usage(sale, APRIL)
    draft_usage(sale, MAY)
    with pytest.raises(IntegrityError, match="usage is billed once"), transaction.atomic():
        draft_usage(sale, later(APRIL, 3600))


def test_usage_of_a_void_invoice_can_be_billed_again() -> None:
    sale = make_sale()
    issued = invoicing.issue_invoice(invoice=draft_usage(sale, APRIL), at=NOON)
    invoicing.void_invoice(invoice=issued, reason="wrong reading", actor=None, at=NOON)
    assert draft_usage(sale, APRIL)


def test_a_voided_renewal_frees_its_period() -> None:
    sale = make_sale()
    voided = draft(sale, APRIL)
    assert invoicing.void_draft(invoice=voided, at=NOON)

    draft(sale, APRIL)

    with pytest.raises(IntegrityError, match="period_billed_once"), transaction.atomic():
        draft(sale, APRIL)


def test_an_issued_invoice_that_becomes_void_frees_its_period() -> None:
    sale = make_sale()
    issued = invoicing.issue_invoice(invoice=draft(sale, APRIL), at=NOON)
    invoicing.void_invoice(invoice=issued, reason="billed in error", actor=None, at=NOON)
    assert draft(sale, APRIL)


def test_an_expired_draft_whose_period_is_billed_elsewhere_is_not_revived() -> None:
    sale = make_sale()
    expired = draft(sale, APRIL)
    invoicing.void_draft(invoice=expired, at=NOON)
    draft(sale, APRIL)
    with pytest.raises(IntegrityError, match="period_billed_once"), transaction.atomic():
        invoicing.issue_invoice(invoice=expired, at=NOON)


def test_no_statement_frees_a_period_but_that_which_voids_the_invoice() -> None:
    sale = make_sale()
    invoicing.issue_invoice(invoice=draft(sale, APRIL), at=NOON)
    with (
        pytest.raises(IntegrityError, match="void if and only if it is"),
        tenancy.as_role(role=tenancy.WORKER),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE billing_invoiceitem SET is_void = true")
    with pytest.raises(IntegrityError, match="period_billed_once"), transaction.atomic():
        draft(sale, APRIL)


def test_a_period_without_its_item_is_refused() -> None:
    sale = make_sale()
    draft(sale, APRIL)
    with (
        pytest.raises(IntegrityError, match="period_names_its_item"),
        tenancy.as_role(role=tenancy.WORKER),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE billing_invoiceitem SET subscription_item_id = NULL WHERE period_start IS NOT NULL")


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("bill_time", "is_voided"), [(draft, True), (draft, False), (draft_usage, False)])
def test_whoever_bills_a_period_while_it_is_being_voided_waits_for_the_outcome(
    bill_time: Callable[[Sale, Period], Invoice], is_voided: bool
) -> None:
    sale = make_sale()
    first = bill_time(sale, APRIL)
    is_open = Barrier(2)
    outcome: list[str] = []

    def bill() -> None:
        is_open.wait()
        try:
            bill_time(sale, later(APRIL, 1))
            outcome.append("billed")
        except IntegrityError:
            outcome.append("refused")
        finally:
            connection.close()

    thread = Thread(target=bill)
    thread.start()
    with transaction.atomic():
        invoicing.void_draft(invoice=first, at=NOON)
        is_open.wait()
        time.sleep(0.3)
        assert outcome == []
        transaction.set_rollback(not is_voided)
    thread.join(timeout=20)

    assert outcome == ["billed" if is_voided else "refused"]


def test_money_for_a_period_that_overlaps_a_paid_one_goes_under_review() -> None:
    sale = make_sale()
    sale.settle()
    overlapping = later(Period(NOON, APRIL.start), 1)

    payment = renewals.record_renewal(
        gateway=GATEWAY,
        subscription_id=sale.subscription.pk,
        gateway_payment=sale.gateway_payment(transaction_id="pi_renewal", period=overlapping),
        at=NOON,
    )

    assert payment.state == PaymentState.UNDER_REVIEW
    assert "billed already" in payment.review_reason
