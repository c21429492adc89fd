"""One purchase, from the form to the running server, which can be run again after any crash."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.utils import timezone

from billing.models import (
    AccountKind,
    Invoice,
    InvoiceState,
    JournalEntry,
    LedgerAccount,
    Payment,
    PaymentState,
    Posting,
    Subscription,
    SubscriptionStatus,
)
from core import audit, work
from core.models import WorkState
from core.outside import OutsideError
from orders import paying
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from servers import capacity
from servers.models import Allocation, Node, Reservation, ReservationState, Server, ServerStatus
from support.models import Delivery
from tests import shop as shops
from tests.shop import Clock, Shop

PRICE = 800
# Beyond every lease, and well within the time that an order's reservation lasts.
RESTART_AFTER = timedelta(seconds=20)  # within which another worker has taken over
MAX_TRIES = 6

type DeliverWebhooks = Callable[[Sandbox], object]


def no_webhooks(_sandbox: Sandbox) -> None:
    """None arrives."""


@dataclass(frozen=True)
class Purchase:
    """What stays the same however often it is run: the shop, the form's token, and when it began."""

    shop: Shop
    token: UUID
    began_at: datetime

    def run(
        self, *, after: timedelta = timedelta(0), deliver_webhooks: DeliverWebhooks = shops.deliver_webhooks
    ) -> None:
        """Order, open the page, pay, let Stripe's events arrive, and let the workers work until nothing is left.

        `after` is how long after the beginning this run takes place.
        """
        here = self._with_own_connections()
        clock = Clock(here.sandbox, self.began_at + after)
        here.sandbox.set_clock(clock.now.timestamp())
        order = shops.place_order(here, token=self.token, at=clock.now)
        _pay(here.sandbox, order, clock)
        deliver_webhooks(here.sandbox)
        # Events are due when they were received, by the real clock: none may be left for a later round of the workers.
        clock.pass_by(max(timedelta(0), datetime.now(tz=UTC) - clock.now))
        shops.run_until_idle(clock)

    def _with_own_connections(self) -> Shop:
        """A forked process must not speak on its parent's sockets."""
        sandbox = Sandbox(self.shop.sandbox.base_url, self.shop.sandbox.smtp_port)
        return Shop(**{**vars(self.shop), "sandbox": sandbox})


def _pay(sandbox: Sandbox, order: Order, clock: Clock) -> None:
    """The customer pays on Stripe's page, if the order still waits for it; where no page opens, they press again."""
    for _ in range(MAX_TRIES):
        if order.reload().status != OrderStatus.PENDING_PAYMENT:
            return
        paying.reopen_payment(order=order, at=clock.now)
        try:
            sandbox.pay(shops.create_session(order, at=clock.now))
        except OutsideError:
            clock.pass_by()
        else:
            return
    raise AssertionError("no payment page opened")


def assert_one_of_everything(here: Shop) -> None:
    """The end that every story must have: paid once, built once, booked once, notified once."""
    _assert_money(here.sandbox)
    _assert_machine(here)
    assert [order.status for order in Order.objects.all()] == [OrderStatus.ACTIVE]
    assert [row.status for row in Subscription.objects.all()] == [SubscriptionStatus.ACTIVE]
    order = Order.objects.get()
    notified = sorted(str(reference) for reference in Delivery.objects.values_list("reference", flat=True))
    assert notified == [f"order.active:{order.pk}", f"order.paid:{order.pk}"]
    assert dead_work() == {}
    assert audit.verify() == []


def _assert_money(sandbox: Sandbox) -> None:
    stripe = sandbox.stripe_state()
    assert [charge["amount"] for charge in stripe["charge"] if charge["paid"]] == [PRICE]
    pages = sorted(page["id"] for page in stripe["checkout.session"])  # nobody can pay on a page that we do not know
    known = Payment.objects.exclude(session_id=None).values_list("session_id", flat=True)
    assert pages == sorted(str(page) for page in known)
    assert len(stripe["customer"]) == 1
    received = Payment.objects.exclude(state=PaymentState.FAILED)  # a page that never opened
    assert [(row.state, row.received_minor) for row in received] == [(PaymentState.SUCCEEDED, PRICE)]
    assert [row.state for row in Invoice.objects.all()] == [InvoiceState.PAID]
    assert [row.number for row in Invoice.objects.all()] == [first_number()]
    assert balances() == {AccountKind.CLEARING: -PRICE, AccountKind.WALLET: 0, AccountKind.REVENUE: PRICE}
    assert not LedgerAccount.objects.filter(kind=AccountKind.WALLET).exclude(balance_minor=0).exists()
    for entry in JournalEntry.objects.all():
        assert sum(entry.postings.values_list("amount_minor", flat=True)) == 0


def _assert_machine(here: Shop) -> None:
    server = Server.objects.get()
    assert server.status == ServerStatus.RUNNING
    assert [str(row["external_id"]) for row in shops.panel_servers(here.sandbox)] == [str(server.pk)]
    capacity.expire_due(at=timezone.now() + timedelta(days=1))  # what a process reserved that died before the order
    kept = Reservation.objects.exclude(state=ReservationState.RELEASED)
    assert [row.state for row in kept] == [ReservationState.CONFIRMED]
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == here.price.plan.memory_mib
    assert sum(Node.objects.values_list("disk_reserved_mib", flat=True)) == here.price.plan.disk_mib
    assert Allocation.objects.filter(reservation__isnull=False).count() == here.price.plan.ports


def first_number() -> str:
    """The number that the series gives to its first invoice."""
    row = Invoice.objects.select_related("series").get()
    return f"{row.series.prefix}{row.sequence_year}-00001"


def balances() -> Mapping[str, int]:
    """What each kind of account holds, summed over its postings."""
    held: dict[str, int] = {}
    for kind, minor in Posting.objects.values_list("account__kind", "amount_minor"):
        held[kind] = held.get(kind, 0) + minor
    return held


def dead_work() -> Mapping[str, list[str]]:
    """Work that gave up, by table, with its reasons."""
    dead = {
        model._meta.label: list(
            model._default_manager.filter(state=WorkState.DEAD).values_list("last_error", flat=True)
        )
        for model in work.registered()
    }
    return {label: reasons for label, reasons in dead.items() if reasons}
