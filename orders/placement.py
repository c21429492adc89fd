"""Placing an order: capacity is reserved, and order, subscriptions, draft invoice and payment are written."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from accounts import services as accounts
from accounts.models import Organization, User
from billing import gateway_accounts, invoicing, subscriptions, tax
from billing.invoicing import InvoiceLine
from billing.models import BillingMode, GatewayAccount, ItemKind, Subscription
from catalog import services as catalog
from catalog.models import Addon, AddonPrice, Image, Plan, PlanPrice, Promotion, Term
from core import site_settings, tenancy
from core.money import Money, total
from orders import cancellation, coupons, limits, paying, transitions
from orders.affiliates.links import affiliate_for
from orders.models import CouponRedemption, Order, OrderItem, OrderItemAddon, OrderStatus
from orders.prepayment import require_prepaid
from orders.quote import CouponUse, PricedItem, Quote, quotes, server_limits
from orders.waitlist import entries as waitlist
from servers import builds, capacity, locks
from servers import queries as servers
from servers.models import Region, Reservation


@dataclass(frozen=True)
class ItemRequest:
    """One server that the customer ordered: rows that the form has checked to be for sale together.

    An add-on's price is there as often as the customer wants it.
    """

    plan_price: PlanPrice
    region: Region
    server_name: str
    addon_prices: Sequence[AddonPrice] = ()
    variables: dict[str, str] = field(default_factory=dict)
    promotion: Promotion | None = None
    image: Image | None = None
    ssh_keys: Sequence[str] = ()  # whole lines, for a machine

    @property
    def priced(self) -> PricedItem:
        """What its price depends on."""
        return PricedItem(self.plan_price, self.addon_prices, self.promotion)

    @property
    def options(self) -> dict[str, Any]:
        """What the order's item stores of it beside its relations."""
        return {"variables": self.variables} | ({"ssh_keys": list(self.ssh_keys)} if self.ssh_keys else {})

    @property
    def ordered(self) -> tuple[Any, ...]:
        """What makes it the same as what an item of an order was ordered with."""
        addons = sorted(price.pk for price in self.addon_prices)
        promotion_id, image_id = (row.pk if row else None for row in (self.promotion, self.image))
        return (self.plan_price.pk, promotion_id, image_id, self.region.pk, self.server_name, self.options, addons)


class ItemOutOfStock(capacity.InsufficientCapacity):
    """There is no capacity for one item of the order."""

    def __init__(self, item: ItemRequest) -> None:
        super().__init__(f"no capacity for {item.server_name} in {item.region.code}")
        self.item = item


@dataclass(frozen=True)
class OrderRequest:
    """What the customer ordered and how they pay. Every price is in one currency."""

    items: Sequence[ItemRequest]
    is_auto_renewed: bool = False
    uses_credit: bool = False
    coupon_use: CouponUse | None = None
    affiliate_code: str = ""  # of the link that the customer followed last

    @property
    def quotes(self) -> list[Quote]:
        """What each item costs."""
        return quotes([item.priced for item in self.items], self.coupon_use)

    @property
    def credit_used(self) -> Money:
        """What credit may pay of it."""
        return self.due_today if self.uses_credit else Money.zero(self.due_today.currency)

    @property
    def due_today(self) -> Money:
        """What the whole order costs now."""
        return total((quote.due_today for quote in self.quotes), self.items[0].plan_price.currency)

    @property
    def billing_mode(self) -> BillingMode:
        """Who renews what is ordered."""
        return billing_mode_of(self.quotes) if self.is_auto_renewed else BillingMode.SELF

    @property
    def accounts(self) -> Sequence[GatewayAccount]:
        """The gateway accounts by which it can be paid, in their order."""
        currency = self.items[0].plan_price.currency
        return gateway_accounts.accounts_for(currency=currency, is_auto_renewed=self.is_auto_renewed)


