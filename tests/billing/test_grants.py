"""Credit that the shop gives: promotional credit is spent first, never becomes money, and expires by `expire`."""

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.db import IntegrityError, transaction

from accounts.models import Organization
from billing import allocations, credit, grants, invoicing, payments, refunds, reviews, statement
from billing.gateways.base import GatewayRefund, RefundStatus
from billing.ledger_audit import broken_rules
from billing.models import AccountKind, CreditGrant, EntryKind, GrantKind, Invoice, InvoiceState, JournalEntry, RunKind
from billing.runs import runner
from tests.billing.sales import NOON, Sale, accept, balance, make_sale, run_commit_triggers, usd, wallet_balance
from tests.billing.test_collect import collect, top_up
from tests.billing.test_meter import HOUR, make_hourly, meter
from tests.billing.test_renew import END, make_subscription, renew
from tests.billing.test_top_ups import arrive, open_top_up
from tests.builders import make_organization

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


def give(
    organization: Organization,
    minor: int,
    expires_at: datetime | None = None,
    *,
    kind: GrantKind = GrantKind.PROMOTIONAL,
    at: datetime = NOON,
) -> CreditGrant:
    return grants.grant_credit(
        organization=organization,
        amount=usd(minor),
        kind=kind,
        reason="welcome",
        expires_at=expires_at,
        form_token=uuid4(),
        actor="test",
        at=at,
    )


def promotional(organization: Organization) -> int:
    """What is left of grants; the wallet's row says the same."""
    left = sum(grant.remaining_minor for grant in CreditGrant.objects.filter(organization=organization))
    assert credit.balance_of(organization.pk, "USD") == usd(wallet_balance(organization) + left)
    return left


def make_owner(own_minor: int, *given: int) -> Organization:
    """An organization that paid so much into its wallet and was given so much."""
    organization = make_organization()
    arrive(open_top_up(organization, usd(own_minor)))
    for minor in given:
        give(organization, minor)
    return organization


def sold_to(organization: Organization, minor: int = 800) -> Sale:
    return make_sale(organization=organization, minor=minor, is_auto_renewed=False)


def assert_books() -> None:
    run_commit_triggers()
    assert broken_rules() == {}


def test_promotional_credit_pays_first_and_comes_back_as_what_it_was() -> None:
    organization = make_owner(1000, 300, 200)
    sale = sold_to(organization)
    invoicing.pay_from_wallet(invoice=sale.invoice, at=NOON)
    assert (promotional(organization), wallet_balance(organization)) == (0, 700)

    allocation = sale.invoice.allocations.get()
    refunds.return_credit(allocation, usd(100), NOON)
    allocations.close_refunded_invoice(sale.invoice.reload(), at=NOON)
    assert (promotional(organization), wallet_balance(organization)) == (100, 700)
    refunds.refund_invoice(invoice=sale.invoice, reason="goodwill", actor=None, at=NOON)

    assert (promotional(organization), wallet_balance(organization)) == (500, 1000)
    assert balance(AccountKind.PROMOTIONS) == -500
    assert_books()


def test_what_a_card_paid_is_paid_with_that_whatever_was_given_meanwhile() -> None:
    organization = make_owner(1000)
    sale = sold_to(organization)
    give(organization, 500)

    sale.settle()

    assert (promotional(organization), wallet_balance(organization)) == (500, 1000)
    assert_books()


def test_staff_read_what_accepting_a_payment_pays_with_promotional_credit() -> None:
    sale = make_sale(minor=800)
    payment = sale.settle(amount=usd(500))
    give(sale.organization, 400)
    expected = reviews.acceptance_of(payment)

    accept(payment)

    assert (expected.invoice, expected.other_credit) == (usd(800), usd(300))
    assert sale.invoice.reload().state == InvoiceState.PAID
    assert (promotional(sale.organization), wallet_balance(sale.organization)) == (100, 0)
    assert_books()


