"""News of money, sent inside the transaction that makes it true."""

from django.dispatch import Signal

invoice_paid = Signal()  # invoice, at
payment_failed = Signal()  # payment, at
payment_expired = Signal()  # payment, at
payment_under_review = Signal()  # payment, at
payment_refunded = Signal()  # payment, refund, at
payment_disputed = Signal()  # payment, at
dispute_closed = Signal()  # payment, is_won, at
subscription_past_due = Signal()  # subscription, at
subscription_recovered = Signal()  # subscription, at
subscription_ended = Signal()  # subscription, reason, at
