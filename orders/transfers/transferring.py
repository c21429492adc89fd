"""A server goes to another organization: offered by its owner, taken by a user for an organization of theirs.

What is paid stays paid: the new subscription begins with the rest of the period, over an invoice of zero, and from the
next one on the new organization is billed, at the prices that the server was sold at. Discounts, wallet, saved cards
and what an affiliate earns stay where they are. The old subscription ends.

The order of the locks: the old order with its invoice, its subscription, the new organization's row while its currency
is chosen, the server, then its reservations. The new rows need none.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import services as accounts
from accounts.models import Organization, User
from billing import invoicing, item_changes, subscriptions
from billing.invoicing import Charge, InvoiceLine
from billing.models import ItemKind, PaymentAllocation, Period, PriceMove, Subscription, SubscriptionItem
from catalog.models import Term
from core import audit, site_settings, tenancy
from core.money import Money, Rate
from orders import events, limits, transitions
from orders.changes import locking, quoting
from orders.changes.models import OPEN, PlanChange
from orders.models import Order, OrderItem, OrderItemAddon, WaitlistEntry
from orders.transfers.models import ServerTransfer, TransferStatus
from servers import handover
from servers import services as servers

OPEN_FOR = timedelta(days=7)
OFFERS_A_DAY = 5  # of one server: each is a mail to somebody


class TransferRefused(Exception):
    """The server cannot be transferred now; the text says why."""


def refusal(item: OrderItem, at: datetime) -> str:
    """Why the server cannot go to anybody now; empty where it can."""
    subscription = item.subscription
    if subscription.term == Term.HOURLY:
        return _("A server that is billed by the hour cannot be transferred. Change its billing cycle first.")
    if reason := quoting.refusal(item, at):
        return reason
    if PlanChange.objects.filter(subscription=subscription, status__in=OPEN).exists():
        return _("A change of this server's plan is under way. Cancel it, or wait until it is made.")
    if PriceMove.objects.filter(subscription=subscription, applied_at=None, canceled_at=None).exists():
        return _("A new price has been announced for this server. It can be transferred when that is in force.")
    if item.server is not None and handover.is_anything_under_way(item.server):
        return _("What was asked of the server has yet to be done. Wait until it is.")
    if days := site_settings.get("orders.transfer_after_days"):
        since = at - timedelta(days=days)
        # Credit may be of a top-up of yesterday: it counts from when it was spent.
        paid = PaymentAllocation.objects.filter(Q(payment__settled_at__gt=since) | Q(payment=None, at__gt=since))
        if paid.filter(invoice__items__subscription=subscription, invoice__items__period_end__gt=at).exists():
            return ngettext(
                "A server can be transferred when its payment is %(days)s day old.",
                "A server can be transferred when its payment is %(days)s days old.",
                days,
            ) % {"days": days}
    if subscription.cancels_at_period_end:
        return _("The subscription is canceled. Undo that first.")
    paid_until = subscription.current_period_end
    later = (line.period_end for line in item_changes.billed_from(subscription, at) if line.period_end)
    if paid_until is None or any(period_end > paid_until for period_end in later):
        return _("The next period of this server is paid already. It can be transferred when that has begun.")
    return ""


def sold_items(subscription: Subscription, at: datetime) -> list[SubscriptionItem]:
    """The plan and the add-ons that it consists of now, at the prices that they were sold at; no discounts."""
    rows = subscription.items.filter(valid_from__lte=at, valid_until=None).exclude(kind=ItemKind.DISCOUNT)
    return list(rows.select_related("plan_price__plan__product", "addon_price__addon").order_by("position"))


def terms_of(subscription: Subscription, at: datetime) -> dict[str, Any]:
    """What an offer says of the server, as columns: who accepts it accepts this and nothing else."""
    sold = sold_items(subscription, at)
    each = [Rate(row.unit_minor, subscription.currency).times(row.quantity).minor for row in sold]
    return {
        "description": ", ".join(row.description for row in sold)[:255],
        "recurring_minor": sum(each),
        "currency": subscription.currency,
        "term": subscription.term,
        "paid_until": subscription.current_period_end or at,
    }


def offer(*, item: OrderItem, recipient: User, actor: User, at: datetime) -> ServerTransfer:
    """Offer the server to the user, for a week. An earlier offer of it ends. Raises TransferRefused."""
    with tenancy.as_worker(item):
        subscriptions.lock_subscription(item.subscription_id)
        item = locking.item_to_change(item.pk)
        if reason := refusal(item, at):
            raise TransferRefused(reason)
        for earlier in ServerTransfer.objects.filter(item=item, status=TransferStatus.OPEN).select_for_update():
            end(earlier, TransferStatus.CANCELED, at)
        if ServerTransfer.objects.filter(item=item, offered_at__gt=at - timedelta(days=1)).count() >= OFFERS_A_DAY:
            raise TransferRefused(_("This server was offered often enough today. Offer it again tomorrow."))
        transfer = ServerTransfer.objects.create(
            organization_id=item.organization_id,
            item=item,
            recipient=recipient,
            recipient_email=recipient.email,
            offered_by=actor,
            offerer_name=str(item.subscription.organization),
            server_name=item.server.name if item.server else item.server_name,
            **terms_of(item.subscription, at),
            offered_at=at,
            expires_at=at + OPEN_FOR,
        )
        audit.record(action="server.offer", entity=transfer, actor=actor, new={"to": str(recipient.pk)}, at=at)
        events.transfers_offered.send(ServerTransfer, transfer_ids=[transfer.pk], at=at)
    return transfer


def cancel(*, transfer: ServerTransfer, actor: User, at: datetime) -> bool:
    """Take the offer back; False where it is over."""
    with tenancy.as_worker(transfer):
        return _end_open(transfer, TransferStatus.CANCELED, actor, at)


def decline(*, transfer: ServerTransfer, actor: User, at: datetime) -> bool:
    """The recipient does not want it; False where it is over."""
    with tenancy.as_worker(actor):
        return _end_open(transfer, TransferStatus.DECLINED, actor, at)


def _end_open(transfer: ServerTransfer, status: TransferStatus, actor: User, at: datetime) -> bool:
    row = ServerTransfer.objects.select_for_update(no_key=True, of=("self",)).get(pk=transfer.pk)
    if row.status != TransferStatus.OPEN:
        return False
    end(row, status, at)
    audit.record(action=f"server.transfer_{status.value}", entity=row, actor=actor, at=at)
    return True


def end(transfer: ServerTransfer, status: TransferStatus, at: datetime, **fields: Any) -> None:
    """The locked offer is over."""
    transfer.transition_to(status)
    transfer.ended_at = at
    for name, value in fields.items():
        setattr(transfer, name, value)
    transfer.save(update_fields=["status", "ended_at", *fields])


def accept(*, transfer: ServerTransfer, organization: Organization, actor: User, at: datetime) -> Order:
    """The organization has the server from now on; its order. Raises TransferRefused, with nothing changed.

    Who never paid may receive as many as they may order for nothing: not one account after the other filled this way.
    """
    with tenancy.as_worker(organization):
        if limits.is_new(organization):
            try:
                limits.require_unpaid_below_limit(organization=organization, user=actor, network=None)
            except limits.TooManyUnpaidOrders as error:
                raise TransferRefused(str(error)) from error
        transitions.lock_order(OrderItem.objects.values_list("order_id", flat=True).get(pk=transfer.item_id))
        subscription_id = OrderItem.objects.values_list("subscription_id", flat=True).get(pk=transfer.item_id)
        subscription = subscriptions.lock_subscription(subscription_id)
        row = ServerTransfer.objects.select_for_update(no_key=True, of=("self",)).get(pk=transfer.pk)
        if row.status != TransferStatus.OPEN or row.expires_at <= at or row.recipient_id != actor.pk:
            raise TransferRefused(_("This offer is over. Ask for another one."))
        if row.organization_id == organization.pk:
            raise TransferRefused(_("This organization has the server already."))
        item = locking.item_to_change(row.item_id)
        offered = {name: getattr(row, name) for name in terms_of(subscription, at)}
        if refusal(item, at) or item.server_id is None or offered != terms_of(subscription, at):
            raise TransferRefused(_("The server cannot be transferred at the moment. Ask whoever offered it."))
        try:
            accounts.fix_currency(organization=organization, currency=subscription.currency, at=at)
        except accounts.CurrencyFixed as error:
            text = _("%(name)s pays in %(currency)s, and the server is billed in another currency.")
            raise TransferRefused(text % {"name": organization, "currency": error.currency}) from error
        [server] = servers.lock_servers([item.server_id])
        order = _hand_over(item, organization, actor, at)
        end(row, TransferStatus.ACCEPTED, at, new_organization=organization, server=server)
        audit.record(action="server.transfer", entity=row, actor=actor, new={"server": str(server.pk)}, at=at)
        audit.record(action="server.receive", entity=order, actor=actor, new={"server": str(server.pk)}, at=at)
    return order


def _hand_over(item: OrderItem, organization: Organization, actor: User, at: datetime) -> Order:
    """Everything that changes hands, and the new organization's delivered order; all of it is locked."""
    server, old = item.server, item.subscription
    if server is None or old.current_period_end is None:
        raise ValueError(f"{item.pk} has no server that is paid")
    sold = sold_items(old, at)
    # What the old organization keeps names nothing any more that it no longer has.
    OrderItem.objects.filter(pk=item.pk).update(server=None, reservation=None, is_stock_taken=False)
    WaitlistEntry.objects.filter(reservation=server.reservation_id).update(reservation=None)
    PlanChange.objects.filter(reservation__extends=server.reservation_id).update(reservation=None)
    handover.hand_over(server=server, organization=organization, owner=actor, at=at)
    subscriptions.end_subscription(subscription=old, reason="transferred", at=at)
    subscription = subscriptions.open_subscription(
        organization=organization,
        plan_price=next(row.plan_price for row in sold if row.plan_price),
        addon_prices=[row.addon_price for row in sold if row.addon_price for _unit in range(row.quantity)],
        label=server.name,
        at=at,
    )
    order = _write_order(item, subscription, actor, at)
    # Until then it is paid already; later periods begin on the same day of a month as before.
    charge = Charge(invoicing.lock_invoice(order.invoice_id), first_period=Period(at, old.current_period_end))
    invoicing.pay_charges([charge], at=at)
    Subscription.objects.filter(pk=subscription.pk).update(anchor_day=old.anchor_day)
    return order