def test_credit_beside_a_card_is_reserved_and_released_as_what_it_was() -> None:
    organization = make_owner(500, 200)
    for ends in ("expired", "paid"):
        sale = sold_to(organization, 900)
        credit.use_credit(payment=sale.payment, at_most=usd(900), at=NOON)
        assert (promotional(organization), wallet_balance(organization)) == (0, 0)
        if ends == "expired":
            payments.expire(payment_id=sale.payment.pk, at=NOON + HOUR)
            assert (promotional(organization), wallet_balance(organization)) == (200, 500)
        else:
            payment = sale.reloaded().settle()
            assert payment.amount == usd(200)
            assert (promotional(organization), wallet_balance(organization)) == (0, 0)
            assert sale.invoice.reload().state == InvoiceState.PAID
        assert_books()


def test_a_gateway_sends_back_no_promotional_credit() -> None:
    organization = make_organization()
    payment = arrive(open_top_up(organization, usd(500)))
    give(organization, 500)
    invoicing.pay_from_wallet(invoice=sold_to(organization).invoice, at=NOON)  # 500 given, 300 of the payment

    with pytest.raises(refunds.NotRefundable, match=r"3\.00"):
        refunds.refund_payment(payment=payment, amount=usd(500), reason="x", actor=None, at=NOON)
    give(organization, 400)
    with pytest.raises(refunds.NotRefundable, match=r"3\.00"):
        refunds.refund_payment(payment=payment, amount=usd(500), reason="x", actor=None, at=NOON)


def test_collect_spends_it_first_over_several_invoices() -> None:
    organization = make_organization()
    for minor in (800, 700):
        make_subscription(organization=organization, minor=minor)
        renew()
    give(organization, 1000)
    top_up(organization, 600)

    assert collect() == {"paid": 2}

    assert (promotional(organization), wallet_balance(organization)) == (0, 100)
    assert set(broken_rules()) <= {"account_not_rows"}  # `top_up` has no payment
    for invoice in Invoice.objects.exclude(due_at=None):
        refunds.refund_invoice(invoice=invoice, reason="x", actor=None, at=END)
    assert (promotional(organization), wallet_balance(organization)) == (1000, 600)


def test_hours_are_charged_to_it_first_and_their_invoice_knows() -> None:
    row = make_hourly(minor="100")
    give(row.organization, 150)
    top_up(row.organization, 400)

    meter(NOON + HOUR)
    assert (promotional(row.organization), wallet_balance(row.organization)) == (0, 350)
    meter(NOON + 2 * HOUR)
    meter(datetime(2026, 4, 1, 4, tzinfo=NOON.tzinfo))  # suspended, and the month's invoice issued

    invoice = Invoice.objects.get(usage_month=NOON.date())
    assert (invoice.state, invoice.total_minor) == (InvoiceState.PAID, 500)
    refunds.refund_invoice(invoice=invoice, reason="x", actor=None, at=END)
    assert (promotional(row.organization), wallet_balance(row.organization)) == (150, 400)


def test_what_expires_first_is_spent_first_and_the_rest_of_it_expires_once() -> None:
    organization = make_owner(1000)
    for_ever = give(organization, 400)
    soon, later = give(organization, 300, NOON + DAY), give(organization, 200, NOON + 2 * DAY)
    sale = sold_to(organization, 100)
    invoicing.pay_from_wallet(invoice=sale.invoice, at=NOON)
    assert [row.reload().remaining_minor for row in (soon, later, for_ever)] == [200, 200, 400]

    run = runner.execute(RunKind.EXPIRE, at=NOON + DAY)
    assert (run.counts, run.skipped) == ({"expired credit": 1}, {})
    assert runner.execute(RunKind.EXPIRE, at=NOON + DAY).counts == {}
    assert runner.execute(RunKind.EXPIRE, at=NOON + 3 * DAY).counts == {"expired credit": 1}
    run_commit_triggers()

    assert [row.reload().remaining_minor for row in (soon, later, for_ever)] == [0, 0, 400]
    assert balance(AccountKind.PROMOTIONS) == -500  # 900 given, 400 taken back
    assert wallet_balance(organization) == 1000
    assert JournalEntry.objects.filter(kind=EntryKind.CREDIT_EXPIRED).count() == 2
    # What comes back goes to what expires last of what was spent: here to what expired, and so it does again.
    refunds.refund_invoice(invoice=sale.invoice, reason="x", actor=None, at=NOON + 3 * DAY)
    assert runner.execute(RunKind.EXPIRE, at=NOON + 3 * DAY).counts == {"expired credit": 1}
    assert_books()


