"""Invoices: nothing changed once issued, paid from the wallet, a period billed once."""

import time
from contextlib import suppress
from datetime import UTC, date, datetime
from threading import Barrier, Thread
from typing import Any
from uuid import UUID

import pytest
from django.db import IntegrityError, connection, transaction

from billing import events, invoicing, ledger, subscriptions
from billing.invoicing import InvoiceLine
from billing.models import (
    AccountKind,
    EntryKind,
    Invoice,
    InvoiceItem,
    InvoiceSeries,
    InvoiceState,
    ItemKind,
    PaymentState,
    Period,
    SubscriptionStatus,
)
from core import tenancy
from core.money import CurrencyMismatch, Money
from tests.billing.sales import (
    NOON,
    Sale,
    balance,
    make_draft,
    make_sale,
    plan_line,
    run_commit_triggers,
    wallet_balance,
)
from tests.builders import make_organization

APRIL = Period(datetime(2026, 4, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 12, tzinfo=UTC))


@pytest.mark.django_db
def test_lines_in_two_currencies_make_no_invoice() -> None:
    lines = [InvoiceLine(ItemKind.SETUP, "x", Money(1, code)) for code in ("USD", "EUR")]
    with pytest.raises(CurrencyMismatch):
        invoicing.draft_invoice(organization=make_organization(), currency="USD", lines=lines, at=NOON)


@pytest.mark.django_db
def test_the_address_of_an_issued_invoice_is_frozen() -> None:
    draft = make_draft()
    draft.organization.city = "Bergen"
    draft.organization.save()
    invoicing.issue_invoice(invoice=draft, at=NOON)

    draft.organization.city = "Oslo"
    draft.organization.save()

    assert draft.reload().billing_address["city"] == "Bergen"


@pytest.mark.django_db
def test_an_issued_invoice_names_its_seller_as_it_was() -> None:
    series = InvoiceSeries.objects.filter(code="NB")
    series.update(seller="Ada's Hosting", seller_address="Street 1\nOslo", seller_tax_id="NO 123")
    issued = invoicing.issue_invoice(invoice=make_draft(), at=NOON)

    series.update(seller="Bob's Hosting")

    named = {"name": "Ada's Hosting", "address": "Street 1\nOslo", "tax_id": "NO 123"}
    assert named.items() <= issued.reload().seller.items()
    assert invoicing.issue_invoice(invoice=make_draft(), at=NOON).seller["name"] == "Bob's Hosting"


def written(state: str) -> dict[str, Any]:
    """What an invoice of the state has."""
    issued_at, voided_at = None if state == "expired" else NOON, NOON if state == "void" else None
    return {"state": state, "issued_at": issued_at, "paid_at": NOON, "voided_at": voided_at}


@pytest.mark.django_db
@pytest.mark.parametrize("role", [tenancy.WORKER, tenancy.STAFF])
def test_no_state_follows_another_but_as_the_model_says(role: str) -> None:
    allowed = {(old, new) for old, following in Invoice.TRANSITIONS.items() for new in following}
    ways: dict[str, list[str]] = {"draft": [], "expired": ["expired"], "open": ["open"], "overdue": ["open", "overdue"]}
    ways |= {"void": ["open", "void"], "paid": ["open", "paid"], "refunded": ["open", "paid", "refunded"]}
    accepted = set()
    for old, way in ways.items():
        draft = Invoice.objects.filter(pk=make_draft(0).pk)
        for state in way:
            draft.update(**written(state))
        for new in set(InvoiceState) - {old}:
            with suppress(IntegrityError), transaction.atomic(), tenancy.as_role(role=role):
                draft.update(**written(new))
                accepted.add((old, new))
                raise IntegrityError  # undone: the next one begins at the same state
    assert accepted == allowed


@pytest.mark.django_db
def test_an_invoice_does_not_begin_as_paid() -> None:
    draft = make_draft()
    with (
        pytest.raises(IntegrityError, match="does not begin as paid"),
        tenancy.as_role(role=tenancy.WORKER),
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "INSERT INTO billing_invoice (id, organization_id, series_id, state, currency, net_minor, tax_minor,"
            " total_minor, seller, billing_address, issued_at, paid_at)"
            " SELECT uuidv7(), organization_id, series_id, 'paid', 'USD', 0, 0, 0, '{}', '{}', now(), now()"
            " FROM billing_invoice WHERE id = %s",
            [draft.pk],
        )


