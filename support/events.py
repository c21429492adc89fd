"""The events that customers and staff are told about. A new one is a declaration here and its template."""

from functools import partial

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from billing.events import (
    StopReason,
    charges_declined,
    charges_need_owner,
    invoices_paid,
    methods_expiring,
    price_moves_announced,
    price_moves_canceled,
    refunds_failed,
    reminders_sent,
    renewals_stopped,
    subscriptions_canceled,
    subscriptions_pausing,
    subscriptions_resumed,
    wallets_low,
    wallets_topped_up,
)
from billing.models import Invoice, Payment, PaymentMethod, PriceMove, Refund, Reminder, Subscription
from orders.changes.models import PlanChange, PlanChangeStatus
from orders.events import (
    CREDIT_OWED,
    DISPUTE_LOST,
    DISPUTED,
    PERIOD_DISPUTED,
    PERIOD_WITHDRAWN,
    orders_credited,
    orders_status_changed,
    plan_changes_moved,
    servers_held,
    transferred_servers_held,
    transfers_offered,
    waitlist_offered,
)
from orders.models import Order, OrderStatus, ServerTransfer, WaitlistEntry
from servers.events import disks_filling
from servers.models import Server, ServerHold
from support.notifications import Event, register, register_mail

# Orders that were never paid are canceled without a message.
PAID_ORDERS = (
    Order.objects.filter(paid_at__isnull=False)
    .select_related("placed_by")
    .prefetch_related("items__server", "invoice__payments")
)
# What a receipt lists.
RECEIPT = ("invoice__items", "invoice__taxes")

for status, subject in {
    OrderStatus.PAID: _("Order {row.number}: we received your payment"),
    OrderStatus.ACTIVE: _("Order {row.number}: your server is running"),
    OrderStatus.WAITING_CAPACITY: _("Order {row.number}: waiting for capacity"),
    OrderStatus.FAILED: _("Order {row.number}: your server is not ready yet"),
    OrderStatus.CANCELED: _("Order {row.number} is canceled"),
}.items():
    register(
        Event(
            name=f"order.{status.value}",
            signal=orders_status_changed,
            ids="order_ids",
            when={"status": status},
            rows=PAID_ORDERS.prefetch_related(*RECEIPT) if status == OrderStatus.PAID else PAID_ORDERS,
            has_page=status == OrderStatus.PAID,
            recipient=lambda order: order.placed_by,
            subject=subject,
            page=lambda order: reverse("orders:progress", kwargs={"pk": order.pk}),
        )
    )

# An order's own message is its receipt.
register(
    Event(
        name="invoice.paid",
        signal=invoices_paid,
        ids="invoice_ids",
        rows=Invoice.objects.filter(order=None, total_minor__gt=0)
        .select_related("organization__owner")
        .prefetch_related("items", "taxes"),
        recipient=lambda invoice: invoice.organization.owner,
        subject=_("Your receipt over {row.total}"),
        page=lambda invoice: reverse("billing:invoice", kwargs={"pk": invoice.pk}),
        has_page=True,
    )
)

register(
    Event(
        name="order.credited",
        signal=orders_credited,
        ids="order_ids",
        rows=Order.objects.select_related("placed_by").prefetch_related("invoice__payments"),
        recipient=lambda order: order.placed_by,
        subject=_("Order {row.number}: your payment is in your wallet now"),
        page=lambda order: reverse("orders:progress", kwargs={"pk": order.pk}),
    )
)

register(
    Event(
        name="refund.failed",
        signal=refunds_failed,
        ids="refund_ids",
        rows=Refund.objects.select_related("organization__owner"),
        recipient=lambda row: row.organization.owner,
        subject=_("Your refund did not arrive"),
        page=lambda _refund: reverse("billing:invoices"),
    )
)

register(
    Event(
        name="card.expiring",
        signal=methods_expiring,
        ids="method_ids",
        rows=PaymentMethod.objects.select_related("organization__owner"),
        recipient=lambda row: row.organization.owner,
        subject=_("Your {row.label} expires soon"),
        page=lambda _method: reverse("billing:payment_methods"),
        key=lambda row, at: f"{row.pk}:{at:%Y-%m}",
    )
)

CHARGES = Payment.objects.select_related(
    "organization__owner", "invoice__order", "invoice__plan_change", "payment_method"
)


