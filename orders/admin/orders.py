"""Orders, with the staff actions for those that are stuck."""

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import audit
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, ReadOnlyInline, ReasonForm, StaffAction
from orders import cancellation, fulfilment, queries
from orders.models import CouponRedemption, Order, OrderItem, OrderItemAddon, OrderStatus, OrderStatusChange
from servers import services
from servers.admin.capacity import placement_of
from servers.models import Server, ServerStatus

STUCK = {OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED}


def retry_placement(order: Order, context: ActionContext) -> str:
    """Try again to reserve capacity."""
    if not queries.undisputed_orders().filter(pk=order.pk).exists():
        raise ActionError(
            _("The payment of order %(order)s is disputed. It waits until the dispute is won.") % {"order": order}
        )
    audit.record(action="order.retry_placement", entity=order, actor=context.user, at=context.at)
    fulfilment.retry_after_commit([order.pk], at=context.at)
    return _("Capacity for order %(order)s is looked for now; its status says what came of it.") % {"order": order}


def retry_servers(order: Order, context: ActionContext) -> str:
    """Try again to set up the order's failed servers."""
    failed = Server.objects.filter(order_item__order=order, status=ServerStatus.FAILED).order_by("pk")
    retried = [services.retry(server_id=server.pk, actor=context.user, at=context.at) for server in failed]
    if not any(retried):
        raise ActionError(_("No server of order %(order)s has failed, or a retry runs already.") % {"order": order})
    return _("A worker tries to set up order %(order)s again now.") % {"order": order}


def refund(order: Order, context: ActionContext) -> str:
    """Cancel a paid order and refund it."""
    if not cancellation.cancel_paid(
        order_id=order.pk, reason=context.data["reason"], actor=context.user, at=context.at
    ):
        raise ActionError(_("The order is no longer in a state for this."))
    return _("Order %(order)s is canceled and being refunded.") % {"order": order}


def cancel(order: Order, context: ActionContext) -> str:
    """Cancel an unpaid order."""
    if not cancellation.cancel_unpaid(order=order, reason=context.data["reason"], actor=context.user, at=context.at):
        raise ActionError(_("A payment for the order is on its way, or the order is no longer unpaid."))
    return _("Order %(order)s is canceled and its capacity is released.") % {"order": order}


STAFF_ACTIONS = (
    StaffAction(
        name="retry_placement",
        label=gettext_lazy("Retry placement"),
        run=retry_placement,
        permissions=("orders.change_order",),
        description=gettext_lazy("Looks for free capacity again and sets the servers up where there is some."),
        is_available=lambda order: order.status == OrderStatus.WAITING_CAPACITY,
        icon="replay",
        is_bulk=True,
    ),
    StaffAction(
        name="retry_servers",
        label=gettext_lazy("Retry"),
        run=retry_servers,
        permissions=("orders.change_order", "servers.change_server"),
        description=gettext_lazy("A worker goes on where setting up failed. It never makes a second server."),
        is_available=lambda order: order.status == OrderStatus.FAILED,
        icon="replay",
        is_bulk=True,
    ),
    StaffAction(
        name="refund",
        label=gettext_lazy("Cancel and refund"),
        run=refund,
        permissions=("orders.change_order", "billing.add_refund"),
        form=ReasonForm,
        description=gettext_lazy("Refunds the order in full, releases its capacity and deletes what was built."),
        is_available=lambda order: order.status in STUCK,
        icon="undo",
        is_destructive=True,
    ),
    StaffAction(
        name="cancel",
        label=gettext_lazy("Cancel order"),
        run=cancel,
        permissions=("orders.change_order",),
        form=ReasonForm,
        description=gettext_lazy(
            "Releases its capacity. A payment that still arrives is refunded. Not while a bank processes the payment."
        ),
        is_available=lambda order: order.status == OrderStatus.PENDING_PAYMENT,
        icon="close",
        is_destructive=True,
    ),
)


class ItemInline(ReadOnlyInline):
    """What was ordered."""

    model = OrderItem
    columns = (
        *("server_name", "plan", "plan_price", "region", "subscription", "server", "reservation", "placement"),
        "is_stock_taken",
    )
    related = (
        "plan_price__plan__product",
        "region",
        "subscription",
        "server",
        "reservation__node",
        "reservation__blueprint",
    )

    @admin.display(description=gettext_lazy("plan"))
    def plan(self, item: OrderItem) -> str:
        """What was bought, as the customer read it."""
        return f"{item.plan_price.plan.product} {item.plan_price.plan.name}"

    @admin.display(description=gettext_lazy("placement"))
    def placement(self, item: OrderItem) -> SafeString:
        """The blueprint and node of its reservation, and the candidates that were refused."""
        return placement_of(item.reservation)


class ChangeInline(ReadOnlyInline):
    """Its history."""

    model = OrderStatusChange
    columns = ("at", "old", "new", "reason", "actor")
    related = ("actor",)
    has_link = False


@admin.register(Order)
class OrderAdmin(ReadOnlyAdmin):
    """A purchase."""

    list_display = (
        "number",
        "organization",
        "status",
        "total_minor",
        "placed_at",
        "paid_at",
        "active_at",
        "refund_due_at",
    )
    list_filter = ("status", "currency", "placed_at")
    list_select_related = ("organization",)
    search_fields = ("=number", "organization__name", "placed_by__email", "items__server_name", "invoice__number")
    search_help_text = gettext_lazy("Number, organization, email, server name or invoice number")
    date_hierarchy = "placed_at"
    inlines = (ItemInline, ChangeInline)
    staff_actions = STAFF_ACTIONS
    sections = (
        (None, ("number", "organization", "placed_by", "status", "total_minor", "uses_credit", "invoice")),
        (gettext_lazy("Dates"), ("placed_at", "expires_at", "paid_at", "active_at", "refund_due_at", "canceled_by")),
        (gettext_lazy("Details"), ("id", "currency", "placed_from", "created_at", "updated_at")),
    )


@admin.register(OrderItem)
class OrderItemAdmin(ReadOnlyAdmin):
    """Items of every order."""

    list_display = ("server_name", "order", "organization", "region", "server", "created_at")
    list_filter = ("region", "is_stock_taken")
    list_select_related = ("order", "organization", "region", "server")
    search_fields = ("server_name", "=order__number", "organization__name")


@admin.register(OrderItemAddon)
class OrderItemAddonAdmin(ReadOnlyAdmin):
    """Add-ons of every order's items."""

    list_display = ("item", "organization", "addon_price", "quantity")
    list_select_related = ("item", "organization", "addon_price")
    search_fields = ("item__server_name", "organization__name")


@admin.register(CouponRedemption)
class CouponRedemptionAdmin(ReadOnlyAdmin):
    """Which orders used which coupon."""

    list_display = ("coupon", "order", "organization", "redeemed_at", "given_back_at")
    list_select_related = ("coupon", "order", "organization")
    list_filter = (("given_back_at", admin.EmptyFieldListFilter),)
    search_fields = ("coupon__code", "=order__number", "organization__name")


@admin.register(OrderStatusChange)
class OrderStatusChangeAdmin(ReadOnlyAdmin):
    """The history of every order."""

    list_display = ("at", "order", "old", "new", "reason", "actor")
    list_filter = ("new",)
    list_select_related = ("order", "actor")
    search_fields = ("=order__number", "reason")
    date_hierarchy = "at"
    ordering = ("-at",)
