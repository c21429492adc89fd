"""No row can name one of another organization, currency or gateway, whatever the code does: tried as the worker."""

from uuid import UUID

import pytest
from django.db import IntegrityError, connection

from billing import disputes, invoicing, reviews
from billing.gateways.base import DisputeStatus, GatewayDispute
from billing.models import GatewayAccount, Payment, PaymentState
from core import tenancy
from core.money import Money
from tests.billing.sales import GATEWAY, NOON, draft, make_sale, refund, run_commit_triggers

# Each statement changes rows of the first sale; `other` is of another organization, `yen` in another currency.
FORBIDDEN = [
    "UPDATE billing_invoice SET currency = 'EUR' WHERE id = %(invoice)s",
    "UPDATE billing_invoiceitem SET currency = 'EUR' WHERE invoice_id = %(invoice)s",
    "UPDATE billing_invoiceitem SET invoice_id = %(other_invoice)s WHERE invoice_id = %(invoice)s",
    "UPDATE billing_invoiceitem SET invoice_id = %(yen_invoice)s WHERE invoice_id = %(invoice)s",
    "UPDATE billing_invoiceitem SET subscription_id = %(other_subscription)s WHERE invoice_id = %(invoice)s",
    "UPDATE billing_invoiceitem SET subscription_item_id = %(other_item)s WHERE invoice_id = %(invoice)s",
    "INSERT INTO billing_invoicetax"
    " (id, invoice_id, organization_id, name, jurisdiction, rate, net_minor, tax_minor, currency, position)"
    " VALUES (uuidv7(), %(invoice)s, %(other_organization)s, 'VAT', 'DE', 19, 1, 1, 'USD', 0)",
    "INSERT INTO billing_invoicetax"
    " (id, invoice_id, organization_id, name, jurisdiction, rate, net_minor, tax_minor, currency, position)"
    " SELECT uuidv7(), id, organization_id, 'VAT', 'DE', 19, 1, 1, 'EUR', 0 FROM billing_invoice"
    " WHERE id = %(invoice)s",
    "INSERT INTO billing_creditnote (id, invoice_id, organization_id, series_id, reason, currency, net_minor,"
    " tax_minor, total_minor, seller, billing_address, issued_at)"
    " VALUES (uuidv7(), %(issued)s, %(other_organization)s, 'NB-CN', '', 'USD', 1, 0, 1, '{}', '{}', now())",
    "INSERT INTO billing_creditnote (id, invoice_id, organization_id, series_id, reason, currency, net_minor,"
    " tax_minor, total_minor, seller, billing_address, issued_at)"
    " SELECT uuidv7(), id, organization_id, 'NB-CN', '', 'EUR', 1, 0, 1, '{}', '{}', now() FROM billing_invoice"
    " WHERE id = %(issued)s",
    "UPDATE billing_subscription SET organization_id = %(other_organization)s WHERE id = %(subscription)s",
    "UPDATE billing_subscriptionitem SET currency = 'EUR' WHERE id = %(item)s",
    "UPDATE billing_subscription SET currency = 'EUR' WHERE id = %(subscription)s",
    "UPDATE billing_payment SET invoice_id = %(other_invoice)s WHERE id = %(payment)s",
    "UPDATE billing_payment SET invoice_id = %(yen_invoice)s WHERE id = %(payment)s",
    "UPDATE billing_payment SET currency = 'EUR' WHERE id = %(payment)s",
    "INSERT INTO billing_refund"
    " (id, organization_id, payment_id, gateway, is_live, amount_minor, currency, reason, state, idempotency_key, "
    "failure)"
    " SELECT uuidv7(), organization_id, id, gateway, is_live, 899, 'JPY', '', 'pending', 'x', '' FROM billing_payment"
    " WHERE id = %(paid_payment)s",
    "INSERT INTO billing_refund"
    " (id, organization_id, payment_id, gateway, is_live, amount_minor, currency, reason, state, idempotency_key, "
    "failure)"
    " SELECT uuidv7(), %(other_organization)s, id, gateway, is_live, 1, 'USD', '', 'pending', 'x', '' FROM "
    "billing_payment"
    " WHERE id = %(paid_payment)s",
    "INSERT INTO billing_dispute"
    " (id, organization_id, payment_id, gateway, is_live, reference, amount_minor, currency, reason, opened_at, "
    "lost_minor)"
    " VALUES (uuidv7(), %(other_organization)s, %(payment)s, 'stripe', false, 'dp', 1, 'USD', '', now(), 0)",
    "INSERT INTO billing_gatewaysubscription"
    " (id, organization_id, subscription_id, payment_id, gateway, reference, is_live, is_duplicate)"
    " VALUES (uuidv7(), %(other_organization)s, %(subscription)s, %(payment)s, 'stripe', 'sub', false, false)",
    "INSERT INTO billing_gatewaysubscription"
    " (id, organization_id, subscription_id, payment_id, gateway, reference, is_live, is_duplicate)"
    " VALUES (uuidv7(), %(organization)s, %(subscription)s, %(paid_payment)s, 'stripe', 'sub', false, false)",
    "INSERT INTO billing_paymentallocation (id, organization_id, payment_id, invoice_id, amount_minor, currency, at)"
    " VALUES (uuidv7(), %(other_organization)s, NULL, %(open_invoice)s, 1, 'USD', now())",
    "INSERT INTO billing_paymentallocation (id, organization_id, payment_id, invoice_id, amount_minor, currency, at)"
    " VALUES (uuidv7(), %(organization)s, %(paid_payment)s, %(open_invoice)s, 1, 'USD', now())",
    "INSERT INTO billing_paymentallocation (id, organization_id, payment_id, invoice_id, amount_minor, currency, at)"
    " VALUES (uuidv7(), %(organization)s, NULL, %(open_invoice)s, 1, 'EUR', now())",
    "INSERT INTO billing_allocationreversal (id, organization_id, allocation_id, amount_minor, currency, at)"
    " SELECT uuidv7(), %(organization)s, id, 1, 'USD', now() FROM billing_paymentallocation"
    " WHERE organization_id = %(paid_organization)s",
    "INSERT INTO billing_journalentry (id, kind, reference, organization_id, payment_id, note, at)"
    " VALUES (uuidv7(), 'payment', 'x', %(other_organization)s, %(payment)s, '', now())",
    "INSERT INTO billing_journalentry (id, kind, reference, organization_id, invoice_id, note, at)"
    " VALUES (uuidv7(), 'charge', 'x', %(other_organization)s, %(invoice)s, '', now())",
    "INSERT INTO billing_journalentry (id, kind, reference, organization_id, refund_id, note, at)"
    " VALUES (uuidv7(), 'refund', 'x', %(other_organization)s, %(refund)s, '', now())",
    "INSERT INTO billing_journalentry (id, kind, reference, organization_id, dispute_id, note, at)"
    " VALUES (uuidv7(), 'dispute', 'x', %(other_organization)s, %(dispute)s, '', now())",
    "INSERT INTO billing_gatewaysubscription"
    " (id, organization_id, subscription_id, payment_id, gateway, reference, is_live, is_duplicate)"
    " VALUES (uuidv7(), %(organization)s, %(other_subscription)s, %(payment)s, 'stripe', 'sub', false, false)",
]


