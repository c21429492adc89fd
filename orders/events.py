"""News of orders, sent inside the transaction that makes it true."""

from django.dispatch import Signal

order_paid = Signal()  # order, at
order_active = Signal()  # order, at
order_waiting = Signal()  # order, at
order_failed = Signal()  # order, reason, at
order_canceled = Signal()  # order, reason, at
