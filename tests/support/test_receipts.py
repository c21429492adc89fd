"""Receipts: what was paid for, as text and as a page, once."""

import pytest

from support.models import Delivery
from tests.billing.sales import make_sale
from tests.billing.test_tax import set_up_shop

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(("prices", "tax"), [("exclusive", "VAT 19%"), ("inclusive", "Includes VAT 19%")])
def test_a_paid_invoice_sends_its_owner_a_receipt_as_text_and_as_a_page(prices: str, tax: str) -> None:
    set_up_shop(prices)
    sale = make_sale()
    sale.invoice.items.update(description="<b>lantern</b> · Minecraft 1 GB")
    sale.settle()
    sale.settle()

    receipt = Delivery.objects.get(event="invoice.paid")
    total = str(sale.invoice.reload().total)
    assert receipt.user == sale.organization.owner
    assert receipt.subject == f"Your receipt over {total}"
    days = "Mar 1\u2009\u2013\u200931, 2026"
    assert f"<b>lantern</b> · Minecraft 1 GB ({days}): $8.00\n" in receipt.body
    for text in (
        " ".join(days.split()),
        "&lt;b&gt;lantern&lt;/b&gt; · Minecraft 1 GB",
        tax,
        total,
        f"/invoices/{sale.invoice.pk}/",
    ):
        assert text in " ".join(str(receipt.html_body).split())
