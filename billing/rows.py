"""Locking a payment's rows, always in one order: invoice, payment, then whatever follows from them.

Everyone who locks both takes the invoice first, upper apps included (their own rows come after), so that a payment that
arrives and a cancellation cannot each hold what the other waits for.
"""

from uuid import UUID

from billing import invoicing
from billing.models import Payment


def locked_payment(payment_id: UUID) -> Payment:
    """The payment under its lock and its invoice's; the caller holds a transaction. Raises Payment.DoesNotExist."""
    invoice_id = Payment.objects.values_list("invoice_id", flat=True).get(pk=payment_id)
    if invoice_id is not None:
        invoicing.locked(invoice_id)
    rows = Payment.objects.select_for_update(no_key=True, of=("self",)).select_related("organization", "invoice")
    return rows.get(pk=payment_id)
