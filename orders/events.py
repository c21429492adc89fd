"""Signals of orders, sent inside the transaction that changes them."""

from django.dispatch import Signal

order_status_changed = Signal()  # order, reason, at
