"""Signals of orders, sent inside the transaction that changes them."""

from django.dispatch import Signal

orders_status_changed = Signal()  # order_ids, status, reason, at