def billing_mode_of(quotes: Sequence[Quote]) -> BillingMode:
    """Who renews automatically: the gateway where the operator chose so and it has a price for all of one server.

    Of several servers each has a subscription of its own, and a payment is for one subscription at the gateway.
    A gateway charges its own prices, each once, so what has a discount or a unit price is renewed by us. Hours are
    charged from the wallet.
    """
    by_us = quotes[0].discounts or quotes[0].term == Term.HOURLY
    if len(quotes) > 1 or by_us or any(line.quantity != 1 for line in quotes[0].lines):
        return BillingMode.SELF
    return gateway_accounts.billing_mode_for([line.price for line in quotes[0].lines if line.price])


@dataclass(frozen=True)
class PaymentTerms:
    """Who renews what an order is for, and by which gateway accounts it can be paid."""

    billing_mode: BillingMode
    accounts: Sequence[GatewayAccount]


def place_order(
    *,
    organization: Organization,
    user: User,
    order_request: OrderRequest,
    form_token: UUID,
    ip: str | None = None,
    at: datetime,
) -> Order:
    """Reserve capacity for each item and write the order, its invoice draft, subscriptions and payment, all or nothing.

    The same form token with the same request gives the same order, however often and from how many tabs it comes. With
    another request it gives a new order, and the earlier one is canceled if it is unpaid. Wants no transaction to be
    open. Raises ItemOutOfStock, catalog.SoldOut, coupons.CouponRefused, limits.TooManyUnpaidOrders, PrepaymentNeeded,
    accounts.CurrencyFixed or gateway_accounts.NoGateway, and then nothing is reserved.
    """
    # The accounts' keys are decrypted for it, so it is read before anything is locked.
    terms = PaymentTerms(order_request.billing_mode, order_request.accounts)
    network = limits.network_of(ip)
    # A doubled submit waits here for the first, and then finds its order.
    with locks.waiting_lock(f"order:{organization.pk}:{form_token}"):
        while True:
            with tenancy.as_worker(organization):
                earlier = Order.objects.filter(organization=organization, form_token=form_token).first()
                if earlier is None:
                    require_unpaid_below_limit(organization, user, network, order_request)  # or nothing is reserved
                    require_prepaid(order_request.quotes, organization, spent=order_request.credit_used, at=at)
                    break
                if earlier.status != OrderStatus.CANCELED and is_order_of(earlier, order_request, at):
                    return earlier
                # In a transaction of its own: what is released is on another node than what is reserved next.
                reason = "ordered something else instead"
                cancellation.cancel_unpaid(order=earlier, reason=reason, actor=user, at=at)
                Order.objects.filter(pk=earlier.pk).update(form_token=None)
        reservations = reserve_items(organization, order_request, at)
        try:
            with tenancy.as_worker(organization):
                return write_order(organization, user, order_request, terms, reservations, form_token, network, at)
        except Exception:
            release_reserved(reservations, at)
            raise


def is_order_of(order: Order, order_request: OrderRequest, at: datetime) -> bool:
    """Whether the order is for exactly this request, at its prices; while it is unpaid, with the tax of now too."""
    if order.status == OrderStatus.PENDING_PAYMENT:
        organization = Organization.objects.get(pk=order.organization_id)
        if not tax.is_taxed_as_now(order.invoice, organization, at):
            return False
    ordered = []
    items = order.items.select_related("subscription").prefetch_related("addons")
    for item in items:
        addons = sorted(row.addon_price_id for row in item.addons.all() for _unit in range(row.quantity))
        chosen = (item.region_id, item.server_name, item.options, addons)
        ordered.append((item.plan_price_id, item.promotion_id, item.image_id, *chosen))
    coupon_id = CouponRedemption.objects.filter(order=order).values_list("coupon_id", flat=True).first()
    is_same_coupon = coupon_id == (order_request.coupon_use.coupon.pk if order_request.coupon_use else None)
    is_same_payment = (
        is_same_coupon
        and order.uses_credit == order_request.uses_credit
        and all(item.subscription.is_auto_renewed == order_request.is_auto_renewed for item in items)
    )
    requested = [item.ordered for item in order_request.items]
    return is_same_payment and sorted(ordered, key=repr) == sorted(requested, key=repr)


