"""orders' tables."""

from orders.models.orders import Order, OrderItem, OrderItemAddon, OrderStatus, OrderStatusChange

__all__ = ["Order", "OrderItem", "OrderItemAddon", "OrderStatus", "OrderStatusChange"]