# Each names another gateway than its payment, one that nobody has, or real money for a test; what refuses it.
OTHER_GATEWAY = [
    ("UPDATE billing_payment SET gateway = 'unknown' WHERE id = %(open_payment)s", "billing_payment_gateway_known"),
    (
        "INSERT INTO billing_refund"
        " (id, organization_id, payment_id, gateway, is_live, amount_minor, currency, reason, state, "
        "idempotency_key, failure)"
        " SELECT uuidv7(), organization_id, id, 'other', is_live, 1, 'USD', '', 'pending', 'x', '' FROM billing_payment"
        " WHERE id = %(payment)s",
        "billing_refund_payment_same_gateway",
    ),
    (
        "INSERT INTO billing_dispute"
        " (id, organization_id, payment_id, gateway, is_live, reference, amount_minor, currency, reason, opened_at, "
        "lost_minor)"
        " SELECT uuidv7(), organization_id, id, 'other', is_live, 'dp', 1, 'USD', '', now(), 0 FROM billing_payment"
        " WHERE id = %(payment)s",
        "billing_dispute_payment_same_gateway",
    ),
    (
        "INSERT INTO billing_refund (id, organization_id, payment_id, gateway, is_live, amount_minor, currency, reason,"
        " state, idempotency_key, failure) SELECT uuidv7(), organization_id, id, gateway, true, 1, 'USD', '', "
        "'pending',"
        " 'x', '' FROM billing_payment WHERE id = %(payment)s",
        "billing_refund_payment_same_gateway",
    ),
    (
        "INSERT INTO billing_dispute (id, organization_id, payment_id, gateway, is_live, reference, amount_minor,"
        " currency, reason, opened_at, lost_minor) SELECT uuidv7(), organization_id, id, gateway, true, 'dp', 1, 'USD',"
        " '', now(), 0 FROM billing_payment WHERE id = %(payment)s",
        "billing_dispute_payment_same_gateway",
    ),
]


