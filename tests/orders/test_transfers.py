"""A server goes to another organization: with all its rows, billed there from the next period on, and once."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db import models
from django.test import Client
from django.urls import reverse

from accounts.models import AccessLevel, Membership, Organization, Role, User
from billing import cancellations, ledger, ledger_audit, payments
from billing.cancellations import NotPossible
from billing.gateways.base import DisputeStatus
from billing.models import (
    AccountKind,
    CancellationReason,
    EntryKind,
    InvoiceItem,
    Payment,
    RunKind,
    Subscription,
    SubscriptionStatus,
)
from billing.runs import runner
from core import site_settings, tenancy
from core.models import AuditEntry
from core.money import Money
from orders import events, holds
from orders.changes import making
from orders.changes.quoting import ChangeRefused, Selection
from orders.models import Order, OrderItem, OrderStatus, PlanChange, ServerTransfer
from orders.transfers import transferring
from orders.transfers.models import TransferStatus
from orders.transfers.transferring import TransferRefused
from servers import services
from servers.handover import rows_of_servers
from servers.models import HoldKind, ProvisioningTask, Reservation, Server, ServerAccess, ServerHold, ServerStatus
from support.models import Delivery
from tests.billing.sales import refund
from tests.builders import make_organization, make_user
from tests.orders.sold import APRIL, MAY, MIDDLE, Sold, make_sold, pay
from tests.orders.test_paid_time import dispute
from tests.servers.test_capacity import assert_counters_agree
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db
JUNE = MAY.replace(month=6)
SOON = timedelta(minutes=1)


@dataclass
class Given:
    """A server that its owner offers to Bob, who has an organization."""

    sold: Sold
    bob: User
    theirs: Organization

    def offer(self, at: Any = MIDDLE) -> ServerTransfer:
        """The owner offers it."""
        item = OrderItem.objects.get(pk=self.sold.item.pk)
        return transferring.offer(item=item, recipient=self.bob, actor=self.sold.user, at=at)

    def accept(self, transfer: ServerTransfer, at: Any = MIDDLE) -> Order:
        """Bob takes it."""
        return transferring.accept(transfer=transfer, organization=self.theirs, actor=self.bob, at=at)


@pytest.fixture
def given(request: pytest.FixtureRequest) -> Given:
    """The server of the small plan, paid for April."""
    is_threaded = request.node.get_closest_marker("django_db").kwargs.get("transaction")
    request.getfixturevalue("transactional_db" if is_threaded else "db")
    bob = make_user("bob@example.test")
    return Given(make_sold(), bob, make_organization(bob))


def owners(server: Server) -> dict[str, set[Any]]:
    """The organizations that rows of the server name, by table."""
    found = {
        model.__name__: set(model._default_manager.filter(server=server).values_list("organization_id", flat=True))
        for model in rows_of_servers()
    }
    return {name: organizations for name, organizations in found.items() if organizations}


def bill(at: Any) -> None:
    """All runs that are due."""
    for kind in (RunKind.RENEW, RunKind.COLLECT):
        runner.execute(kind, at=at)


def billed() -> dict[Any, int]:
    """What each organization was billed for May."""
    lines = InvoiceItem.objects.filter(period_start__gte=MAY - SOON, period_end__lte=JUNE + SOON, is_void=False)
    rows = lines.values("organization").annotate(total=models.Sum("amount_minor"))
    return {row["organization"]: row["total"] for row in rows}


def test_the_server_and_all_its_rows_are_theirs_and_they_pay_from_the_next_period_on(given: Given) -> None:
    sold = given.sold
    services.give_access(
        server=sold.server, user_id=member_of(sold.organization).pk, level=AccessLevel.VIEW, actor=sold.user, at=MIDDLE
    )
    order = given.accept(given.offer())

    server = Server.objects.get()
    assert (server.organization, server.owner) == (given.theirs, given.bob)
    assert {"ProvisioningStep", "ProvisioningTask"} <= set(owners(server))
    assert set.union(*owners(server).values()) == {given.theirs.pk}
    assert Reservation.objects.get().organization == given.theirs
    assert not ServerAccess.objects.exists()
    assert ProvisioningTask.objects.get().state == "queued"  # the panel's account is changed by convergence
    old, new = sold.subscription, Subscription.objects.get(organization=given.theirs)
    assert (old.status, new.status) == (SubscriptionStatus.ENDED, SubscriptionStatus.ACTIVE)
    assert (new.current_period_end, new.anchor_day, new.amount_minor) == (MAY, old.anchor_day, 800)
    assert (order.status, order.items.get().server) == (OrderStatus.ACTIVE, server)
    assert given.theirs.reload().currency == "USD"
    bill(MAY - timedelta(days=1))
    bill(JUNE - timedelta(days=20))
    assert billed() == {given.theirs.pk: 800}
    assert set(
        AuditEntry.objects.filter(action__in=["server.transfer", "server.receive"]).values_list(
            "organization_id", flat=True
        )
    ) == {sold.organization.pk, given.theirs.pk}
    assert not server.reload().has_holds()
    assert ledger_audit.broken_rules() == {}
    assert_counters_agree()


def member_of(organization: Organization) -> User:
    """A plain member."""
    user = make_user()
    Membership.objects.create(organization=organization, user=user, role=Role.MEMBER)
    return user


def test_a_plan_with_add_ons_that_was_changed_before_goes_as_it_is(given: Given) -> None:
    given.sold.give_credit()
    given.sold.change_to(given.sold.offer.large, given.sold.offer.addon, at=APRIL + timedelta(days=3))

    order = given.accept(given.offer())

    new = Subscription.objects.get(organization=given.theirs)
    item = order.items.get()
    assert new.amount_minor == 2400
    assert (item.plan_price, item.addons.get().addon_price) == (given.sold.offer.large, given.sold.offer.addon)
    assert set(Reservation.objects.values_list("organization", flat=True)) == {given.theirs.pk}


def test_a_larger_plan_costs_whoever_has_it_now_the_rest_of_a_month_and_not_a_whole_one(given: Given) -> None:
    given.accept(given.offer())
    item = OrderItem.objects.get(server=Server.objects.get())
    selection = Selection(given.sold.offer.large)

    later = MIDDLE + timedelta(days=1)
    change = making.request_change(item=item, selection=selection, actor=given.bob, at=later)

    confirmed = making.confirm(change=change, actor=given.bob, at=later)
    assert confirmed.invoice
    assert confirmed.invoice.total_minor == round(2000 * 14 / 30)


def make_hourly(given: Given) -> None:
    Subscription.objects.update(term="hourly")


def hold(given: Given) -> None:
    services.hold_servers(server_ids=[given.sold.server.pk], kind=HoldKind.ABUSE, reason="x", actor=None, at=MIDDLE)


def cancel(given: Given) -> None:
    cancellations.cancel(
        subscription=given.sold.subscription, reason=CancellationReason.UNUSED, actor=given.sold.user, at=MIDDLE
    )


def invoice_next(given: Given) -> None:
    bill(MAY - timedelta(days=1))


def change_plan(given: Given) -> None:
    given.sold.confirm(given.sold.request(given.sold.offer.large))


def pay_in_euro(given: Given) -> None:
    Organization.objects.filter(pk=given.theirs.pk).update(currency="EUR", currency_fixed_at=APRIL)


def ask_for_older_payments(_given: Given) -> None:
    site_settings.set_value("orders.transfer_after_days", 16)  # it is fifteen days old


@pytest.mark.parametrize("act", [make_hourly, hold, cancel, invoice_next, change_plan, ask_for_older_payments])
def test_what_is_not_settled_is_neither_offered_nor_taken(given: Given, act: Callable[[Given], None]) -> None:
    transfer = given.offer()
    act(given)

    for refused in (lambda: given.accept(transfer), given.offer):
        with pytest.raises(TransferRefused):
            refused()

    assert Server.objects.get().organization == given.sold.organization
    assert not Order.objects.filter(organization=given.theirs).exists()


def test_credit_that_was_spent_yesterday_is_no_old_payment(given: Given) -> None:
    site_settings.set_value("orders.transfer_after_days", 10)
    given.offer()  # what the card paid is older
    given.sold.give_credit()
    given.sold.change_to(given.sold.offer.large, at=MIDDLE - timedelta(days=1))

    with pytest.raises(TransferRefused, match="10 days old"):
        given.offer()

    given.offer(at=MIDDLE + timedelta(days=9))


def test_an_offer_is_taken_once_by_whom_it_was_made_to_while_it_is_open(given: Given) -> None:
    first, transfer = given.offer(), given.offer()
    assert first.reload().status == TransferStatus.CANCELED
    eve = make_user()
    with pytest.raises(TransferRefused):
        transferring.accept(transfer=transfer, organization=make_organization(eve), actor=eve, at=MIDDLE)
    with pytest.raises(TransferRefused):
        transferring.accept(transfer=transfer, organization=given.sold.organization, actor=given.bob, at=MIDDLE)
    with pytest.raises(TransferRefused, match="over"):
        given.accept(transfer, at=transfer.expires_at)
    pay_in_euro(given)
    with pytest.raises(TransferRefused, match="EUR"):
        given.accept(transfer)
    assert Server.objects.get().organization == given.sold.organization
    assert transferring.cancel(transfer=transfer, actor=given.sold.user, at=MIDDLE)
    assert not transferring.decline(transfer=transfer, actor=given.bob, at=MIDDLE)
    with pytest.raises(TransferRefused, match="over"):
        given.accept(transfer)


@pytest.mark.django_db(transaction=True)
def test_taking_it_twice_at_once_is_one_transfer(given: Given) -> None:
    transfer = given.offer()

    errors = run_at_once(partial(given.accept, transfer), times=3)

    assert [type(error) for error in errors] == [TransferRefused] * 2
    assert Order.objects.filter(organization=given.theirs).count() == 1
    assert ledger_audit.broken_rules() == {}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("act", "refused"),
    [(invoice_next, ()), (cancel, (NotPossible,)), (change_plan, (ChangeRefused,))],
    ids=["renewal", "cancellation", "plan change"],
)
def test_beside_another_act_one_organization_has_the_server_and_pays(
    given: Given, act: Callable[[Given], None], refused: tuple[type[Exception], ...]
) -> None:
    at = MAY - timedelta(days=1) if act is invoice_next else MIDDLE
    transfer = given.offer(at=at - timedelta(days=1))
    acts: Iterator[Callable[[], object]] = iter([partial(given.accept, transfer, at), partial(act, given)])

    errors = run_at_once(lambda: next(acts)(), times=2)

    assert all(isinstance(error, (TransferRefused, *refused)) for error in errors), errors
    server = Server.objects.get()
    assert set.union(*owners(server).values()) == {server.organization_id}
    going_on = Subscription.objects.exclude(status=SubscriptionStatus.ENDED)
    assert set(going_on.values_list("organization", flat=True)) == {server.organization_id}
    bill(MAY - timedelta(hours=1))
    assert set(billed()) <= {server.organization_id}
    assert not PlanChange.objects.exclude(organization=server.organization_id).filter(
        status__in=["pending_payment", "scheduled"]
    )
    assert ledger_audit.broken_rules() == {}


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def test_the_pages_of_who_offers_and_who_takes(given: Given) -> None:
    owner, bob, eve = signed_in(given.sold.user), signed_in(given.bob), signed_in(make_user())
    page = reverse("orders:offer_server", args=[given.sold.server.pk])
    Subscription.objects.filter(pk=given.sold.subscription.pk).update(current_period_end=MAY.replace(year=2099))
    for wrong, text in (("nobody@example.test", "There is no account"), ("x", "valid email")):
        refused = owner.post(page, {"email": wrong})
        assert (refused.status_code, text in refused.content.decode()) == (422, True)
    assert owner.post(page, {"email": given.bob.email.upper()}).status_code == 302
    transfer = ServerTransfer.objects.get()
    assert given.bob.email in owner.get(page).content.decode()
    theirs, answer = (reverse(f"orders:{name}", args=[transfer.pk]) for name in ("transfer", "answer_transfer"))
    shown = bob.get(theirs).content.decode()
    assert "lantern" in shown
    assert "$8.00/month" in shown
    assert [eve.get(theirs).status_code, eve.post(answer).status_code, eve.get(page).status_code] == [404, 404, 404]
    assert bob.post(reverse("orders:cancel_transfer", args=[transfer.pk])).status_code == 404
    assert bob.post(answer, {"organization": given.sold.organization.pk}).status_code == 422
    assert bob.post(answer, {"organization": given.theirs.pk}).status_code == 302
    assert Server.objects.get().organization == given.theirs
    assert owner.get(reverse("servers:detail", args=[given.sold.item.server_id])).status_code == 404


def test_row_level_security_shows_an_offer_to_both_sides_only(given: Given) -> None:
    transfer = given.offer()
    eve = make_user()
    seen = {}
    for user in (given.sold.user, given.bob, eve):
        organization = make_organization(user)
        with tenancy.as_role(role=tenancy.CUSTOMER, user_id=user.pk, organizations=[organization.pk]):
            seen[user.pk] = ServerTransfer.objects.filter(pk=transfer.pk).exists()
    assert list(seen.values()) == [True, True, False]


def hand_on(given: Given) -> Organization:
    """Bob transfers it to Carol; her organization."""
    carol = make_user("carol@example.test")
    theirs, item = make_organization(carol), OrderItem.objects.get(server=Server.objects.get())
    transfer = transferring.offer(item=item, recipient=carol, actor=given.bob, at=MIDDLE)
    transferring.accept(transfer=transfer, organization=theirs, actor=carol, at=MIDDLE)
    return theirs


def reasons_held() -> list[str]:
    return list(ServerHold.objects.filter(lifted_at=None).values_list("reason", flat=True))


def test_a_dispute_of_what_bought_the_period_suspends_the_server_wherever_it_went(given: Given) -> None:
    payment = Payment.objects.get(organization=given.sold.organization)
    given.accept(given.offer())
    theirs = hand_on(given)

    dispute(payment, DisputeStatus.OPEN)

    assert reasons_held() == [events.PERIOD_DISPUTED]
    told = Delivery.objects.filter(event__in=["hold.period_disputed", "transfer.held"])
    assert set(told.values_list("event", "organization")) == {
        ("hold.period_disputed", theirs.pk),
        ("transfer.held", given.sold.organization.pk),
    }
    server = Server.objects.get()
    Server.objects.update(status=ServerStatus.SUSPENDED)
    page = signed_in(server.owner).get(reverse("servers:detail", args=[server.pk])).content.decode()
    assert "the payment that bought this period is disputed by its bank" in page
    assert holds.review(at=MIDDLE) == 0
    dispute(payment, DisputeStatus.WON)
    assert reasons_held() == []
    assert ledger_audit.broken_rules() == {}


@pytest.mark.parametrize("is_refund", [True, False], ids=["refund", "lost dispute"])
def test_what_went_back_of_a_period_suspends_its_server_until_one_begins_that_is_paid(
    given: Given, *, is_refund: bool
) -> None:
    payment = Payment.objects.get(organization=given.sold.organization)
    given.accept(given.offer())

    if is_refund:
        refund(payment, 800, at=MIDDLE)
    else:
        dispute(payment, DisputeStatus.LOST)

    assert reasons_held() == [events.PERIOD_WITHDRAWN if is_refund else events.PERIOD_DISPUTED]
    bill(MAY - timedelta(days=1))
    new = Subscription.objects.get(organization=given.theirs)
    assert new.status == SubscriptionStatus.ACTIVE
    invoice = InvoiceItem.objects.get(subscription=new, period_start=MAY).invoice
    payments.open_payment(invoice=invoice, gateway="stripe", expires_at=MAY, at=MIDDLE)
    pay(invoice, MAY - timedelta(hours=1))
    assert reasons_held() != []
    holds.review(at=MAY)
    assert reasons_held() == []
    assert ledger_audit.broken_rules() == {}


def test_credit_that_is_owed_had_bought_nothing_for_whoever_has_the_server_now(given: Given) -> None:
    sold = given.sold
    sold.give_credit()
    sold.change_to(sold.offer.large, at=APRIL + timedelta(days=3))
    given.accept(given.offer())
    disputes = ledger.account_of(AccountKind.DISPUTES, "USD")
    taken = ledger.withdraw(sold.organization, disputes, Money(2_000_000, "USD"))
    named: Any = {"organization": sold.organization, "at": MIDDLE}
    ledger.post_entry(kind=EntryKind.DISPUTE_LOST, reference="lost", lines=taken, **named)

    assert holds.review(at=MIDDLE) == 1

    assert reasons_held() == [events.PERIOD_WITHDRAWN]
    ledger.reverse_entry(kind=EntryKind.DISPUTE_APPEALED, reference="appealed", of="lost", at=MIDDLE)
    assert holds.review(at=MIDDLE) == 1
    assert reasons_held() == []


def test_who_never_paid_receives_no_more_than_they_could_order_for_nothing(given: Given) -> None:
    site_settings.set_value("orders.max_unpaid_of_new_customer", 1)
    given.accept(given.offer())
    other = make_sold(given.sold.offer)
    transfer = transferring.offer(
        item=OrderItem.objects.get(pk=other.item.pk), recipient=given.bob, actor=other.user, at=MIDDLE
    )

    with pytest.raises(TransferRefused, match="until you have paid"):
        given.accept(transfer)
    site_settings.set_value("orders.max_unpaid_of_new_customer", 2)
    given.accept(transfer)
    assert Server.objects.filter(organization=given.theirs).count() == 2
