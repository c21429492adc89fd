"""Signals of orders, sent inside the transaction that changes them."""

from django.dispatch import Signal

orders_status_changed = Signal()  # order_ids, status, reason, at
orders_credited = Signal()  # order_ids, at: money came too late to pay them, and is credit now
servers_held = Signal()  # hold_ids, reason (of TOLD_REASONS), at: servers are suspended because of a dispute
# transfer_ids, at: servers that they gave away are suspended, because what had paid their present period went back
transferred_servers_held = Signal()
plan_changes_moved = Signal()  # change_ids, status (scheduled, done or failed), at
transfers_offered = Signal()  # transfer_ids, at
waitlist_offered = Signal()  # entry_ids, at: what they waited for is reserved for them

# Why servers are held that their customer is told of; of unpaid invoices and empty wallets reminders tell.
DISPUTED, DISPUTE_LOST, CREDIT_OWED = ("payment disputed", "dispute lost", "credit is owed")
# Of servers that were transferred, whose present period the organization before had paid.
PERIOD_DISPUTED = "the payment that bought this period is disputed by its bank"
PERIOD_WITHDRAWN = "the payment that bought this period went back"
TOLD_REASONS = (DISPUTED, DISPUTE_LOST, CREDIT_OWED, PERIOD_DISPUTED, PERIOD_WITHDRAWN)