@pytest.mark.django_db
@pytest.mark.parametrize("statement", FORBIDDEN)
def test_a_row_that_names_a_stranger_or_another_currency_is_refused(statement: str) -> None:
    sale, other = make_sale(), make_sale()
    yen = make_sale(currency="JPY", organization=sale.organization)
    Payment.objects.exclude(pk=sale.payment.pk).update(state=PaymentState.EXPIRED)  # an invoice has one open payment
    paid = make_sale()
    reviews.accept_payment(payment_id=paid.settle(amount=Money(900, "USD")).pk, actor=None, at=NOON)
    repaid = refund(paid.payment.reload(), 1)
    disputed = GatewayDispute("dp_1", str(paid.payment.pk), Money(100, "USD"), DisputeStatus.OPEN, "fraudulent", NOON)
    dispute = disputes.record_dispute(payment_id=paid.payment.pk, gateway_dispute=disputed, at=NOON)
    assert dispute is not None
    run_commit_triggers()
    ids = {
        "refund": repaid.pk,
        "dispute": dispute.pk,
        "organization": sale.organization.pk,
        "invoice": sale.invoice.pk,
        "open_invoice": invoicing.issue_invoice(invoice=draft(sale, 900), at=NOON).pk,
        "issued": invoicing.issue_invoice(invoice=make_sale().invoice, at=NOON).pk,
        "payment": sale.payment.pk,
        "subscription": sale.subscription.pk,
        "item": sale.subscription.items.get().pk,
        "paid_organization": paid.organization.pk,
        "paid_payment": paid.payment.pk,
        "other_invoice": other.invoice.pk,
        "other_subscription": other.subscription.pk,
        "other_item": other.subscription.items.get().pk,
        "other_organization": other.organization.pk,
        "yen_invoice": yen.invoice.pk,
    }
    with pytest.raises(IntegrityError, match="same_owner"), tenancy.as_role(role=tenancy.WORKER):
        execute_and_check(statement, ids)


@pytest.mark.django_db
@pytest.mark.parametrize(("statement", "constraint"), OTHER_GATEWAY)
def test_a_payment_refund_or_dispute_of_another_gateway_is_refused(statement: str, constraint: str) -> None:
    GatewayAccount.objects.create(code="other", kind=GATEWAY, name="Other", currencies=[])
    ids = {"payment": make_sale().settle().pk, "open_payment": make_sale().payment.pk}
    run_commit_triggers()
    with pytest.raises(IntegrityError, match=constraint), tenancy.as_role(role=tenancy.WORKER):
        execute_and_check(statement, ids)


def execute_and_check(statement: str, ids: dict[str, UUID]) -> None:
    """Execute it and what the commit would check."""
    with connection.cursor() as cursor:
        cursor.execute(statement, ids)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
