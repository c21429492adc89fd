"""An issued invoice that nobody paid is voided: with a reason, and never while money for it is on its way."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from billing import invoicing, payment_sync, payments
from billing.models import Invoice, InvoiceState, PaymentState, Period
from core.models import AuditEntry
from sandbox.client import Sandbox
from tests.billing.sales import NOON, Sale, make_sale, plan_line, run_commit_triggers, run_due
from tests.builders import make_staff
from tests.shop import deliver_webhooks

pytestmark = pytest.mark.django_db
APRIL = Period(datetime(2026, 4, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 12, tzinfo=UTC))


def issue_renewal(sale: Sale) -> Invoice:
    """A renewal that is issued and not paid."""
    lines = [plan_line(sale.subscription, period=APRIL)]
    invoice = invoicing.draft_invoice(organization=sale.organization, currency="USD", lines=lines, at=NOON)
    return invoicing.issue_invoice(invoice=invoice, at=NOON)


def void(invoice: Invoice) -> bool:
    return invoicing.void_invoice(invoice=invoice, reason="billed in error", actor=None, at=timezone.now())


def test_a_void_invoice_keeps_its_number_and_its_period_can_be_billed_again() -> None:
    sale = make_sale()
    invoice = issue_renewal(sale)
    run_commit_triggers()

    assert void(invoice)

    voided = invoice.reload()
    assert (voided.state, voided.number) == (InvoiceState.VOID, "NB-2026-00001")
    issue_renewal(sale)
    entry = AuditEntry.objects.get(action="invoice.void")
    assert entry.new == {"state": "void", "reason": "billed in error"}


def test_a_draft_and_a_paid_invoice_are_not_voided() -> None:
    sale = make_sale()
    with pytest.raises(invoicing.NotVoidable):
        void(sale.invoice)
    sale.settle()
    with pytest.raises(invoicing.NotVoidable):
        void(sale.invoice)
    assert sale.invoice.reload().state == InvoiceState.PAID


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_paid_meanwhile", [False, True])
def test_the_open_session_is_closed_before_the_invoice_is_void(
    stripe_sandbox: Sandbox, is_paid_meanwhile: bool
) -> None:
    ordered = make_sale(at=timezone.now())
    sale = replace(ordered, invoice=issue_renewal(ordered)).reopened()
    url = sale.create_session()

    assert void(sale.invoice) is False
    if is_paid_meanwhile:
        stripe_sandbox.pay(url)
    payment_sync.poll_open_payments(at=timezone.now() + timedelta(seconds=1))

    if is_paid_meanwhile:
        with pytest.raises(invoicing.NotVoidable):
            void(sale.invoice)
        assert sale.invoice.reload().state == InvoiceState.PAID
    else:
        assert not stripe_sandbox.pay(url).is_accepted
        assert void(sale.invoice)
        assert sale.invoice.reload().state == InvoiceState.VOID


@pytest.mark.parametrize("state", [PaymentState.PROCESSING, PaymentState.UNDER_REVIEW])
def test_an_invoice_is_not_voided_while_money_for_it_is_on_its_way(state: PaymentState) -> None:
    sale = make_sale()
    invoicing.issue_invoice(invoice=sale.invoice, at=NOON)
    if state == PaymentState.PROCESSING:
        payments.mark_processing(payment_id=sale.payment.pk, at=NOON)
    else:
        sale.settle(amount=sale.payment.amount + sale.payment.amount)
    with pytest.raises(invoicing.NotVoidable):
        void(sale.invoice)


def test_money_that_arrives_for_a_void_invoice_is_under_review() -> None:
    sale = make_sale()
    invoicing.issue_invoice(invoice=sale.invoice, at=NOON)
    payments.fail(payment_id=sale.payment.pk, reason="the bank refused", at=NOON)
    assert void(sale.invoice)

    late = sale.settle()

    assert (late.state, late.review_reason) == (PaymentState.UNDER_REVIEW, "the invoice is void already")


@pytest.mark.django_db(transaction=True)
def test_a_webhook_with_money_for_a_void_invoice_puts_it_under_review_and_the_page_says_so(
    stripe_sandbox: Sandbox, client: Client
) -> None:
    ordered = make_sale(at=timezone.now())
    sale = replace(ordered, invoice=issue_renewal(ordered)).reopened()
    url = sale.create_session()
    payments.fail(payment_id=sale.payment.pk, reason="the bank refused", at=timezone.now())
    assert void(sale.invoice)

    assert stripe_sandbox.pay(url).is_accepted
    assert set(deliver_webhooks(stripe_sandbox)) == {200}
    while run_due():
        pass

    late = sale.payment.reload()
    assert (late.state, late.review_reason) == (PaymentState.UNDER_REVIEW, "the invoice is void already")
    client.force_login(sale.organization.owner)
    page = client.get(f"/invoices/{sale.invoice.pk}/").content.decode()
    assert "This invoice is void: nothing is owed for it." in page
    assert "A payment for this invoice has arrived, and we are checking it." in page
    assert f"/invoices/{sale.invoice.pk}/pay/" not in page


def test_staff_void_an_invoice_with_a_reason(client: Client) -> None:
    sale = make_sale()
    payments.fail(payment_id=sale.payment.pk, reason="the bank refused", at=NOON)
    invoicing.issue_invoice(invoice=sale.invoice, at=NOON)
    client.force_login(make_staff(is_superuser=True))
    url = f"/admin/billing/invoice/{sale.invoice.pk}/void/"

    assert client.post(url, {"_form_submitted": "True", "reason": ""}).status_code == 422
    assert client.post(url, {"_form_submitted": "True", "reason": "billed in error"}).status_code == 302

    assert sale.invoice.reload().state == InvoiceState.VOID
    assert AuditEntry.objects.filter(action="invoice.void", new__reason="billed in error").exists()
