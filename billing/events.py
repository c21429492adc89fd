"""billing's signals, sent inside the transaction that makes them true."""

from django.dispatch import Signal

invoice_paid = Signal()  # invoice, at
payment_expired = Signal()  # payment, at
funds_withdrawn = Signal()  # invoice, reason, at: a bank took, or a refund returned, the money that paid the invoice
funds_reinstated = Signal()  # invoice, at: the money is here again
subscription_recovered = Signal()  # subscription, at
subscription_ended = Signal()  # subscription, reason, at
