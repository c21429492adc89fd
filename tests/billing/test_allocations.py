"""What paid which invoice is in the allocations; money that arrived is kept whatever fails."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import IntegrityError, connection

from billing import events, invoicing
from billing.models import (
    AccountKind,
    Invoice,
    InvoiceState,
    PaymentAllocation,
    PaymentState,
    PaymentTask,
    Period,
    SubscriptionStatus,
)
from core import tenancy
from core.models import WorkState
from tests.billing.sales import (
    MONEY,
    NOON,
    accept,
    allocated,
    balance,
    draft,
    make_sale,
    refund,
    run_due,
    usd,
    wallet_balance,
)

pytestmark = pytest.mark.django_db


# -- paying ------------------------------------------------------------------------------------------------------------


def test_a_paid_invoice_says_which_payment_paid_it() -> None:
    sale = make_sale()
    payment = sale.settle()
    assert allocated(sale.invoice) == [(payment, 800)]


def test_an_invoice_is_paid_by_a_payment_and_by_credit_of_the_wallet() -> None:
    earlier = make_sale(minor=500)
    accept(earlier.settle(amount=usd(800)))
    sale = make_sale(minor=900, organization=earlier.organization)

    payment = accept(sale.settle(amount=usd(700)))

    assert sale.invoice.reload().state == InvoiceState.PAID
    assert allocated(sale.invoice) == [(payment, 700), (None, 200)]
    assert wallet_balance(sale.organization) == 100


def test_a_payment_pays_several_invoices() -> None:
    sale = make_sale()
    payment = accept(sale.settle(amount=usd(1500)))
    other = draft(sale, 700)

    with tenancy.as_worker():
        charge = invoicing.Charge(invoicing.lock_invoice(other.pk), payment)
        invoicing.pay_charges([charge], at=NOON)

    assert [allocated(invoice) for invoice in (sale.invoice, other)] == [[(payment, 800)], [(payment, 700)]]
    refund(payment, 1500)
    assert {invoice.reload().state for invoice in (sale.invoice, other)} == {InvoiceState.REFUNDED}


def test_a_payment_pays_what_it_has_not_paid_yet_and_credit_pays_the_rest() -> None:
    sale = make_sale()
    payment = accept(sale.settle(amount=usd(1000)))
    accept(make_sale(minor=5000, organization=sale.organization).settle(amount=usd(500)))
    other = draft(sale, 700)

    with tenancy.as_worker():
        charge = invoicing.Charge(invoicing.lock_invoice(other.pk), payment)
        invoicing.pay_charges([charge], at=NOON)

    assert allocated(other) == [(payment, 200), (None, 500)]
    assert wallet_balance(sale.organization) == 0


def execute(statement: str, **params: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, params)


ALLOCATE = (
    "INSERT INTO billing_paymentallocation (id, organization_id, payment_id, invoice_id, amount_minor, currency, at)"
    " VALUES (uuidv7(), %(organization)s, %(payment)s, %(invoice)s, %(minor)s, 'USD', now())"
)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (ALLOCATE, "received 800 and pays 801"),
        (ALLOCATE.replace("%(payment)s", "NULL").replace("%(minor)s", "901"), "is over 900 and paid with 901"),
        (
            "UPDATE billing_invoice SET state = 'paid', paid_at = now() WHERE id = %(invoice)s",
            "paid with 0",
        ),
        (
            "INSERT INTO billing_allocationreversal (id, organization_id, allocation_id, amount_minor, currency, at)"
            " SELECT uuidv7(), organization_id, id, amount_minor + 1, currency, now() FROM billing_paymentallocation",
            "801 of it is taken back",
        ),
    ],
)
def test_the_database_refuses_allocations_that_do_not_add_up(statement: str, message: str) -> None:
    sale = make_sale()
    payment = sale.settle()
    invoice = invoicing.issue_invoice(invoice=draft(sale, 900), at=NOON)
    with pytest.raises(IntegrityError, match=message), tenancy.as_role(role=tenancy.WORKER):
        execute(statement, organization=sale.organization.pk, payment=payment.pk, invoice=invoice.pk, minor=1)


@pytest.mark.django_db(transaction=True)
def test_one_payment_cannot_pay_two_invoices_at_once() -> None:
    sale = make_sale()
    payment = accept(sale.settle(amount=usd(1500)))
    invoices = [invoicing.issue_invoice(invoice=draft(sale, 700), at=NOON) for _ in range(4)]
    start, refused = Barrier(4), []

    def allocate(invoice: Invoice) -> None:
        start.wait()
        try:
            execute(ALLOCATE, organization=sale.organization.pk, payment=payment.pk, invoice=invoice.pk, minor=700)
        except IntegrityError as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [Thread(target=allocate, args=(invoice,)) for invoice in invoices]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert sum(PaymentAllocation.objects.filter(payment=payment).values_list("amount_minor", flat=True)) == 1500


# -- money that arrived is kept ----------------------------------------------------------------------------------------


@pytest.fixture
def failing() -> Iterator[Callable[[], None]]:
    """A receiver of `invoices_paid` that raises, until it is called off."""

    def fail(**_: Any) -> None:
        raise ArithmeticError("a receiver failed")

    def call_off() -> None:
        events.invoices_paid.disconnect(dispatch_uid="failing")

    events.invoices_paid.connect(fail, weak=False, dispatch_uid="failing")
    yield call_off
    call_off()


def test_money_is_kept_when_paying_with_it_fails_and_pays_as_soon_as_it_can(failing: Callable[[], None]) -> None:
    sale = make_sale()
    period = Period(NOON, NOON + timedelta(days=30))

    payment = sale.settle(period=period)

    assert (payment.reload().state, payment.received) == (PaymentState.UNDER_REVIEW, MONEY)
    assert "a receiver failed" in payment.review_reason
    assert balance(AccountKind.SUSPENSE) == 800
    assert sale.invoice.reload().state == InvoiceState.DRAFT
    run_due(NOON)
    assert PaymentTask.objects.get().state == WorkState.QUEUED
    failing()
    run_due(NOON + timedelta(minutes=1))
    assert payment.reload().state == PaymentState.SUCCEEDED
    assert allocated(sale.invoice) == [(payment, 800)]
    subscription = sale.subscription.reload()
    assert (subscription.status, subscription.current_period_end) == (SubscriptionStatus.ACTIVE, period.end)
    assert balance(AccountKind.SUSPENSE) == 0
    assert PaymentTask.objects.get().state == WorkState.DONE


def test_money_kept_so_that_staff_refund_pays_nothing_later(failing: Callable[[], None]) -> None:
    payment = make_sale().settle()
    refund(payment, 800)
    failing()
    run_due(NOON + timedelta(minutes=1))
    assert payment.reload().state == PaymentState.REFUNDED
    assert balance(AccountKind.CLEARING) == balance(AccountKind.SUSPENSE) == balance(AccountKind.REVENUE) == 0
