"""Signals of orders, sent inside the transaction that changes them."""

from django.dispatch import Signal

orders_status_changed = Signal()  # order_ids, status, reason, at
orders_credited = Signal()  # order_ids, at: money came too late to pay them, and is credit now
servers_held = Signal()  # hold_ids, reason (of TOLD_REASONS), at: servers are suspended because of a dispute
plan_changes_moved = Signal()  # change_ids, status (scheduled, done or failed), at
transfers_offered = Signal()  # transfer_ids, at
waitlist_offered = Signal()  # entry_ids, at: what they waited for is reserved for them

# Why servers are held that their customer is told of; of unpaid invoices and empty wallets reminders tell.
DISPUTED, DISPUTE_LOST, CREDIT_OWED = TOLD_REASONS = ("payment disputed", "dispute lost", "credit is owed")
