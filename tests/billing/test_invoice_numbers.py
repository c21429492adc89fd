"""Invoice numbers: given at commit, gapless and in the order of their dates, in each series."""

from datetime import UTC, datetime, timedelta
from threading import Barrier, Thread

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from billing import invoicing
from billing.models import (
    Invoice,
    InvoiceSeries,
)
from core import tenancy
from tests.billing.sales import NOON, make_draft, run_commit_triggers


@pytest.mark.django_db
def test_a_draft_has_no_number_and_an_issued_invoice_has_the_next_at_commit() -> None:
    first, second = make_draft(), make_draft()
    assert first.number is None
    for draft in (second, first, second):
        invoicing.issue_invoice(invoice=draft, at=NOON)
        run_commit_triggers()

    assert (second.reload().number, first.reload().number) == ("NB-2026-00001", "NB-2026-00002")
    assert (second.reload().sequence, first.reload().sequence) == (1, 2)


@pytest.mark.django_db(transaction=True)
def test_eight_at_once_with_failures_between_leave_no_gap() -> None:
    drafts = [make_draft() for _ in range(48)]
    start = Barrier(8)

    def issue(mine: list[Invoice]) -> None:
        start.wait()
        for number, draft in enumerate(mine):
            try:
                with transaction.atomic():
                    invoicing.issue_invoice(invoice=draft, at=timezone.now())
                    if number % 3 == 1:
                        raise ArithmeticError("something after it fails")
            except ArithmeticError:
                continue
        connection.close()

    threads = [Thread(target=issue, args=(drafts[begin::8],)) for begin in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    issued = Invoice.objects.exclude(number=None).order_by("sequence")
    assert [invoice.sequence for invoice in issued] == list(range(1, 33))
    assert list(issued.order_by("issued_at", "sequence")) == list(issued)
    assert InvoiceSeries.objects.get(code="NB").next_number == 33


@pytest.mark.django_db
def test_the_invoices_of_one_transaction_are_numbered_together_and_each_year_begins_at_one() -> None:
    old_year = datetime(2025, 12, 31, tzinfo=UTC)
    for at in (NOON, old_year, NOON, old_year):
        invoicing.issue_invoice(invoice=make_draft(), at=at)
    run_commit_triggers()

    numbers = Invoice.objects.order_by("issued_at", "sequence").values_list("number", flat=True)
    assert list(numbers) == ["NB-2025-00001", "NB-2025-00002", "NB-2026-00001", "NB-2026-00002"]


@pytest.mark.django_db
def test_an_invoice_issued_by_a_slow_clock_is_dated_as_the_one_before() -> None:
    for at in (NOON, NOON - timedelta(hours=1)):
        invoicing.issue_invoice(invoice=make_draft(), at=at)
        run_commit_triggers()
    assert list(Invoice.objects.order_by("sequence").values_list("issued_at", flat=True)) == [NOON, NOON]


@pytest.mark.django_db
def test_an_invoice_issued_by_a_fast_clock_is_not_dated_in_the_future() -> None:
    for hours in (2, 0):
        invoicing.issue_invoice(invoice=make_draft(), at=timezone.now() + timedelta(hours=hours))
        run_commit_triggers()
    first, second = Invoice.objects.order_by("sequence").values_list("issued_at", flat=True)
    assert first is not None
    assert second is not None
    assert first <= second <= timezone.now()


@pytest.mark.django_db
def test_a_series_without_a_year_counts_on_and_its_numbers_may_outgrow_their_width() -> None:
    series = InvoiceSeries.objects.create(
        code="X", prefix="X", width=1, restarts_yearly=False, next_number=9, credit_note_series_id="NB-CN"
    )
    invoicing.use_series(series=series, actor=None)
    for year in (2025, 2026):
        invoicing.issue_invoice(invoice=make_draft(), at=datetime(year, 1, 1, tzinfo=UTC))
        run_commit_triggers()
    assert list(Invoice.objects.order_by("sequence").values_list("number", flat=True)) == ["X9", "X10"]


@pytest.mark.django_db
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_invoice SET number = 'x', sequence = 1, sequence_year = 2026, issued_at = now()",
        "UPDATE billing_invoiceseries SET next_number = 100",
        "UPDATE billing_invoiceseries SET last_issued_at = now()",
    ],
)
@pytest.mark.parametrize("role", [tenancy.WORKER, tenancy.STAFF])
def test_a_number_chosen_by_hand_is_refused(role: str, statement: str) -> None:
    make_draft()
    with (
        pytest.raises(IntegrityError, match="at commit only"),
        tenancy.as_role(role=role),
        connection.cursor() as cursor,
    ):
        cursor.execute(statement)


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_has_issued_does_not_make_another_wait() -> None:
    slow, quick = make_draft(), make_draft()

    def issue_quickly() -> None:
        invoicing.issue_invoice(invoice=quick, at=NOON)
        connection.close()

    with transaction.atomic():
        invoicing.issue_invoice(invoice=slow, at=NOON)
        thread = Thread(target=issue_quickly)
        thread.start()
        thread.join(timeout=20)
        assert not thread.is_alive()

    assert (quick.reload().sequence, slow.reload().sequence) == (1, 2)
