"""All that is due in a currency is paid by one button: with credit, the earliest first, and each other by the card."""

from datetime import datetime

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from billing import invoicing, pay_all, payment_methods
from billing.models import BillingMode, Invoice, InvoiceState, Subscription
from sandbox.client import Sandbox
from tests.billing.sales import draft, run_due, usd, wallet_balance
from tests.billing.saved_methods import Renewal, intents, make_renewal, put_credit
from tests.builders import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def at(stripe_sandbox: Sandbox) -> datetime:
    """Now, with Stripe's stand-in ready."""
    return timezone.now()


def test_all_that_is_due_is_paid_at_once_with_credit_and_by_the_card(
    at: datetime, stripe_sandbox: Sandbox, client: Client
) -> None:
    renewal = make_renewal(at=at)
    first, organization = renewal.invoice, renewal.sale.organization
    others = [issue_bill(renewal, minor, at) for minor in (300, 900, 1000)]
    put_credit(renewal, 1200, at)
    client.login(username=organization.owner.email, password=PASSWORD)
    page = client.get(reverse("billing:invoices")).content.decode()
    assert "4 invoices are not paid: $30.00" in page

    for _ in range(2):
        assert client.post(reverse("billing:pay_all"), {"currency": "USD"}).status_code == 302
        while run_due():
            pass

    assert {row.reload().state for row in (first, *others)} == {InvoiceState.PAID}
    assert sum(intent["amount"] for intent in intents(stripe_sandbox)) == 1800
    assert wallet_balance(organization) == 0


def test_without_a_card_what_credit_does_not_pay_is_left_and_said(
    at: datetime, stripe_sandbox: Sandbox, client: Client
) -> None:
    renewal = make_renewal(at=at)
    issue_bill(renewal, 900, at)
    payment_methods.remove_anyway(method=renewal.method, actor="test", at=at)
    put_credit(renewal, 850, at)
    client.login(username=renewal.sale.organization.owner.email, password=PASSWORD)

    page = client.post(reverse("billing:pay_all"), {"currency": "USD"}, follow=True).content.decode()

    assert "Your wallet balance paid 1 invoice." in page
    assert "$9.00 is left to pay" in page
    assert wallet_balance(renewal.sale.organization) == 50


def test_what_is_left_is_found_by_as_many_queries_for_four_invoices_as_for_one(
    at: datetime, stripe_sandbox: Sandbox
) -> None:
    renewal = make_renewal(at=at)
    organization = renewal.sale.organization
    payment_methods.remove_anyway(method=renewal.method, actor="test", at=at)
    asked = []
    for more in (0, 3):
        for _ in range(more):
            issue_bill(renewal, 900, at)
        with CaptureQueriesContext(connection) as queries:
            left = pay_all.pay_all(organization=organization, currency="USD", at=at).left
        asked.append(len(queries))

    assert left == usd(800 + 3 * 900)
    assert asked[0] == asked[1]


def test_what_its_gateway_renews_is_left_to_the_gateway(at: datetime, stripe_sandbox: Sandbox) -> None:
    renewal = make_renewal(at=at)
    Subscription.objects.update(billing_mode=BillingMode.GATEWAY)

    result = pay_all.pay_all(organization=renewal.sale.organization, currency="USD", at=at)

    assert (result.by_card, result.left) == (0, usd(0))


def issue_bill(renewal: Renewal, minor: int, at: datetime) -> Invoice:
    """Another issued invoice of the organization."""
    return invoicing.issue_invoice(invoice=draft(renewal.sale, minor), at=at)
