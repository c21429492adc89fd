"""Orders: how far each has come, and what staff can do about one that is stuck."""

from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from core import audit
from core.staff import Act, Deed, ReasonForm, Record, RecordInline, Refused
from orders import cancellation, fulfilment
from orders.models import Order, OrderItem, OrderItemAddon, OrderStatus, OrderStatusChange

STUCK = {OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED}


def place(order: Order, act: Act) -> str:
    """Look for room again."""
    is_placed = fulfilment.retry_order(order_id=order.pk, at=act.at)
    audit.record(action="order.retry_placing", entity=order, actor=act.user, new={"is_placed": is_placed})
    if not is_placed:
        raise Refused(_("There is still no room for order %(order)s.") % {"order": order})
    return _("Room is found; order %(order)s is being set up.") % {"order": order}


def refund(order: Order, act: Act) -> str:
    """Cancel what was paid and give the money back."""
    if not cancellation.cancel_paid(order_id=order.pk, reason=act.chosen["reason"], actor=act.user, at=act.at):
        raise Refused(_("The order is past that."))
    return _("Order %(order)s is canceled; its money goes back.") % {"order": order}


def cancel(order: Order, act: Act) -> str:
    """Cancel what was not paid."""
    if not cancellation.cancel_unpaid(order_id=order.pk, reason=act.chosen["reason"], actor=act.user, at=act.at):
        raise Refused(_("The order is past that."))
    return _("Order %(order)s is canceled; its room is given back.") % {"order": order}


DEEDS = (
    Deed(
        name="place",
        label=gettext_lazy("Look for room again"),
        perform=place,
        permissions=("orders.change_order",),
        suits=lambda order: order.status == OrderStatus.WAITING_CAPACITY,
        icon="replay",
        is_bulk=True,
    ),
    Deed(
        name="refund",
        label=gettext_lazy("Cancel and refund"),
        perform=refund,
        permissions=("orders.change_order", "billing.add_refund"),
        form=ReasonForm,
        note=gettext_lazy("Its money goes back in full, its room is given back, and what was built is deleted."),
        suits=lambda order: order.status in STUCK,
        icon="undo",
        is_grave=True,
    ),
    Deed(
        name="cancel",
        label=gettext_lazy("Cancel"),
        perform=cancel,
        permissions=("orders.change_order",),
        form=ReasonForm,
        note=gettext_lazy(
            "Its room is given back. A payment that still arrives is held for staff, or builds the order after all."
        ),
        suits=lambda order: order.status == OrderStatus.PENDING_PAYMENT,
        icon="close",
        is_grave=True,
    ),
)


class ItemInline(RecordInline):
    """What was ordered."""

    model = OrderItem
    names = ("server_name", "plan_price", "location", "subscription", "server", "reservation", "is_stock_taken")
    related = ("plan_price", "location", "subscription", "server", "reservation")


class ChangeInline(RecordInline):
    """Its history."""

    model = OrderStatusChange
    names = ("at", "old", "new", "reason", "actor")
    related = ("actor",)
    is_linked = False


@admin.register(Order)
class OrderAdmin(Record):
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
    search_help_text = gettext_lazy("Number, organization, e-mail, server name or invoice number")
    date_hierarchy = "placed_at"
    inlines = (ItemInline, ChangeInline)
    deeds = DEEDS
    sections = (
        (None, ("number", "organization", "placed_by", "status", "total_minor", "invoice")),
        (gettext_lazy("When"), ("placed_at", "expires_at", "paid_at", "active_at", "refund_due_at")),
        (gettext_lazy("Record"), ("id", "currency", "created_at", "updated_at")),
    )


@admin.register(OrderItem)
class OrderItemAdmin(Record):
    """Items of every order."""

    list_display = ("server_name", "order", "organization", "location", "server", "created_at")
    list_filter = ("location", "is_stock_taken")
    list_select_related = ("order", "organization", "location", "server")
    search_fields = ("server_name", "=order__number", "organization__name")


@admin.register(OrderItemAddon)
class OrderItemAddonAdmin(Record):
    """Add-ons of every order's items."""

    list_display = ("item", "organization", "addon_price")
    list_select_related = ("item", "organization", "addon_price")
    search_fields = ("item__server_name", "organization__name")


@admin.register(OrderStatusChange)
class OrderStatusChangeAdmin(Record):
    """The history of every order."""

    list_display = ("at", "order", "old", "new", "reason", "actor")
    list_filter = ("new",)
    list_select_related = ("order", "actor")
    search_fields = ("=order__number", "reason")
    date_hierarchy = "at"
    ordering = ("-at",)
