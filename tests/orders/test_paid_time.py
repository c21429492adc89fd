"""A server is suspended for the time whose money went back, and for no other."""

from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.urls import reverse

from billing import disputes, invoicing, payments, renewals
from billing.gateways.base import DisputeStatus, GatewayDispute, RefundStatus
from billing.models import Invoice, Payment, Period, Reminder
from core.money import Money
from orders import holds
from servers.models import HoldKind, Server, ServerStatus
from tests.billing.sales import refund, report_refund, run_commit_triggers
from tests.orders.sold import APRIL, MAY, MIDDLE, Sold, make_sold, pay

pytestmark = pytest.mark.django_db
JUNE = datetime(2026, 6, 1, tzinfo=MAY.tzinfo)


def pay_early(sold: Sold) -> Payment:
    """May is paid in the middle of April."""
    lines = renewals.renewal_lines(sold.subscription, Period(MAY, JUNE))
    invoice = invoicing.draft_invoice(organization=sold.organization, currency="USD", lines=lines, at=MIDDLE)
    payments.open_payment(invoice=invoice, gateway="stripe", expires_at=MAY, at=MIDDLE)
    return pay(invoice, MIDDLE)


def dispute(payment: Payment, status: DisputeStatus) -> None:
    told = GatewayDispute(
        f"dp_{payment.pk}", str(payment.transaction_id), Money(800, "USD"), status, "fraudulent", MIDDLE
    )
    disputes.record_dispute(payment_id=payment.pk, gateway_dispute=told, at=MIDDLE)


def period_of(sold: Sold) -> tuple[datetime | None, datetime | None]:
    return sold.subscription.current_period_start, sold.subscription.current_period_end


def test_a_dispute_of_a_period_that_was_paid_early_suspends_when_that_period_begins() -> None:
    sold = make_sold()
    early = pay_early(sold)
    assert period_of(sold) == (MAY, JUNE)

    dispute(early, DisputeStatus.OPEN)

    assert not sold.server.has_holds()
    assert holds.review(at=MAY - timedelta(seconds=1)) == 0
    assert holds.review(at=MAY) == 1
    assert sold.server.has_holds()
    assert holds.review(at=MAY) == 0
    dispute(early, DisputeStatus.WON)
    assert not sold.server.has_holds()


def test_a_refund_of_a_period_that_was_paid_early_gives_back_that_period_alone() -> None:
    sold = make_sold()
    early = pay_early(sold)

    made = refund(early, 800, at=MIDDLE)

    assert (period_of(sold), sold.subscription.cancels_at_period_end) == ((APRIL, MAY), True)
    assert not sold.server.has_holds()
    report_refund(made, RefundStatus.FAILED, at=MIDDLE)
    assert (period_of(sold), sold.server.has_holds()) == ((MAY, JUNE), False)


def test_a_refund_of_the_running_period_suspends_until_the_one_begins_that_was_paid_early() -> None:
    sold = make_sold()
    pay_early(sold)
    first = Payment.objects.get(invoice=Invoice.objects.get(order=sold.item.order_id))

    refund(first, 800, at=MIDDLE)

    assert (period_of(sold), sold.subscription.cancels_at_period_end) == ((MAY, JUNE), False)
    assert sold.server.has_holds()
    assert holds.review(at=MAY - timedelta(seconds=1)) == 0
    assert holds.review(at=MAY) == 1
    assert not sold.server.has_holds()


def test_a_server_that_is_not_paid_names_its_invoice_and_until_when_its_files_are_kept(client: Client) -> None:
    sold, at = make_sold(), MAY
    client.force_login(sold.user)
    lines = renewals.renewal_lines(sold.subscription, Period(MAY, JUNE))
    invoice = invoicing.draft_invoice(organization=sold.organization, currency="USD", lines=lines, at=at)
    invoicing.issue_invoice(invoice=invoice, at=at)
    run_commit_triggers()
    dates = {"sent_at": at, "suspends_at": at, "deletes_at": at + timedelta(days=14)}
    reminder = Reminder.objects.create(organization=sold.organization, invoice=invoice, stage=7, **dates)
    sold.server.holds.create(organization=sold.organization, kind=HoldKind.BILLING, reason="unpaid", placed_at=at)
    Server.objects.update(status=ServerStatus.SUSPENDED)

    page = client.get(reverse("servers:detail", kwargs={"pk": sold.server.pk})).content.decode()

    assert f"invoice {invoice.reload().number} of $8.00 is unpaid" in page
    assert f'its files are kept until <time datetime="{reminder.deletes_at.isoformat()}"' in page
    assert f'href="{reverse("billing:pay", kwargs={"pk": invoice.pk})}"' in page