def test_each_cent_is_on_the_statement_with_its_cause_and_the_credit_after_it() -> None:
    organization = make_owner(1000, 300)
    invoicing.pay_from_wallet(invoice=sold_to(organization).invoice, at=NOON)
    run_commit_triggers()

    wallet = statement.accounts_of(organization)[-1]
    rows = [
        (row.account.kind, row.amount_minor, row.balance_minor, statement.cause_of(row.entry))  # type: ignore[attr-defined]
        for row in statement.statement_of(wallet)
    ]

    assert sorted(row[:2] for row in rows[:2]) == [("promotional_credit", -300), ("wallet", -500)]
    assert rows[0][2] == 500
    assert rows[2:] == [
        ("promotional_credit", 300, 1300, "welcome"),
        ("wallet", 1000, 1000, "Top-up, Visa ending 4242"),
    ]


def test_wallet_credit_is_the_wallets_own_and_pays_first_what_is_owed() -> None:
    organization = make_organization()
    payment = arrive(open_top_up(organization, usd(500)))
    invoicing.pay_from_wallet(invoice=sold_to(organization, 500).invoice, at=NOON)
    refunds.record_refund(
        payment_id=payment.pk,
        gateway_refund=GatewayRefund("re_1", "re_1", usd(500), RefundStatus.SUCCEEDED),
        at=NOON,
    )
    assert balance(AccountKind.RECEIVABLE) == -500

    give(organization, 800, kind=GrantKind.WALLET)

    assert (balance(AccountKind.RECEIVABLE), wallet_balance(organization), promotional(organization)) == (0, 300, 0)
    assert_books()


def test_grants_follow_postings_alone() -> None:
    organization = make_owner(500, 300)
    refused = (
        lambda: CreditGrant.objects.update(remaining_minor=100),
        lambda: CreditGrant.objects.update(amount_minor=500),
        lambda: CreditGrant.objects.all().delete(),
    )
    for act in refused:
        with pytest.raises(IntegrityError), transaction.atomic():
            act()
    CreditGrant.objects.create(organization=organization, amount_minor=5, remaining_minor=5, currency="USD", reason="x")
    with pytest.raises(IntegrityError, match="is not posted"):
        run_commit_triggers()


def test_staff_end_what_is_left() -> None:
    organization = make_owner(500, 300)
    grant = CreditGrant.objects.get()

    assert grants.end_grant(grant=grant, actor="test", at=NOON + HOUR)
    assert not grants.end_grant(grant=grant, actor="test", at=NOON + HOUR)

    runner.execute(RunKind.EXPIRE, at=NOON + HOUR)
    assert promotional(organization) == 0


def test_promotional_credit_is_spent_by_nothing_while_its_organization_owes() -> None:
    organization = make_owner(0, 300)
    first = arrive(open_top_up(organization))
    spent = sold_to(organization, 1300)
    invoicing.pay_from_wallet(invoice=spent.invoice, at=NOON)
    give(organization, 700)
    refunds.record_refund(
        payment_id=first.pk, gateway_refund=GatewayRefund("re_1", "pi_1", usd(1000), RefundStatus.SUCCEEDED), at=NOON
    )
    assert balance(AccountKind.RECEIVABLE) == -1000

    assert credit.balance_of(organization.pk, "USD") == usd(0)
    with pytest.raises(invoicing.InsufficientBalance):
        invoicing.pay_from_wallet(invoice=sold_to(organization, 500).invoice, at=NOON)
    give(organization, 100)
    assert credit.balance_of(organization.pk, "USD") == usd(0)
    assert balance(AccountKind.PROMOTIONAL_CREDIT) == 800
    assert_books()

    arrive(open_top_up(organization, usd(1200)), "pi_2")
    assert balance(AccountKind.RECEIVABLE) == 0
    assert credit.balance_of(organization.pk, "USD") == usd(200 + 800)
    assert_books()