def page_of_charge(payment: Payment, *, order: str, change: str, invoice: str, top_up: str) -> str:
    """The page with the name that is given for what the payment is for."""
    for name, relation in ((order, "order"), (change, "plan_change")):
        if (sold := getattr(payment.invoice, relation, None)) is not None:
            return reverse(name, kwargs={"pk": sold.pk})
    if payment.invoice_id is not None:
        return reverse(invoice, kwargs={"pk": payment.invoice_id})
    return reverse(top_up, kwargs={"pk": payment.pk} if top_up == CONFIRM_TOP_UP else {})


CONFIRM_TOP_UP = "wallet:confirm_top_up"

register(
    Event(
        name="charge.needs_owner",
        signal=charges_need_owner,
        ids="payment_ids",
        rows=CHARGES,
        recipient=lambda row: row.organization.owner,
        subject=_("Please confirm your payment of {row.amount}"),
        page=partial(
            page_of_charge,
            order="orders:confirm_charge",
            change="orders:confirm_plan_change_charge",
            invoice="billing:confirm_charge",
            top_up=CONFIRM_TOP_UP,
        ),
    )
)

register(
    Event(
        name="charge.declined",
        signal=charges_declined,
        ids="payment_ids",
        rows=CHARGES,
        recipient=lambda row: row.organization.owner,
        subject=_("We could not charge {row.payment_method.label}"),
        page=partial(
            page_of_charge,
            order="orders:progress",
            change="orders:plan_change",
            invoice="billing:invoice",
            top_up="wallet:wallet",
        ),
    )
)

register(
    Event(
        name="wallet.topped_up",
        signal=wallets_topped_up,
        ids="payment_ids",
        rows=CHARGES,
        recipient=lambda row: row.organization.owner,
        subject=_("Your wallet was topped up with {row.amount}"),
        page=lambda _payment: reverse("wallet:wallet"),
    )
)

for name, is_overdue, subject in (
    ("invoice.due_soon", False, _("Invoice {row.invoice.number} is due soon")),
    ("invoice.overdue", True, _("Invoice {row.invoice.number} is not paid yet")),
):
    register(
        Event(
            name=name,
            signal=reminders_sent,
            ids="reminder_ids",
            when={"is_overdue": is_overdue},
            rows=Reminder.objects.select_related("organization__owner", "invoice"),
            recipient=lambda reminder: reminder.organization.owner,
            subject=subject,
            page=lambda reminder: reverse("billing:invoice", kwargs={"pk": reminder.invoice_id}),
        )
    )

for name, is_empty, subject in (
    ("wallet.low", False, _("Your wallet is low")),
    ("wallet.empty", True, _("Your wallet does not pay for all your servers: some are suspended")),
):
    register(
        Event(
            name=name,
            signal=wallets_low,
            ids="reminder_ids",
            when={"is_empty": is_empty},
            rows=Reminder.objects.select_related("organization__owner"),
            recipient=lambda reminder: reminder.organization.owner,
            subject=subject,
            page=lambda _reminder: reverse("wallet:wallet"),
        )
    )

# One message for all servers that were held together; the first of them is its row.
for reason, event_name, page in (
    (DISPUTED, "disputed", "wallet:wallet"),
    (DISPUTE_LOST, "dispute_lost", "wallet:wallet"),
    (CREDIT_OWED, "credit_owed", "wallet:wallet"),
    (PERIOD_DISPUTED, "period_disputed", "servers:list"),
    (PERIOD_WITHDRAWN, "period_withdrawn", "servers:list"),
):
    register(
        Event(
            name=f"hold.{event_name}",
            signal=servers_held,
            ids="hold_ids",
            when={"reason": reason},
            rows=ServerHold.objects.select_related("organization__owner"),
            recipient=lambda hold: hold.organization.owner,
            key=lambda hold, at: f"{hold.organization_id}:{at:%Y%m%d%H%M%S}",
            subject=_("Servers of yours are suspended because of a disputed payment"),
            page=lambda _hold, page=page: reverse(page),  # type: ignore[misc]
        )
    )

# Who paid the present period of a server that was transferred.
register(
    Event(
        name="transfer.held",
        signal=transferred_servers_held,
        ids="transfer_ids",
        rows=ServerTransfer.objects.select_related("organization__owner"),
        recipient=lambda transfer: transfer.organization.owner,
        key=lambda transfer, at: f"{transfer.pk}:{at:%Y%m%d%H%M%S}",
        subject=_("The server {row.server_name}, which you transferred, is suspended"),
        page=lambda _transfer: reverse("wallet:wallet"),
    )
)

register(
    Event(
        name="server.disk_filling",
        signal=disks_filling,
        ids="server_ids",
        rows=Server.objects.select_related("organization__owner"),
        recipient=lambda server: server.organization.owner,
        key=lambda server, at: f"{server.pk}:{at:%Y%m%d%H%M}",
        subject=_("The disk of {row.name} is nearly full"),
        page=lambda server: reverse("servers:detail", kwargs={"pk": server.pk}),
    )
)