# Another value than an issued invoice has, by the type of its column.
OTHER_VALUES: dict[str, object] = {
    "UUIDField": UUID(int=1),
    "ForeignKey": UUID(int=1),
    "BigIntegerField": 7,
    "PositiveSmallIntegerField": 7,
    "PositiveBigIntegerField": 7,
    "CharField": "EUR",
    "BooleanField": True,
    "JSONField": {"name": "other"},
    "DateField": date(2027, 1, 1),
    "DateTimeField": datetime(2027, 1, 1, tzinfo=UTC),
}
FROZEN = [field.attname for field in Invoice._meta.concrete_fields if field.name not in {"state", "updated_at"}]


@pytest.mark.django_db
@pytest.mark.parametrize("column", FROZEN)
@pytest.mark.parametrize("role", [tenancy.WORKER, tenancy.STAFF])
def test_no_column_of_an_issued_invoice_changes_but_its_state(role: str, column: str) -> None:
    issued = invoicing.issue_invoice(invoice=make_draft(), at=datetime(2026, 1, 1, tzinfo=UTC))
    run_commit_triggers()
    field = next(field for field in Invoice._meta.concrete_fields if field.attname == column)
    other = "NB-CN" if column == "series_id" else OTHER_VALUES[field.get_internal_type()]
    with pytest.raises(IntegrityError, match="does not change"), tenancy.as_role(role=role):
        Invoice.objects.filter(pk=issued.pk).update(**{column: other})


