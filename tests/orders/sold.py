"""A server that runs and is paid for, whose plan a test changes; without any panel or gateway behind it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from accounts.models import Organization, User
from billing import ledger, payments
from billing.gateways.base import GatewayPayment
from billing.models import AccountKind, EntryKind, Invoice, Payment, Subscription
from catalog.models import AddonKind, AddonPrice, PlanPrice, Term
from core.ids import uuid7
from core.money import Money
from orders import placement
from orders.changes import making
from orders.changes.models import PlanChange
from orders.changes.quoting import Selection
from orders.models import Order, OrderItem, OrderStatus
from servers import events
from servers.models import Location, Node, Provider, Server, ServerStatus
from tests.builders import make_addon, make_addon_price, make_organization, make_plan, make_price, make_product
from tests.servers.builders import make_blueprint, make_location, make_node, make_provider, region_of

APRIL = datetime(2026, 4, 1, tzinfo=UTC)
MAY = datetime(2026, 5, 1, tzinfo=UTC)
MIDDLE = datetime(2026, 4, 16, tzinfo=UTC)  # half of April's thirty days


@dataclass(frozen=True)
class Offer:
    """A product with two plans and an add-on, and the node where it is built."""

    small: PlanPrice
    large: PlanPrice
    addon: AddonPrice
    node: Node
    location: Location


@dataclass(frozen=True)
class Sold:
    """A customer's running server of the small plan, bought on the first of April for a month."""

    offer: Offer
    item: OrderItem
    user: User
    organization: Organization

    @property
    def subscription(self) -> Subscription:
        """As it is now."""
        return Subscription.objects.get(pk=self.item.subscription_id)

    @property
    def server(self) -> Server:
        """As it is now."""
        return Server.objects.get(order_item=self.item)

    def request(self, price: PlanPrice | None = None, *addons: AddonPrice, at: datetime = MIDDLE) -> PlanChange:
        """A quote for another plan with these add-ons."""
        selection = Selection(price or self.offer.small, addons)
        return making.request_change(item=self.item, selection=selection, actor=self.user, at=at)

    def confirm(self, change: PlanChange, *, at: datetime = MIDDLE) -> PlanChange:
        """Confirm it."""
        return making.confirm(change=change, actor=self.user, at=at)

    def change_to(self, price: PlanPrice, *addons: AddonPrice, at: datetime) -> PlanChange:
        """Quote, confirm, pay with credit, and let the provider give the size."""
        change = self.confirm(self.request(price, *addons, at=at), at=at)
        if change.invoice_id:
            assert making.pay_with_credit(change=change, at=at)
            resized(self)
        return change.reload()

    def give_credit(self, minor: int = 1_000_000) -> None:
        """Put money into the wallet."""
        give_credit(self.organization, Money(minor, self.offer.small.currency))


def make_offer(
    *, small: int = 800, large: int = 2000, currency: str = "USD", memory_mib: int = 16384, **fields: Any
) -> Offer:
    """Plans of one and two GB, an add-on of one GB, and a node."""
    provider: Provider = make_provider()
    location = make_location(provider)
    node = make_node(location, memory_mib=memory_mib)
    product = make_product(name="Minecraft")
    price = {"currency": currency, "term": fields.pop("term", Term.MONTHLY), "at": APRIL}
    one = make_plan(product, name="1 GB", databases=1, backups=1)
    two = make_plan(product, name="2 GB", memory_mib=2048, disk_mib=10240, databases=1, backups=1, **fields)
    make_blueprint(provider, one)
    addon = make_addon(product, kind=AddonKind.MEMORY)
    return Offer(
        small=make_price(one, minor=small, **price),
        large=make_price(two, minor=large, **price),
        addon=make_addon_price(addon, minor=small // 2, **price),
        node=node,
        location=location,
    )


def make_sold(offer: Offer | None = None, *, at: datetime = APRIL, **fields: Any) -> Sold:
    """Buy the small plan, pay it and let its server run."""
    offer = offer or make_offer(**fields)
    organization = make_organization()
    user = organization.owner
    assert user is not None
    item = placement.ItemRequest(plan_price=offer.small, region=region_of(offer.location), server_name="lantern")
    order = placement.place_order(
        organization=organization,
        user=user,
        order_request=placement.OrderRequest([item]),
        form_token=uuid7(),
        at=at,
    )
    pay(order.invoice, at)
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.ACTIVE, active_at=at)
    sold = OrderItem.objects.get(order=order)
    Server.objects.filter(order_item=sold).update(status=ServerStatus.RUNNING, running_at=at)
    return Sold(offer, sold, user, organization)


def pay(invoice: Invoice, at: datetime, **changes: Any) -> Payment:
    """Let the money arrive that the invoice's payment asked for."""
    payment = Payment.objects.get(invoice=invoice)
    expected: dict[str, Any] = {
        "transaction_id": f"pi_{payment.pk}",
        "amount": payment.amount,
        "is_live": False,
        "payment_id": payment.pk,
        "organization_id": payment.organization_id,
        "method_label": "Visa ending 4242",
    }
    arrived = GatewayPayment(**(expected | changes))
    return payments.settle(payment_id=payment.pk, gateway_payment=arrived, at=at)


def resized(sold: Sold) -> None:
    """The provider has the size that was asked for."""

    events.servers_resized.send(Server, server_ids=[sold.item.server_id], at=MIDDLE)
    Server.objects.filter(order_item=sold.item).update(resize_asked_at=None)


def give_credit(organization: Organization, amount: Money) -> None:
    """Put money into a wallet, from nowhere in particular."""
    wallet = ledger.wallet_of(organization, amount.currency)
    source = ledger.account_of(AccountKind.CLEARING, amount.currency, "stripe")
    ledger.post_entry(
        kind=EntryKind.PAYMENT,
        reference=f"test:{uuid7()}",
        lines=ledger.transfer(source, wallet, amount),
        organization=organization,
        at=APRIL,
    )
