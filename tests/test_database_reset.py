"""Tests that commit leave nothing behind, not even in tables that refuse deletion."""

import pytest
from django.db import transaction
from django.utils import timezone

from billing import invoicing
from billing.models import InvoiceSeries
from core import audit
from core.models import AuditEntry, AuditLink
from tests.billing.sales import make_draft

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("_round", [1, 2])
def test_a_committed_audit_entry_and_a_taken_invoice_number_are_gone_in_the_next_test(_round: int) -> None:
    series = InvoiceSeries.objects.get(code="NB")
    assert series.next_number == 1
    assert not AuditEntry.objects.exists()

    with transaction.atomic():
        invoicing.issue_invoice(invoice=make_draft(), at=timezone.now())
        audit.record(action="series.taken", entity=series)

    assert InvoiceSeries.objects.get(code="NB").next_number == 2
    assert AuditLink.objects.exists()