@pytest.mark.django_db
def test_an_issued_invoice_is_never_deleted_and_its_lines_neither_added_nor_removed() -> None:
    issued = invoicing.issue_invoice(invoice=make_draft(), at=NOON)
    run_commit_triggers()
    for change in (
        lambda: issued.items.all().delete(),
        lambda: issued.items.update(description="other"),
        lambda: InvoiceItem.objects.create(
            invoice=issued, organization=issued.organization, kind="setup", unit_minor=1, amount_minor=1, currency="USD"
        ),
    ):
        with pytest.raises(IntegrityError, match="do not change"), transaction.atomic():
            change()
    with pytest.raises(IntegrityError, match="never deleted"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM billing_invoice")


@pytest.mark.django_db
def test_an_invoice_whose_items_are_not_its_net_amount_is_refused_at_commit() -> None:
    draft = make_draft()
    Invoice.objects.filter(pk=draft.pk).update(net_minor=801, total_minor=801)
    with (
        pytest.raises(IntegrityError, match="items of 800 net and a net amount of 801"),
        tenancy.as_role(role=tenancy.WORKER),
    ):
        issue_and_commit(draft)


def issue_and_commit(draft: Invoice) -> None:
    """Issue it and run what the commit would."""
    invoicing.issue_invoice(invoice=draft, at=NOON)
    run_commit_triggers()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_first", [True, False])
def test_an_item_added_while_another_transaction_issues_is_refused(is_first: bool) -> None:
    """Whichever is first makes the other wait, and then one of the two fails."""
    draft = make_draft()
    errors: list[Exception] = []
    is_open = Barrier(2)

    def add() -> None:
        with transaction.atomic():
            InvoiceItem.objects.create(
                invoice=draft,
                organization=draft.organization,
                kind="setup",
                unit_minor=1,
                amount_minor=1,
                currency="USD",
            )

    def issue() -> None:
        with transaction.atomic():
            invoicing.issue_invoice(invoice=draft, at=NOON)

    first, second = (add, issue) if is_first else (issue, add)

    def run_second() -> None:
        is_open.wait()
        try:
            second()
        except IntegrityError as error:
            errors.append(error)
        finally:
            connection.close()

    thread = Thread(target=run_second)
    thread.start()
    with transaction.atomic():
        first()
        is_open.wait()
        time.sleep(0.3)
    thread.join(timeout=20)

    assert len(errors) == 1
    assert draft.reload().issued_at == (None if is_first else NOON)
    assert draft.items.count() == (2 if is_first else 1)


@pytest.mark.django_db
def test_a_paid_first_invoice_activates_the_subscription_and_bills_its_period() -> None:
    sale = make_sale(setup_minor=300)

    payment = sale.settle()

    invoice = sale.invoice.reload()
    assert payment.state == PaymentState.SUCCEEDED
    assert (invoice.state, invoice.issued_at, invoice.paid_at) == (InvoiceState.PAID, NOON, NOON)
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE
    plan, setup = invoice.items.order_by("position")
    assert (plan.period_start, plan.period_end) == (NOON, datetime(2026, 4, 1, 12, tzinfo=UTC))
    assert setup.period_start is None
    assert wallet_balance(sale.organization) == 0
    assert balance(AccountKind.REVENUE) == 1100
    assert balance(AccountKind.CLEARING) == -1100


@pytest.mark.django_db
def test_a_first_invoice_that_was_issued_before_its_payment_is_paid_and_then_frozen() -> None:
    sale = make_sale()
    invoicing.issue_invoice(invoice=sale.invoice, at=NOON)
    run_commit_triggers()

    payment = sale.settle()

    assert (payment.state, sale.invoice.reload().state) == (PaymentState.SUCCEEDED, InvoiceState.PAID)
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE
    line = sale.invoice.items.get()
    assert (line.period_start, line.period_end) == (NOON, datetime(2026, 4, 1, 12, tzinfo=UTC))
    with pytest.raises(IntegrityError, match="do not change"), transaction.atomic():
        sale.invoice.items.update(period_end=datetime(2026, 5, 1, tzinfo=UTC))


@pytest.mark.django_db
def test_a_period_is_billed_once() -> None:
    sale = make_sale()
    sale.settle()
    same = Period(NOON, datetime(2026, 4, 1, 12, tzinfo=UTC))
    with pytest.raises(IntegrityError, match="billed_once"), transaction.atomic():
        invoicing.draft_invoice(
            organization=sale.organization,
            currency="USD",
            lines=[plan_line(sale.subscription, period=same)],
            at=NOON,
        )


def draft_april(sale: Sale) -> Invoice:
    """The draft of the sale's second period."""
    lines = [plan_line(sale.subscription, period=APRIL)]
    return invoicing.draft_invoice(organization=sale.organization, currency="USD", lines=lines, at=NOON)


@pytest.mark.django_db
def test_an_invoice_that_the_wallet_cannot_pay_changes_nothing() -> None:
    sale = make_sale()
    sale.settle()
    subscriptions.mark_past_due(subscription=sale.subscription)
    invoice = draft_april(sale)

    with pytest.raises(invoicing.InsufficientBalance):
        invoicing.pay_from_wallet(invoice=invoice, at=APRIL.start)

    row = sale.subscription.reload()
    assert (row.status, row.current_period_end) == (SubscriptionStatus.PAST_DUE, APRIL.start)
    assert invoice.reload().issued_at is None


@pytest.mark.django_db
def test_a_paid_later_period_advances_the_subscription_and_recovers_it() -> None:
    sale = make_sale()
    sale.settle()
    subscriptions.mark_past_due(subscription=sale.subscription)
    clearing = ledger.account_of(AccountKind.CLEARING, "USD", "stripe")
    lines = ledger.transfer(clearing, ledger.wallet_of(sale.organization, "USD"), Money(800, "USD"))
    owner = sale.organization
    ledger.post_entry(kind=EntryKind.PAYMENT, reference="credit", lines=lines, organization=owner, at=NOON)

    invoicing.pay_from_wallet(invoice=draft_april(sale), at=APRIL.start)

    row = sale.subscription.reload()
    assert (row.status, row.current_period_end) == (SubscriptionStatus.ACTIVE, APRIL.end)
    assert wallet_balance(sale.organization) == 0


@pytest.mark.django_db
def test_a_paid_invoice_is_not_paid_again() -> None:
    sent: list[UUID] = []
    sale = make_sale()
    sale.settle()
    events.invoices_paid.connect(lambda invoice_ids, **_: sent.extend(invoice_ids), weak=False, dispatch_uid="again")
    try:
        again = invoicing.pay_from_wallet(invoice=sale.invoice, at=APRIL.end)
    finally:
        events.invoices_paid.disconnect(dispatch_uid="again")
    assert (again.paid_at, sent) == (NOON, [])


@pytest.mark.django_db
def test_a_free_invoice_is_paid_without_a_journal_entry_and_one_that_costs_is_refused() -> None:
    sent: list[UUID] = []
    events.invoices_paid.connect(lambda invoice_ids, **_: sent.extend(invoice_ids), weak=False, dispatch_uid="free")
    try:
        free = invoicing.pay_from_wallet(invoice=make_draft(0), at=NOON)
        with pytest.raises(invoicing.InsufficientBalance):
            invoicing.pay_from_wallet(invoice=make_draft(1), at=NOON)
    finally:
        events.invoices_paid.disconnect(dispatch_uid="free")
    assert free.state == InvoiceState.PAID
    assert sent == [free.pk]
    assert balance(AccountKind.REVENUE) == 0


@pytest.mark.django_db
def test_a_voided_draft_has_its_session_closed_and_is_still_paid_by_money_that_arrives() -> None:
    sale = make_sale()
    assert invoicing.void_draft(invoice=sale.invoice, at=NOON)
    assert sale.payment.reload().poll_at == NOON
    subscriptions.cancel_pending(subscription=sale.subscription, at=NOON)

    sale.settle()

    assert sale.invoice.reload().state == InvoiceState.PAID
    assert sale.subscription.reload().status == SubscriptionStatus.ACTIVE
    assert not invoicing.void_draft(invoice=sale.invoice, at=NOON)
