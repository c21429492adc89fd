"""Several payments settled in one transaction: what costs a statement for each of them is done by one for all."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from billing import invoicing, ledger, payments
from billing.gateways.base import GatewayPayment
from billing.models import Payment, PaymentState
from core import tenancy


def settle_expected(gateway_payments: Mapping[UUID, GatewayPayment], *, at: datetime) -> list[UUID]:
    """Settle, in one transaction, those of several payments that arrived exactly as asked for; their ids.

    `gateway_payments` is by our payments' ids. All of them are settled or none: what fails is raised. Those left out
    are for `settle` to judge, one by one.
    """
    arrivals: list[tuple[Payment, GatewayPayment]] = []
    with tenancy.as_worker():
        locked = payments.lock_payments(gateway_payments)
        references = {arrived.transaction_id for arrived in gateway_payments.values()}
        known = Payment.objects.filter(transaction_id__in=references)
        transactions = set(known.values_list("gateway", "transaction_id"))
        invoices: set[UUID] = set()  # each is paid once, and each transaction pays once
        for payment in locked:
            arrived, invoice = gateway_payments[payment.pk], payment.invoice
            if payment.state not in Payment.OPEN or invoice is None or payment.amount != invoice.total:
                continue
            transaction = (payment.gateway, arrived.transaction_id)
            if transaction in transactions or invoice.pk in invoices or payments.mismatch_reason(payment, arrived):
                continue
            arrivals.append((payment, arrived))
            transactions.add(transaction)
            invoices.add(invoice.pk)
        if arrivals:
            settled = [payment for payment, _arrived in arrivals]
            payments.receive(arrivals, PaymentState.SUCCEEDED, at)
            invoicing.pay_charges([payments.charge_of(payment) for payment in settled], at=at)
            for payment in ledger.with_receivable(settled):
                ledger.pay_receivable(payment, at=at)
    return [payment.pk for payment, _arrived in arrivals]
