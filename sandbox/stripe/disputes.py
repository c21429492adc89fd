"""Disputes: a buyer's bank takes the money back, and a verdict follows."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe import charges, errors
from sandbox.stripe.account import Account, changed_fields, merge_metadata, new_id
from sandbox.stripe.endpoints import Call, Endpoint, lister, listing, read, reader, write
from sandbox.stripe.events import emit
from sandbox.stripe.schema import Flag, Instants, Loose, Metadata, Text

DISPUTE_FEE = 1500
ANSWER_SECONDS = 9 * 86400
OPEN_STATES = {"needs_response", "under_review", "warning_needs_response", "warning_under_review"}
_EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal "
    "customer_communication customer_email_address customer_name customer_purchase_ip customer_signature "
    "duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt "
    "refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation "
    "shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number "
    "uncategorized_file uncategorized_text"
)
EVIDENCE = _EVIDENCE.split()


def open_dispute(account: Account, charge: JsonObject, reason: str, amount: int | None = None) -> JsonObject:
    """Dispute a paid charge; the money and a fee leave at once.

    Raises StripeError when the charge is unpaid or already disputed.
    """
    if not charge["paid"] or charge["disputed"]:
        raise errors.wrong_state("Only a paid charge that is not yet disputed can be disputed.")
    disputed = charge["amount"] if amount is None else amount
    dispute = account.add(_dispute(account, charge, reason, disputed))
    charge["disputed"] = True
    emit(account, "charge.dispute.created", dispute)
    dispute["balance_transactions"] = [_entry(charges.book(account, dispute, "adjustment", -disputed, DISPUTE_FEE))]
    emit(account, "charge.dispute.funds_withdrawn", dispute)
    emit(account, "charge.updated", charge, {"disputed": False})
    return dispute


def close_dispute(account: Account, dispute: JsonObject, verdict: str) -> None:
    """End a dispute as `won` (the money returns) or `lost`.

    Raises StripeError when it is already closed.
    """
    if dispute["status"] not in OPEN_STATES:
        raise errors.wrong_state("This dispute is already closed.")
    dispute["status"] = verdict
    if verdict == "won":
        dispute["balance_transactions"].append(_entry(charges.book(account, dispute, "adjustment", dispute["amount"])))
        emit(account, "charge.dispute.funds_reinstated", dispute)
    emit(account, "charge.dispute.closed", dispute)


def _entry(transaction: JsonObject) -> JsonObject:
    return copy.deepcopy(transaction)


def _dispute(account: Account, charge: JsonObject, reason: str, amount: int) -> JsonObject:
    return {
        "id": new_id("dp_"),
        "object": "dispute",
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "created": account.now(),
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {**dict.fromkeys(EVIDENCE), "enhanced_evidence": {}},
        "evidence_details": {
            "due_by": account.now() + ANSWER_SECONDS,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "submission_method": "not_submitted",
        },
        "is_charge_refundable": False,
        "livemode": False,
        "metadata": {},
        "network_reason_code": "10.4",
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {"brand": "visa", "case_type": "chargeback", "network_reason_code": "10.4"},
            "type": "card",
        },
        "reason": reason,
        "status": "needs_response",
    }


def update(call: Call) -> JsonObject:
    """Add evidence; `submit` (default) sends it to the bank."""
    dispute = call.account.find("dispute", call.path["id"])
    before = copy.deepcopy(dispute)
    evidence = call.params.get("evidence", {})
    for name in evidence:
        if name not in EVIDENCE:
            raise errors.unknown_parameter(f"evidence[{name}]")
    dispute["evidence"] |= evidence
    merge_metadata(dispute, call.params.get("metadata"))
    if evidence and call.params.get("submit", True):
        dispute["status"] = "under_review"
        dispute["evidence_details"] |= {"has_evidence": True, "submission_count": 1, "submission_method": "manual"}
    emit(call.account, "charge.dispute.updated", dispute, changed_fields(before, dispute))
    return dispute


def concede(call: Call) -> JsonObject:
    """Give up, which loses the dispute."""
    dispute = call.account.find("dispute", call.path["id"])
    close_dispute(call.account, dispute, "lost")
    return dispute


ENDPOINTS: list[Endpoint] = [
    read("/v1/disputes/{id}", reader("dispute")),
    listing(
        "/v1/disputes",
        lister("dispute", "charge", "payment_intent"),
        charge=Text(),
        payment_intent=Text(),
        created=Instants(),
    ),
    write("/v1/disputes/{id}", update, {"evidence": Loose(), "submit": Flag(), "metadata": Metadata()}),
    write("/v1/disputes/{id}/close", concede, {}),
]