def require_unpaid_below_limit(
    organization: Organization, user: User, network: str | None, order_request: OrderRequest
) -> None:
    """See `limits.require_unpaid_below_limit`; of who paid before, what costs nothing is never unpaid.

    Hours are prepaid by the wallet.
    """
    count = len(order_request.items)
    if not order_request.due_today:
        count = sum(item.plan_price.term != Term.HOURLY for item in order_request.items)
    if order_request.due_today or (count and limits.is_new(organization)):
        limits.require_unpaid_below_limit(organization=organization, user=user, network=network, count=count)


def reserve_items(organization: Organization, order_request: OrderRequest, at: datetime) -> list[Reservation]:
    """The capacity of every item, in the items' order; none is left where one fails.

    Each is reserved in a transaction of its own, since several in one would lock several nodes. What a process that
    dies here leaves reserved expires. What the waitlist reserved for the organization is taken; else nothing is of a
    plan that somebody waits for.
    """
    expires_at = at + timedelta(minutes=site_settings.get("orders.reservation_minutes")) + paying.GRACE
    reservations: list[Reservation] = []
    waited_for, offered = waitlist.taken_up([item.plan_price.plan for item in order_request.items], organization)
    try:
        for item in order_request.items:
            wanted: dict[str, Any] = {
                "organization": organization,
                "plan": item.plan_price.plan,
                "image": item.image,
                "addons": [price.addon for price in item.addon_prices],
                "region": item.region,
                "expires_at": expires_at,
            }
            reservation, place = None, (item.plan_price.plan_id, item.region.pk)
            if place in offered:
                reservation = waitlist.reserved_for(**wanted, others=reservations)
            if reservation is None and place in waited_for:
                raise ItemOutOfStock(item)
            try:
                reservations.append(reservation or reserve_item(**wanted, at=at))
            except capacity.InsufficientCapacity as error:
                raise ItemOutOfStock(item) from error
    except Exception:
        release_reserved(reservations, at)
        raise
    return reservations


def reserve_item(
    *,
    organization: Organization,
    plan: Plan,
    image: Image | None,
    addons: Sequence[Addon],
    region: Region,
    at: datetime,
    expires_at: datetime,
) -> Reservation:
    """The capacity of one server. Raises InsufficientCapacity."""
    return capacity.reserve(
        organization=organization,
        blueprints=servers.blueprints_of_plan(plan, image),
        region=region,
        size=server_limits(plan, addons).size,
        addons={addon.kind for addon in addons},
        at=at,
        expires_at=expires_at,
    )


def release_reserved(reservations: Sequence[Reservation], at: datetime) -> None:
    """Return the capacity of items whose order cannot be placed; what the waitlist reserved stays its customer's."""
    for reservation in waitlist.not_of_waitlist(reservations) if reservations else ():
        with tenancy.acts_on(reservation):
            capacity.release(reservation_ids=[reservation.pk], at=at)


def write_order(
    organization: Organization,
    user: User,
    order_request: OrderRequest,
    terms: PaymentTerms,
    reservations: Sequence[Reservation],
    form_token: UUID,
    network: str | None,
    at: datetime,
) -> Order:
    """The new order with the subscription of each item, draft invoice and payment."""
    require_unpaid_below_limit(organization, user, network, order_request)
    require_prepaid(order_request.quotes, organization, spent=order_request.credit_used, at=at)
    currency = order_request.items[0].plan_price.currency
    accounts.fix_currency(organization=organization, currency=currency, at=at)
    opened = open_subscriptions(organization, order_request, terms, at)
    sold = zip(order_request.quotes, opened, strict=True)
    lines = [line for quote, subscription in sold for line in first_lines(quote, subscription)]
    invoice = invoicing.draft_invoice(
        organization=organization, currency=currency, lines=lines, client_address=network, at=at
    )
    order = Order.objects.create(
        organization=organization,
        placed_by=user,
        placed_from=network,
        form_token=form_token,
        currency=currency,
        total_minor=invoice.total_minor,
        uses_credit=order_request.uses_credit,
        referred_by=affiliate_for(code=order_request.affiliate_code, organization=organization, user=user),
        invoice=invoice,
        placed_at=at,
        expires_at=at + timedelta(minutes=site_settings.get("orders.reservation_minutes")),
    )
    order.refresh_from_db(fields=["number"])
    add_items(order, order_request, opened, reservations, at)
    transitions.record_changes([order], old={order.pk: ""}, actor=user, at=at)
    if invoice.total:
        paying.open_payment(order, terms.accounts, at)
    else:
        invoicing.pay_from_wallet(invoice=order.invoice, at=at)  # of a free order it takes nothing
    return order


