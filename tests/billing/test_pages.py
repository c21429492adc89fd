"""The customer's invoices as pages: their own, issued, and nobody else's."""

from datetime import timedelta

import pytest
from django.test import Client

from accounts.models import Role, User
from accounts.permissions import Access
from billing import invoicing, queries, refunds
from billing.gateways.base import RefundStatus
from billing.models import Invoice, InvoiceState, Refund
from tests.billing.sales import NOON, Sale, make_sale, report_refund, run_commit_triggers
from tests.billing.test_collect import top_up
from tests.billing.test_renew import SOON, make_subscription, renew
from tests.builders import make_organization, make_staff, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner() -> User:
    return make_user()


@pytest.fixture
def paid(owner: User) -> Sale:
    """A paid sale of the owner's organization."""
    sale = make_sale(organization=make_organization(owner))
    sale.settle()
    run_commit_triggers()
    return sale


def browse(user: User) -> Client:
    """A signed-in browser."""
    client = Client()
    client.force_login(user)
    return client


def test_the_owner_sees_the_invoice_and_its_lines(owner: User, paid: Sale) -> None:
    page = browse(owner).get(f"/invoices/{paid.invoice.pk}/").content.decode()
    assert "NB-2026-00001" in page
    assert "Minecraft 1 GB" in page
    assert "$8.00" in page
    assert "Visa ending 4242" in page


def test_a_stranger_is_told_that_there_is_no_such_invoice(paid: Sale) -> None:
    assert browse(make_user()).get(f"/invoices/{paid.invoice.pk}/").status_code == 404


def test_a_visitor_is_asked_to_sign_in(paid: Sale) -> None:
    answer = Client().get(f"/invoices/{paid.invoice.pk}/")
    assert answer.status_code == 302
    assert "login" in answer.headers["Location"]


def test_drafts_are_not_shown(owner: User) -> None:
    sale = make_sale(organization=make_organization(owner))
    assert browse(owner).get(f"/invoices/{sale.invoice.pk}/").status_code == 404
    assert "Minecraft" not in browse(owner).get("/invoices/").content.decode()


def test_the_list_costs_the_same_for_one_invoice_and_for_many(
    owner: User, paid: Sale, django_assert_max_num_queries: object
) -> None:
    organization = make_organization(owner)
    for _ in range(5):
        make_sale(organization=organization).settle(at=NOON)
    run_commit_triggers()
    access = Access(owner.pk, {organization.pk: Role.OWNER})
    with django_assert_max_num_queries(1):  # type: ignore[operator]
        rows = list(queries.invoices_of(access, organization).values_list("summary", flat=True))  # type: ignore[misc]
    assert rows == ["Minecraft 1 GB"] * 6
    page = browse(owner).get("/invoices/").content.decode()
    assert "NB-2026-00006" in page


def test_the_owner_downloads_invoice_and_credit_note_and_nobody_else_does(owner: User, paid: Sale) -> None:
    refunds.refund_invoice(invoice=paid.invoice, reason="asked", actor=None, at=NOON)
    report_refund(Refund.objects.get(), RefundStatus.SUCCEEDED)
    run_commit_triggers()
    note = paid.invoice.credit_notes.get()
    urls = {f"/invoices/{paid.invoice.pk}/pdf/": "NB-2026-00001", f"/credit-notes/{note.pk}/pdf/": "NB-CN-2026-00001"}
    staff, files = make_staff(is_superuser=True), []
    for url, number in urls.items():
        file, again = (browse(owner).get(url) for _ in range(2))
        assert file.content == again.content
        assert file.content.startswith(b"%PDF-")
        assert file["Content-Disposition"] == f'attachment; filename="{number}.pdf"'
        assert browse(make_user()).get(url).status_code == 404
        assert Client().get(url).status_code == 302
        kind, row = ("creditnote", note) if "credit" in url else ("invoice", paid.invoice)
        assert browse(staff).get(f"/admin/billing/{kind}/{row.pk}/pdf/").content == file.content
        files.append(file.content)
    report_refund(Refund.objects.get(), RefundStatus.FAILED)  # after all: the note is void
    assert note.reload().voided_at is not None
    assert [browse(owner).get(url).content for url in urls] == files


def test_paying_or_voiding_an_invoice_changes_no_byte_of_its_file(owner: User) -> None:
    organization, browser = make_organization(owner), browse(owner)
    for minutes in range(2):  # an invoice of its own for each
        make_subscription(organization=organization)
        renew(SOON + timedelta(minutes=minutes))
    paid, voided = Invoice.objects.exclude(due_at=None).order_by("issued_at")
    urls = [f"/invoices/{row.pk}/pdf/" for row in (paid, voided)]
    files = [browser.get(url).content for url in urls]

    top_up(organization, 800)
    assert paid.issued_at is not None
    invoicing.pay_from_wallet(invoice=paid, at=paid.issued_at + timedelta(seconds=30))
    invoicing.void_invoice(invoice=voided, reason="test", actor=None, at=SOON)

    assert (paid.reload().state, voided.reload().state) == (InvoiceState.PAID, InvoiceState.VOID)
    assert [browser.get(url).content for url in urls] == files


def test_the_page_names_the_days_of_the_period(owner: User, paid: Sale) -> None:
    page = browse(owner).get(f"/invoices/{paid.invoice.pk}/").content.decode()
    assert "Mar 1\u2009\u2013\u200931, 2026" in page  # as CLDR writes it
    assert f"/invoices/{paid.invoice.pk}/pdf/" in page
