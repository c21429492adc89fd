"""billing's signals, sent inside the transaction that makes them true."""

from django.dispatch import Signal

invoice_paid = Signal()  # invoice, at
payment_expired = Signal()  # payment, at
payment_refunded = Signal()  # payment, refund, at
payment_disputed = Signal()  # payment, at
dispute_closed = Signal()  # payment, is_won, at
subscription_recovered = Signal()  # subscription, at
subscription_ended = Signal()  # subscription, reason, at
