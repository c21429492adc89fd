"""The ledger's rules, enforced by the database whatever the code does."""

from dataclasses import replace
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.utils import DatabaseError

from billing import disputes, invoicing, ledger, refunds, reviews
from billing.gateways.base import DisputeStatus, GatewayDispute, GatewayRefund, RefundStatus
from billing.invoicing import InvoiceLine
from billing.ledger import EntryLine
from billing.models import AccountKind, EntryKind, ItemKind, JournalEntry, LedgerAccount, Payment, Posting
from billing.models.ledger import ORGANIZATION_KINDS
from core import tenancy
from core.ids import uuid7
from core.money import Money
from tests.billing.sales import MONEY, NOON, balance, make_sale, run_commit_triggers, wallet_balance
from tests.builders import make_organization

committing = pytest.mark.django_db(transaction=True)


def post(reference: str = "gift:1", amount: Money = MONEY, source: LedgerAccount | None = None) -> JournalEntry:
    """Money from clearing to a new organization's wallet, or from the account given."""
    organization = make_organization()
    wallet = ledger.wallet_of(organization, amount.currency)
    origin = source or ledger.account_of(AccountKind.CLEARING, amount.currency, "stripe")
    lines = ledger.transfer(origin, wallet, amount)
    return ledger.post_entry(
        kind=EntryKind.PAYMENT, reference=reference, lines=lines, organization=organization, at=NOON
    )


@committing
def test_an_entry_that_does_not_sum_to_zero_is_refused() -> None:
    clearing = ledger.account_of(AccountKind.CLEARING, "USD", "stripe")
    revenue = ledger.account_of(AccountKind.REVENUE, "USD")

    with pytest.raises(IntegrityError, match="off by"):
        ledger.post_entry(
            kind=EntryKind.PAYMENT,
            reference="off",
            lines=[EntryLine(clearing, Money(-800, "USD")), EntryLine(revenue, Money(799, "USD"))],
            at=NOON,
        )

    assert not JournalEntry.objects.exists()
    assert not Posting.objects.exists()


@committing
def test_an_entry_that_balances_only_across_two_currencies_is_refused() -> None:
    lines = [
        EntryLine(ledger.account_of(AccountKind.CLEARING, "USD", "stripe"), Money(-800, "USD")),
        EntryLine(ledger.account_of(AccountKind.REVENUE, "EUR"), Money(800, "EUR")),
    ]
    with pytest.raises(IntegrityError, match="off by"):
        ledger.post_entry(kind=EntryKind.PAYMENT, reference="mixed", lines=lines, at=NOON)


@committing
def test_an_entry_without_postings_is_refused() -> None:
    with pytest.raises(IntegrityError, match="has no postings"):
        ledger.post_entry(kind=EntryKind.PAYMENT, reference="empty", lines=[], at=NOON)


@pytest.mark.django_db
def test_a_posting_in_another_currency_than_its_account_is_refused() -> None:
    clearing = ledger.account_of(AccountKind.CLEARING, "USD", "stripe")
    revenue = ledger.account_of(AccountKind.REVENUE, "USD")
    with pytest.raises(IntegrityError, match="another currency"), transaction.atomic():
        ledger.post_entry(
            kind=EntryKind.PAYMENT,
            reference="wrong",
            lines=ledger.transfer(clearing, revenue, Money(800, "EUR")),
            at=NOON,
        )


@pytest.mark.django_db
@pytest.mark.parametrize("role", [tenancy.WORKER, tenancy.STAFF])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_posting SET amount_minor = 1",
        "DELETE FROM billing_posting",
        "UPDATE billing_journalentry SET note = 'x'",
        "DELETE FROM billing_journalentry",
        "TRUNCATE billing_posting",
    ],
)
def test_posted_entries_cannot_be_changed(role: str, statement: str) -> None:
    post()
    with pytest.raises(DatabaseError, match="permission denied"), tenancy.as_role(role=role):
        _execute(statement)


@pytest.mark.django_db
def test_not_even_the_owner_of_the_tables_changes_a_posted_entry() -> None:
    post()
    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic():
        _execute("SET LOCAL ROLE NONE; UPDATE billing_posting SET amount_minor = 1")


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)


@committing
def test_balanced_postings_cannot_be_added_to_an_entry_that_was_committed() -> None:
    entry = post()
    with pytest.raises(IntegrityError, match="sealed"), tenancy.as_role(role=tenancy.WORKER):
        _execute(
            "INSERT INTO billing_posting (id, entry_id, account_id, organization_id, amount_minor, currency)"
            " SELECT uuidv7(), entry_id, account_id, organization_id, amount_minor, currency FROM billing_posting"
        )
    assert entry.postings.count() == 2


@committing
def test_an_entry_cannot_be_written_for_a_later_transaction() -> None:
    with pytest.raises(IntegrityError, match="written_in"):
        _execute(
            "INSERT INTO billing_journalentry (id, kind, reference, note, at, written_in)"
            " VALUES (uuidv7(), 'payment', 'later', '', now(), (pg_current_xact_id()::text::bigint + 9)::text::xid8)"
        )