def open_subscriptions(
    organization: Organization, order_request: OrderRequest, terms: PaymentTerms, at: datetime
) -> list[Subscription]:
    """The new subscription of each item, in the items' order."""
    return [
        subscriptions.open_subscription(
            organization=organization,
            plan_price=item.plan_price,
            addon_prices=item.addon_prices,
            discounts=quote.discounts,
            billing_mode=terms.billing_mode,
            is_auto_renewed=order_request.is_auto_renewed,
            label=item.server_name,
            at=at,
        )
        for item, quote in zip(order_request.items, order_request.quotes, strict=True)
    ]


def first_lines(quote: Quote, subscription: Subscription) -> list[InvoiceLine]:
    """The quote as lines of an invoice, each for its item of the subscription; one-time fees belong to none."""
    items = list(subscription.items.order_by("position"))
    billed = {row.plan_price_id or row.addon_price_id: row for row in items}
    lines = [
        replace(line, subscription=subscription, subscription_item=billed[line.price.pk] if line.price else None)
        for line in quote.lines_due
    ]
    discounts = [row for row in items if row.kind == ItemKind.DISCOUNT]
    return lines + [
        InvoiceLine(
            ItemKind.DISCOUNT,
            discount.description,
            -discount.amount,
            subscription=subscription,
            subscription_item=row,
        )
        for discount, row in zip(quote.discounts, discounts, strict=True)
    ]


def add_items(
    order: Order,
    order_request: OrderRequest,
    opened: Sequence[Subscription],
    reservations: Sequence[Reservation],
    at: datetime,
) -> None:
    """Take what the waitlist reserved, the coupon and a piece of each plan's stock, and write the order's items."""
    requests = order_request.items
    try:
        stock_taken = waitlist.take(reservations)
    except waitlist.NoLongerReserved as error:
        ordered = zip(requests, reservations, strict=True)
        raise ItemOutOfStock(next(item for item, held in ordered if held.pk == error.reservation_id)) from error
    if order_request.coupon_use is not None:
        priced = [item.priced for item in requests]
        coupons.redeem(order=order, coupon_use=order_request.coupon_use, items=priced, at=at)
    # Two orders that want the same two plans take their stock in the same order.
    by_plan = sorted(zip(requests, opened, reservations, strict=True), key=lambda row: row[0].plan_price.plan_id)
    for request, subscription, reservation in by_plan:
        held = stock_taken.get(reservation.pk)
        item = OrderItem.objects.create(
            order=order,
            organization_id=order.organization_id,
            plan_price=request.plan_price,
            promotion=request.promotion,
            region=request.region,
            server_name=request.server_name,
            options=request.options,
            image=request.image,
            build=builds.sold_build(reservation.blueprint, request.image, request.ssh_keys),
            is_stock_taken=catalog.take_stock(plan_id=request.plan_price.plan_id) if held is None else held,
            reservation=reservation,
            subscription=subscription,
        )
        OrderItemAddon.objects.bulk_create(
            OrderItemAddon(item=item, organization_id=order.organization_id, addon_price=price, quantity=units)
            for price, units in Counter(request.addon_prices).items()
        )
