"""Disputes as they now stand."""

from typing import Any

from billing.gateways.base import DisputeStatus, GatewayDispute
from billing.gateways.stripe import client
from billing.gateways.stripe.amounts import from_stripe
from billing.gateways.stripe.fields import id_of, instant

# An inquiry that closed, or a dispute prevented, took nothing in the end, as if won.
STATUSES = {
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
    "prevented": DisputeStatus.WON,
    "warning_closed": DisputeStatus.WON,
    "warning_needs_response": DisputeStatus.INQUIRY,
    "warning_under_review": DisputeStatus.INQUIRY,
}


def read(reference: str) -> GatewayDispute:
    """A dispute as it now stands."""
    dispute: Any = client.ask("Stripe dispute", lambda stripe: stripe.v1.disputes.retrieve(reference))
    return GatewayDispute(
        reference=dispute.id,
        transaction_id=id_of(dispute.payment_intent),
        amount=from_stripe(dispute.amount, dispute.currency),
        status=STATUSES.get(str(dispute.status), DisputeStatus.OPEN),
        reason=str(dispute.reason)[:64],
        opened_at=instant(dispute.created),
    )
