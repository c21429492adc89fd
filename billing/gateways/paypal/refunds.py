"""Refunds of captures, and disputes. A refund of ours carries our id as `custom_id`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from billing.gateways.base import DisputeStatus, GatewayDispute, GatewayRefund, RefundRequest, RefundStatus
from billing.gateways.paypal.client import from_value, our_id, to_value
from billing.gateways.paypal.orders import Orders
from core.outside import Rejected

REFUND_STATUSES = {
    "COMPLETED": RefundStatus.SUCCEEDED,
    "FAILED": RefundStatus.FAILED,
    "CANCELLED": RefundStatus.FAILED,
}
# Outcomes of a resolved dispute in which the money is not ours. PayPal may also pay the buyer itself: then it is.
LOST = frozenset({"RESOLVED_BUYER_FAVOUR", "ACCEPTED"})


class Refunds(Orders):
    """Money that goes back: by us, or by PayPal for the buyer."""

    REFUNDS_DISPUTED = False  # `TRANSACTION_DISPUTED`

    def create_refund(self, request: RefundRequest) -> GatewayRefund:
        """Create the refund, or under the same key read it again: PayPal keeps keys of refunds for 45 days."""
        body = {"amount": to_value(request.amount), "custom_id": str(request.refund_id)}
        path = f"/v2/payments/captures/{request.transaction_id}/refund"
        return _refund(self.write(path, body, key=request.idempotency_key), request.transaction_id)

    def find_refund(self, request: RefundRequest) -> GatewayRefund | None:
        """PayPal lists no refunds: under the key of the lost call, its refund is read again, or made."""
        return self.create_refund(request)

    def read_refund(self, reference: str) -> GatewayRefund:
        """The refund in its current state. Its capture is only in its links."""
        refund = self.read(f"/v2/payments/refunds/{reference}")
        parents = (str(link["href"]) for link in refund.get("links") or [] if link.get("rel") == "up")
        return _refund(refund, next(parents, "").rstrip("/").rsplit("/", 1)[-1])

    def read_dispute(self, reference: str) -> GatewayDispute:
        """The dispute in its current state, with what it holds back."""
        dispute = self.read(f"/v1/customer/disputes/{reference}")
        disputed = next(iter(dispute.get("disputed_transactions") or [{}]))
        return GatewayDispute(
            reference=str(dispute["dispute_id"]),
            transaction_id=str(disputed.get("seller_transaction_id") or ""),
            amount=from_value(dispute.get("dispute_amount")),
            status=_dispute_status(dispute),
            reason=str(dispute.get("reason") or "")[:64],
            opened_at=_instant(dispute.get("create_time")),
        )


def _refund(refund: Mapping[str, Any], transaction_id: str) -> GatewayRefund:
    return GatewayRefund(
        reference=str(refund["id"]),
        transaction_id=transaction_id,
        amount=from_value(refund.get("amount")),
        status=REFUND_STATUSES.get(str(refund.get("status")), RefundStatus.PENDING),
        refund_id=our_id(refund.get("custom_id")),
        failure=str((refund.get("status_details") or {}).get("reason") or "")[:191],
    )


def _dispute_status(dispute: Mapping[str, Any]) -> DisputeStatus:
    if dispute.get("status") == "RESOLVED":
        outcome = (dispute.get("dispute_outcome") or {}).get("outcome_code")
        return DisputeStatus.LOST if outcome in LOST else DisputeStatus.WON
    is_inquiry = dispute.get("dispute_life_cycle_stage") == "INQUIRY"
    return DisputeStatus.INQUIRY if is_inquiry else DisputeStatus.OPEN


def _instant(text: Any) -> datetime:
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        raise Rejected("PayPal: a dispute without a time") from None
