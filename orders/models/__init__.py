"""orders' tables."""

from orders.models.orders import IllegalMove, Order, OrderItem, OrderItemAddon, OrderStatus, OrderStatusChange

__all__ = ["IllegalMove", "Order", "OrderItem", "OrderItemAddon", "OrderStatus", "OrderStatusChange"]
