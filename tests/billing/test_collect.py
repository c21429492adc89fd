"""Due invoices are paid from the wallet: whole, in the order of their due dates, once."""

from datetime import timedelta

import pytest

from billing import ledger
from billing.models import (
    AccountKind,
    EntryKind,
    Invoice,
    InvoiceState,
    PaymentAllocation,
    PaymentMethod,
    RunKind,
    Subscription,
    SubscriptionStatus,
)
from billing.runs import batches, runner
from billing.runs import collect as collecting
from core.money import Money
from tests.billing.sales import balance, run_commit_triggers, wallet_balance
from tests.billing.test_renew import END, SOON, make_subscription, renew
from tests.builders import make_organization
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db
MONTH = timedelta(days=30)


def top_up(organization: object, minor: int, currency: str = "USD") -> None:
    """Credit in the wallet, as if a gateway had sent it."""
    source = ledger.account_of(AccountKind.CLEARING, currency, "stripe")
    wallet = ledger.wallet_of(organization, currency)  # type: ignore[arg-type]
    ledger.post_entry(
        kind=EntryKind.PAYMENT,
        reference=f"top-up:{wallet.pk}:{minor}",
        lines=ledger.transfer(source, wallet, Money(minor, currency)),
        organization=organization,  # type: ignore[arg-type]
        at=SOON,
    )


def collect(at: object = END) -> dict[str, int]:
    run = runner.execute(RunKind.COLLECT, at=at)  # type: ignore[arg-type]
    run_commit_triggers()
    assert run.skipped == {}
    return dict(run.counts)


def test_a_due_invoice_is_paid_with_credit_and_renews_its_subscriptions() -> None:
    subscription = make_subscription()
    top_up(subscription.organization, 1000)
    renew()
    assert collect(END - timedelta(seconds=1)) == {}  # not due yet
    Subscription.objects.filter(pk=subscription.pk).update(status=SubscriptionStatus.SUSPENDED)

    assert collect() == {"paid": 1}

    invoice = Invoice.objects.exclude(due_at=None).get()
    assert (invoice.state, invoice.paid_at) == (InvoiceState.PAID, END)
    row = subscription.reload()
    assert (row.status, row.current_period_start, row.current_period_end) == ("active", END, END + MONTH)
    assert (wallet_balance(subscription.organization), balance(AccountKind.REVENUE)) == (200, 1600)
    assert PaymentAllocation.objects.get(invoice=invoice).payment is None
    assert collect() == {}


def test_of_several_invoices_credit_pays_first_what_is_due_first_and_then_what_it_suffices_for() -> None:
    organization = make_organization()
    for number, minor in enumerate((700, 600, 300)):
        make_subscription(organization=organization, minor=minor)
        renew(SOON + timedelta(minutes=number))  # an invoice of its own
        Invoice.objects.exclude(due_at=None).filter(total_minor=minor).update()
    top_up(organization, 1000)
    assert Invoice.objects.exclude(due_at=None).count() == 3

    assert collect() == {"paid": 2}

    paid = Invoice.objects.exclude(due_at=None).filter(state=InvoiceState.PAID)
    assert set(paid.values_list("total_minor", flat=True)) == {700, 300}
    assert wallet_balance(organization) == 0


@pytest.mark.parametrize("change", [{"is_auto_renewed": False}, {"cancels_at_period_end": True}])
def test_who_is_not_charged_automatically_keeps_their_credit(change: dict[str, bool]) -> None:
    subscription = make_subscription()
    top_up(subscription.organization, 1000)
    renew()
    Subscription.objects.filter(pk=subscription.pk).update(**change)

    assert collect() == {}
    assert wallet_balance(subscription.organization) == 1000


def test_credit_in_another_currency_pays_nothing() -> None:
    subscription = make_subscription(currency="EUR")
    top_up(subscription.organization, 1000)
    renew()

    assert collect() == {}


def test_an_invoice_is_due_for_a_card_that_can_be_charged_and_not_for_a_removed_one() -> None:
    organization = make_subscription().organization
    renew()
    card = PaymentMethod.objects.create(organization=organization, gateway="stripe", reference="pm_1", is_default=True)

    def due() -> list[batches.OrganizationRange]:
        return batches.ranges(*collecting.due(END), within=batches.EVERYBODY, size=1)

    assert [of.until for of in due()] == [organization.pk]
    PaymentMethod.objects.filter(pk=card.pk).update(is_default=False, detached_at=SOON)
    assert due() == []


@pytest.mark.django_db(transaction=True)
def test_two_collections_at_once_pay_once() -> None:
    rows = [make_subscription() for _ in range(3)]
    for row in rows:
        top_up(row.organization, 2000)
    renew()

    assert run_at_once(lambda: runner.execute(RunKind.COLLECT, at=END), times=3) == []

    assert [wallet_balance(row.organization) for row in rows] == [1200] * 3
    assert PaymentAllocation.objects.filter(payment=None).count() == 3
