"""The admin of orders."""

from orders.admin.changes import PlanChangeAdmin
from orders.admin.orders import OrderAdmin, OrderItemAddonAdmin, OrderItemAdmin, OrderStatusChangeAdmin

__all__ = ["OrderAdmin", "OrderItemAddonAdmin", "OrderItemAdmin", "OrderStatusChangeAdmin", "PlanChangeAdmin"]
