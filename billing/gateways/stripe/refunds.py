"""Refunds and disputes on Stripe. A refund of ours carries our id in its metadata."""

from typing import Any

from billing.gateways.base import DisputeStatus, GatewayDispute, GatewayRefund, RefundRequest, RefundStatus
from billing.gateways.stripe.client import StripeClient
from billing.gateways.stripe.fields import from_stripe_amount, id_of, instant, metadata_id, to_stripe_amount, value

REFUND_STATUSES = {
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}
# An inquiry that closed, or a dispute prevented, took nothing in the end, as if won.
DISPUTE_STATUSES = {
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "prevented": DisputeStatus.WON,
    "warning_closed": DisputeStatus.WON,
    "warning_needs_response": DisputeStatus.INQUIRY,
    "warning_under_review": DisputeStatus.INQUIRY,
}


class Refunds(StripeClient):
    """Money that goes back: by us, or by the customer's bank."""

    REFUNDS_DISPUTED = False  # `charge_disputed`

    def create_refund(self, request: RefundRequest) -> GatewayRefund:
        """Create the refund, or under the same key read it again."""
        params: Any = {
            "payment_intent": request.transaction_id,
            "amount": to_stripe_amount(request.amount),
            "metadata": {"refund": str(request.refund_id)},
        }
        options: Any = {"idempotency_key": request.idempotency_key}
        return _refund(self.write("Stripe refund", lambda stripe: stripe.v1.refunds.create(params, options)))

    def read_refund(self, reference: str) -> GatewayRefund:
        """The refund in its current state."""
        return _refund(self.read("Stripe refund", lambda stripe: stripe.v1.refunds.retrieve(reference)))

    def find_refund(self, request: RefundRequest) -> GatewayRefund | None:
        """The refund with our id among those of the transaction."""
        listed = self.read_all(
            "Stripe refunds",
            lambda stripe, params: stripe.v1.refunds.list(params),
            payment_intent=request.transaction_id,
        )
        refunds = (_refund(refund) for refund in listed)
        return next((refund for refund in refunds if refund.refund_id == request.refund_id), None)

    def newest_refund_id(self, charge: str) -> str:
        """The id of a charge's newest refund, empty where it has none: a `charge.refunded` event does not name it."""
        params: Any = {"charge": charge, "limit": 1}
        listed = self.read("Stripe refunds", lambda stripe: stripe.v1.refunds.list(params))
        return str(listed.data[0].id) if listed.data else ""

    def read_dispute(self, reference: str) -> GatewayDispute:
        """The dispute in its current state."""
        dispute: Any = self.read("Stripe dispute", lambda stripe: stripe.v1.disputes.retrieve(reference))
        return GatewayDispute(
            reference=dispute.id,
            transaction_id=id_of(dispute.payment_intent),
            amount=from_stripe_amount(dispute.amount, dispute.currency),
            status=DISPUTE_STATUSES.get(str(dispute.status), DisputeStatus.OPEN),
            reason=str(dispute.reason)[:64],
            opened_at=instant(dispute.created),
            evidence_due_at=instant(due_by) if (due_by := value(dispute, "evidence_details", "due_by")) else None,
        )


def _refund(refund: Any) -> GatewayRefund:
    return GatewayRefund(
        reference=refund.id,
        transaction_id=id_of(refund.payment_intent),
        amount=from_stripe_amount(refund.amount, refund.currency),
        status=REFUND_STATUSES.get(str(refund.status), RefundStatus.PENDING),
        refund_id=metadata_id(refund.metadata, "refund"),
        failure=str(getattr(refund, "failure_reason", None) or "")[:191],
    )
