"""Refunds, asked for under a key of our own and marked with our id."""

from typing import Any

from billing.gateways.base import GatewayRefund, RefundRequest, RefundStatus
from billing.gateways.stripe import client
from billing.gateways.stripe.amounts import from_stripe, to_stripe
from billing.gateways.stripe.fields import id_of, ours

STATUSES = {"succeeded": RefundStatus.SUCCEEDED, "failed": RefundStatus.FAILED, "canceled": RefundStatus.FAILED}


def create(request: RefundRequest) -> GatewayRefund:
    """Ask for the refund, or under the same key hear of it again."""
    params: Any = {
        "payment_intent": request.transaction_id,
        "amount": to_stripe(request.amount),
        "metadata": {"refund": str(request.refund_id)},
    }
    options: Any = {"idempotency_key": request.idempotency_key}
    return _report(client.tell("Stripe refund", lambda stripe: stripe.v1.refunds.create(params, options)))


def read(reference: str) -> GatewayRefund:
    """A refund as it now stands."""
    return _report(client.ask("Stripe refund", lambda stripe: stripe.v1.refunds.retrieve(reference)))


def find(request: RefundRequest) -> GatewayRefund | None:
    """The refund with our mark among those of the transaction."""
    listed = client.ask_all(
        "Stripe refunds",
        lambda stripe, params: stripe.v1.refunds.list(params),
        payment_intent=request.transaction_id,
    )
    reports = (_report(refund) for refund in listed)
    return next((report for report in reports if report.refund_id == request.refund_id), None)


def newest_of_charge(charge: str) -> str:
    """The id of a charge's newest refund, empty where it has none: a `charge.refunded` event does not name it."""
    params: Any = {"charge": charge, "limit": 1}
    listed = client.ask("Stripe refunds", lambda stripe: stripe.v1.refunds.list(params))
    return str(listed.data[0].id) if listed.data else ""


def _report(refund: Any) -> GatewayRefund:
    return GatewayRefund(
        reference=refund.id,
        transaction_id=id_of(refund.payment_intent),
        amount=from_stripe(refund.amount, refund.currency),
        status=STATUSES.get(str(refund.status), RefundStatus.PENDING),
        refund_id=ours(refund.metadata, "refund"),
        failure=str(getattr(refund, "failure_reason", None) or "")[:191],
    )