# Told to the owner, who did not ask for it.
for reason, subject in {
    StopReason.REFUNDED: _("Your subscription is not renewed any more"),
    StopReason.DISPUTE_LOST: _("Your subscription is not renewed any more"),
    StopReason.DUPLICATE: _("You paid twice: we ended the second subscription"),
}.items():
    register(
        Event(
            name=f"renewal.{reason}",
            signal=renewals_stopped,
            ids="subscription_ids",
            when={"reason": reason},
            rows=Subscription.objects.select_related("organization__owner"),
            recipient=lambda row: row.organization.owner,
            subject=subject,
            page=lambda _subscription: reverse("billing:invoices"),
        )
    )

for name, signal, subject in (
    ("price.changes", price_moves_announced, _("Your prices change")),
    ("price.stays", price_moves_canceled, _("Your prices stay as they are")),
):
    register(
        Event(
            name=name,
            signal=signal,
            ids="move_ids",
            rows=PriceMove.objects.select_related("organization__owner", "subscription", "item"),
            recipient=lambda move: move.organization.owner,
            subject=subject,
            page=lambda _move: reverse("subscriptions:list"),
        )
    )

for change_status, subject in {
    PlanChangeStatus.SCHEDULED: _("Your plan changes with your next period"),
    PlanChangeStatus.DONE: _("Your plan is changed"),
    PlanChangeStatus.FAILED: _("We could not change your plan"),
}.items():
    register(
        Event(
            name=f"plan_change.{change_status.value}",
            signal=plan_changes_moved,
            ids="change_ids",
            when={"status": change_status},
            rows=PlanChange.objects.select_related(
                "requested_by", "item__server", "invoice", "plan_price__plan__product"
            ),
            recipient=lambda change: change.requested_by,
            subject=subject,
            page=lambda change: reverse("orders:plan_change", kwargs={"pk": change.pk}),
        )
    )

register(
    Event(
        name="transfer.offered",
        signal=transfers_offered,
        ids="transfer_ids",
        rows=ServerTransfer.objects.select_related("recipient"),
        recipient=lambda row: row.recipient,
        subject=_("{row.offerer_name} offers you the server {row.server_name}"),
        page=lambda row: reverse("orders:transfer", kwargs={"pk": row.pk}),
    )
)

register(
    Event(
        name="waitlist.offered",
        signal=waitlist_offered,
        ids="entry_ids",
        rows=WaitlistEntry.objects.select_related("joined_by", "plan__product", "region"),
        recipient=lambda entry: entry.joined_by,
        key=lambda entry, at: f"{entry.pk}:{at:%Y%m%d%H%M%S}",
        subject=_("{row.plan} is reserved for you"),
        page=lambda entry: (
            reverse("storefront:configure", kwargs={"slug": entry.plan.product.slug})
            + f"?plan={entry.plan.code}&region={entry.region.code}"
        ),
    )
)

# Told to the owner, whoever of the organization canceled.
register(
    Event(
        name="subscription.canceled",
        signal=subscriptions_canceled,
        ids="subscription_ids",
        rows=Subscription.objects.select_related("organization__owner", "order_item__server"),
        recipient=lambda row: row.organization.owner,
        key=lambda row, _at: f"{row.pk}:{row.canceled_at:%Y%m%d%H%M%S}",
        subject=_("Your subscription is canceled"),
        page=lambda _subscription: reverse("subscriptions:list"),
    )
)

# Told to the owner, whoever of the organization paused it, and again when the pause is over.
for name, signal, subject in (
    ("subscription.pausing", subscriptions_pausing, _("Your subscription pauses")),
    ("subscription.resumed", subscriptions_resumed, _("The pause of your subscription is over")),
):
    register(
        Event(
            name=name,
            signal=signal,
            ids="subscription_ids",
            rows=Subscription.objects.select_related("organization__owner", "order_item__server"),
            recipient=lambda row: row.organization.owner,
            key=lambda row, at: f"{row.pk}:{at:%Y%m%d%H%M%S}",
            subject=subject,
            page=lambda _subscription: reverse("subscriptions:list"),
        )
    )

# allauth composes these (templates/account/email) and sends them by e-mail alone: they are about the way to sign in.
for mail in (
    "email_confirmation",
    "email_confirmation_signup",
    "password_reset_key",
    "account_already_exists",
    "unknown_account",
):
    register_mail(f"account.{mail}")