def _write_order(item: OrderItem, subscription: Subscription, actor: User, at: datetime) -> Order:
    """The delivered order over nothing of the new subscription, with an item as the old one was."""
    organization, currency, rows = subscription.organization, subscription.currency, list(subscription.items.all())
    owned: dict[str, Any] = {"organization": organization}
    lines = [
        InvoiceLine(
            kind=ItemKind(row.kind),
            description=_("%(what)s, paid until it was transferred") % {"what": row.description},
            unit=Money.zero(currency),
            subscription=subscription,
            subscription_item=row,
        )
        for row in sorted(rows, key=lambda row: row.position)
    ]
    invoice = invoicing.draft_invoice(**owned, currency=currency, lines=lines, at=at)
    order = transitions.write_delivered(invoice=invoice, placed_by=actor, at=at)
    kept = {name: getattr(item, name) for name in ("region_id", "image_id", "is_stock_taken")}
    # Whose keys were put on it may no longer sign in when it is built anew.
    kept |= {"options": {**item.options, "ssh_keys": []}, "build": handover.without_keys(item.build)}
    new = OrderItem.objects.create(
        **owned,
        **kept,
        order=order,
        plan_price=next(row.plan_price for row in rows if row.plan_price),
        server=item.server,
        server_name=subscription.label,
        reservation=item.server.reservation if item.server else None,
        subscription=subscription,
    )
    OrderItemAddon.objects.bulk_create(
        OrderItemAddon(**owned, item=new, addon_price=row.addon_price, quantity=row.quantity)
        for row in rows
        if row.addon_price
    )
    transitions.record_changes([order], old={order.pk: ""}, reason="transferred", actor=actor, at=at)
    return order