@pytest.mark.django_db
def test_a_posting_of_another_organization_than_its_account_is_refused() -> None:
    entry = post()
    for organization in (make_organization(), None):
        lines = [
            Posting(
                entry=entry,
                account=row.account,
                organization=organization,
                amount_minor=-row.amount_minor,
                currency="USD",
            )
            for row in entry.postings.all()
        ]
        with pytest.raises(IntegrityError, match="another organization"), tenancy.as_role(role=tenancy.WORKER):
            Posting.objects.bulk_create(lines)


@pytest.mark.django_db
@pytest.mark.parametrize(("missing", "message"), [("entry_id", "sealed or unknown"), ("account_id", "its account")])
def test_a_posting_of_an_entry_or_an_account_that_is_not_there_is_refused(missing: str, message: str) -> None:
    names = {"entry_id": post().pk, "account_id": ledger.account_of(AccountKind.REVENUE, "USD").pk, missing: uuid7()}
    lines = [Posting(**names, amount_minor=minor, currency="USD") for minor in (-800, 800)]
    with pytest.raises(IntegrityError, match=message), tenancy.as_role(role=tenancy.WORKER):
        Posting.objects.bulk_create(lines)


@pytest.mark.django_db
def test_a_posting_is_not_checked_against_a_temporary_table_of_the_same_name() -> None:
    look_alike = "CREATE TEMPORARY TABLE billing_journalentry ON COMMIT DROP AS SELECT %s::uuid AS id,"
    insert = """INSERT INTO billing_posting (id, entry_id, account_id, amount_minor, currency)
        SELECT uuidv7(), entry.id, uuidv7(), minor, 'USD'
        FROM pg_temp.billing_journalentry entry, (VALUES (5), (-5)) sides (minor)"""
    with tenancy.as_role(role=tenancy.WORKER), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(look_alike + " NULL::uuid AS organization_id, pg_current_xact_id() AS written_in", [uuid7()])
        with pytest.raises(IntegrityError, match="sealed or unknown"), transaction.atomic():
            cursor.execute(insert)


@pytest.mark.django_db
@pytest.mark.parametrize("kind", AccountKind)
def test_an_account_has_an_organization_exactly_where_its_kind_has(kind: AccountKind) -> None:
    wrong = None if kind in ORGANIZATION_KINDS else make_organization()
    with pytest.raises(IntegrityError, match="organization_iff"), tenancy.as_role(role=tenancy.WORKER):
        LedgerAccount.objects.create(kind=kind, organization=wrong, currency="USD")


@pytest.mark.django_db
def test_an_entry_names_the_row_it_comes_from_and_no_other() -> None:
    payment = make_sale().settle()
    received, charged = JournalEntry.objects.order_by("id")
    assert (received.source, charged.source) == (payment, payment.invoice)
    with pytest.raises(IntegrityError, match="entry_invoice_by_kind"), tenancy.as_role(role=tenancy.WORKER):
        JournalEntry.objects.create(kind="payment", reference="other", invoice=payment.invoice, at=NOON)


@pytest.mark.django_db
def test_the_balance_of_an_account_is_the_sum_of_its_postings() -> None:
    make_sale(minor=9940).settle()
    accounts = LedgerAccount.objects.with_posted_minor()
    shown = {str(row.kind): row.posted_minor for row in accounts}  # type: ignore[attr-defined]
    assert shown == {"wallet": 0, "clearing": -9940, "revenue": 9940}


@pytest.mark.django_db
def test_a_wallet_never_goes_below_zero() -> None:
    wallet = post().postings.get(account__kind=AccountKind.WALLET).account
    revenue = ledger.account_of(AccountKind.REVENUE, "USD")
    with pytest.raises(IntegrityError, match="not_overdrawn"), transaction.atomic():
        ledger.post_entry(
            kind=EntryKind.CHARGE,
            reference="too much",
            lines=ledger.transfer(wallet, revenue, Money(801, "USD")),
            organization=wallet.organization,
            at=NOON,
        )


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"balance_minor": 1_000_000}, "by postings only"),
        ({"currency": "EUR"}, "does not change"),
        ({"gateway": "other"}, "does not change"),
    ],
)
def test_an_account_edited_by_hand_is_refused(change: dict[str, object], message: str) -> None:
    wallet = post().postings.get(account__kind=AccountKind.WALLET).account
    with pytest.raises(IntegrityError, match=message), transaction.atomic():
        LedgerAccount.objects.filter(pk=wallet.pk).update(**change)


@pytest.mark.django_db
def test_an_account_that_begins_with_a_balance_is_refused() -> None:
    with pytest.raises(IntegrityError, match="begins at zero"), transaction.atomic():
        LedgerAccount.objects.create(
            kind=AccountKind.WALLET, organization=make_organization(), currency="USD", balance_minor=1
        )


