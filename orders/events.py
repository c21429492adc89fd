"""Signals of orders, sent inside the transaction that changes them."""

from django.dispatch import Signal

orders_status_changed = Signal()  # order_ids, status, reason, at
orders_credited = Signal()  # order_ids, at: money came too late to pay them, and is credit now
plan_changes_moved = Signal()  # change_ids, status (scheduled, done or failed), at
