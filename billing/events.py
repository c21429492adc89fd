"""billing's signals, sent inside the transaction that makes them true, once their rows are written.

They carry lists of ids, so that a run over a million rows costs each receiver a few queries per batch and none per row.
"""

from enum import StrEnum

from django.dispatch import Signal

invoices_paid = Signal()  # invoice_ids, at
payments_credited = Signal()  # payment_ids, at: they could not pay their invoice, and are credit now
charges_declined = Signal()  # payment_ids, at: a saved method was refused, or not confirmed in time
charges_need_owner = Signal()  # payment_ids, at: the bank wants the owner of a saved method to confirm
methods_expiring = Signal()  # method_ids, at: default cards that end with this month or the next
wallets_topped_up = Signal()  # payment_ids, at: a saved method was charged because a wallet was low
payments_expired = Signal()  # payment_ids, at
payments_extended = Signal()  # payment_ids, at: their sessions stay open longer
funds_withdrawn = Signal()  # invoice_ids, reason, at: a bank took, or a refund returned, the money that paid them
funds_reinstated = Signal()  # invoice_ids, at: the money is here again
subscriptions_recovered = Signal()  # subscription_ids, at: what was due, or a later period, is paid
subscriptions_canceled = Signal()  # subscription_ids, at: the customer canceled; they end with their period
subscriptions_pausing = Signal()  # subscription_ids, at: the customer wants a pause after the paid period
subscriptions_paused = Signal()  # subscription_ids, at: their paid period is over, and nothing pays for what follows
subscriptions_resumed = Signal()  # subscription_ids, at: the pause is over, and the next period begins once it is paid
subscriptions_ended = Signal()  # subscription_ids, reason, at
subscriptions_suspended = Signal()  # subscription_ids, reason, at: not paid in time
subscriptions_expired = Signal()  # subscription_ids, at: over for so long that what they paid for is deleted
wallets_low = Signal()  # reminder_ids, is_empty, at: hours are left for, or none, so that servers are suspended
reminders_sent = Signal()  # reminder_ids, is_overdue, at
# One move of each organization stands for all that it is told of at that instant (`PriceMove.told_together`).
price_moves_announced = Signal()  # move_ids, at: what an item costs changes with the period that the row names
price_moves_canceled = Signal()  # move_ids, at: its customer was told, and it stays as it was
refunds_failed = Signal()  # refund_ids, at: the customer was promised the money and has not got it
renewals_stopped = Signal()  # subscription_ids, reason (a StopReason), at: the gateway was asked to charge no more


class StopReason(StrEnum):
    """Why we stop a gateway from charging although the customer canceled nothing."""

    REFUNDED = "refunded"
    DISPUTE_LOST = "dispute_lost"
    DUPLICATE = "duplicate"  # another subscription at the gateway goes on charging for the same sale