@pytest.mark.django_db
def test_the_database_updates_the_wallets_balance_and_no_other() -> None:
    entry = post()

    wallet = entry.postings.get(account__kind=AccountKind.WALLET)
    assert wallet.account.reload().balance_minor == 800
    assert wallet.organization_id == wallet.account.organization_id
    assert entry.postings.get(account__kind=AccountKind.CLEARING).account.reload().balance_minor == 0
    run_commit_triggers()


@pytest.mark.django_db
def test_the_same_fact_again_is_the_same_entry() -> None:
    owner = make_organization()
    wallet = ledger.wallet_of(owner, "USD")
    lines = ledger.transfer(ledger.account_of(AccountKind.CLEARING, "USD", "stripe"), wallet, MONEY)
    same: dict[str, Any] = {"kind": EntryKind.PAYMENT, "reference": "payment:1", "organization": owner}

    first = ledger.post_entry(**same, lines=lines, at=NOON)
    again = ledger.post_entry(**same, lines=list(reversed(lines)), at=NOON + timedelta(days=1))

    assert again == first
    assert wallet.reload().balance_minor == 800


@pytest.mark.django_db
def test_a_reference_used_for_something_else_is_a_conflict() -> None:
    post("payment:1")
    with pytest.raises(ledger.LedgerConflict):
        post("payment:1", Money(900, "USD"))


@pytest.mark.django_db
def test_a_reversal_restores_every_account() -> None:
    post("refund:1")
    ledger.reverse_entry(kind=EntryKind.REFUND_FAILED, reference="refund_failed:1", of="refund:1", at=NOON)
    assert balance(AccountKind.CLEARING) == 0
    assert balance(AccountKind.WALLET) == 0


def make_spent_credit() -> Payment:
    """A payment that was accepted as credit after review, and 600 of its 800 cents are spent."""
    sale = make_sale(minor=900)
    payment = sale.settle(amount=MONEY)
    reviews.accept_payment(payment_id=payment.pk, actor=None, at=NOON)
    lines = [InvoiceLine(ItemKind.SETUP, "Setup", Money(600, "USD"))]
    invoice = invoicing.draft_invoice(organization=sale.organization, currency="USD", lines=lines, at=NOON)
    invoicing.pay_from_wallet(invoice=invoice, at=NOON)
    return payment.reload()


@pytest.mark.django_db
def test_a_refund_at_the_gateway_of_credit_already_spent_is_owed_until_it_fails() -> None:
    payment = make_spent_credit()
    gone = GatewayRefund("re_1", "pi_1", MONEY, RefundStatus.SUCCEEDED)

    refunds.record_refund(payment_id=payment.pk, gateway_refund=gone, at=NOON)

    assert (balance(AccountKind.WALLET), balance(AccountKind.RECEIVABLE)) == (0, -600)
    assert balance(AccountKind.CLEARING) == 0
    failed = replace(gone, status=RefundStatus.FAILED)
    refunds.record_refund(payment_id=payment.pk, gateway_refund=failed, at=NOON)
    assert (balance(AccountKind.WALLET), balance(AccountKind.RECEIVABLE)) == (200, 0)


@pytest.mark.django_db
def test_a_lost_dispute_over_credit_takes_the_wallet_and_the_rest_is_owed() -> None:
    payment = make_spent_credit()
    lost = GatewayDispute("dp_1", "pi_1", MONEY, DisputeStatus.LOST, "fraudulent", NOON)

    disputes.record_dispute(payment_id=payment.pk, gateway_dispute=lost, at=NOON)

    assert (balance(AccountKind.WALLET), balance(AccountKind.RECEIVABLE)) == (0, -600)
    assert balance(AccountKind.DISPUTES) == balance(AccountKind.CLEARING) == 0


@pytest.mark.django_db
def test_credit_that_was_spent_is_not_refunded_by_us() -> None:
    payment = make_spent_credit()
    with pytest.raises(refunds.NotRefundable, match="spent"):
        refunds.refund_payment(payment=payment, amount=MONEY, reason="asked", actor=None, at=NOON)


@committing
def test_two_spenders_of_one_wallet_cannot_both_have_the_money() -> None:
    wallet = post().postings.get(account__kind=AccountKind.WALLET).account
    owner = wallet.organization
    revenue = ledger.account_of(AccountKind.REVENUE, "USD")
    refused: list[Exception] = []

    def spend(number: int) -> None:
        lines = ledger.transfer(wallet, revenue, Money(500, "USD"))
        try:
            reference = f"spend:{number}"
            ledger.post_entry(kind=EntryKind.CHARGE, reference=reference, lines=lines, organization=owner, at=NOON)
        except IntegrityError as error:
            refused.append(error)
        finally:
            connection.close()

    spenders = [Thread(target=spend, args=(number,)) for number in range(4)]
    for spender in spenders:
        spender.start()
    for spender in spenders:
        spender.join()

    assert len(refused) == 3
    assert wallet.organization is not None
    assert wallet_balance(wallet.organization) == 300
    assert balance(AccountKind.REVENUE) == 500
