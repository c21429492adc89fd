"""Disputes: a buyer's bank takes the money back, until the dispute is won or lost."""

import copy

from sandbox.state import JsonObject
from sandbox.stripe import charges, errors
from sandbox.stripe.account import Account, new_id, null_fields
from sandbox.stripe.events import emit

DISPUTE_FEE = 1500
ANSWER_SECONDS = 9 * 86400
EVIDENCE = (
    "access_activity_log billing_address cancellation_policy cancellation_policy_disclosure cancellation_rebuttal "
    "customer_communication customer_email_address customer_name customer_purchase_ip customer_signature "
    "duplicate_charge_documentation duplicate_charge_explanation duplicate_charge_id product_description receipt "
    "refund_policy refund_policy_disclosure refund_refusal_explanation service_date service_documentation "
    "shipping_address shipping_carrier shipping_date shipping_documentation shipping_tracking_number "
    "uncategorized_file uncategorized_text"
)
SAME: JsonObject = {
    "balance_transactions": [],
    "enhanced_eligibility_types": [],
    "evidence": {**null_fields(EVIDENCE), "enhanced_evidence": {}},
    "is_charge_refundable": False,
    "livemode": False,
    "metadata": {},
    "network_reason_code": "10.4",
    "status": "needs_response",
}
"""What every new dispute starts with."""


def open_dispute(account: Account, charge: JsonObject, reason: str, amount: int | None = None) -> JsonObject:
    """Dispute a paid charge; the money and a fee leave at once.

    Raises StripeError when the charge is unpaid or already disputed.
    """
    if not charge["paid"] or charge["disputed"]:
        raise errors.wrong_state("Only a paid charge that is not yet disputed can be disputed.")
    disputed = charge["amount"] if amount is None else amount
    card = charge["payment_method_details"].get("card")
    chargeback = {"case_type": "chargeback", "network_reason_code": SAME["network_reason_code"]}
    dispute = account.add(
        {
            **copy.deepcopy(SAME),
            "id": new_id("dp_"),
            "object": "dispute",
            "amount": disputed,
            "charge": charge["id"],
            "created": account.now(),
            "currency": charge["currency"],
            "evidence_details": {
                "due_by": account.now() + ANSWER_SECONDS,
                "enhanced_eligibility": {},
                "has_evidence": False,
                "past_due": False,
                "submission_count": 0,
                "submission_method": "not_submitted",
            },
            "payment_intent": charge["payment_intent"],
            "payment_method_details": card
            and {"card": {**chargeback, "brand": card["brand"], "network": card["network"]}, "type": "card"},
            "reason": reason,
        }
    )
    charge["disputed"] = True
    emit(account, "charge.dispute.created", dispute)
    booked = charges.book(account, dispute, "adjustment", -disputed, DISPUTE_FEE)
    dispute["balance_transactions"] = [copy.deepcopy(booked)]
    emit(account, "charge.dispute.funds_withdrawn", dispute)
    emit(account, "charge.updated", charge, {"disputed": False})
    return dispute


def close_dispute(account: Account, dispute: JsonObject, status: str) -> None:
    """End a dispute as `won` (the money returns) or `lost`.

    Raises StripeError when it is already closed.
    """
    if dispute["status"] in {"won", "lost"}:
        raise errors.wrong_state("This dispute is already closed.")
    before = {"status": dispute["status"]}
    dispute["status"] = status
    emit(account, "charge.dispute.updated", dispute, before)
    if status == "won":
        booked = charges.book(account, dispute, "adjustment", dispute["amount"])
        dispute["balance_transactions"].append(copy.deepcopy(booked))
        emit(account, "charge.dispute.funds_reinstated", dispute)
    emit(account, "charge.dispute.closed", dispute)


def appeal_dispute(account: Account, dispute: JsonObject) -> None:
    """Reopen a lost dispute over a card payment: its network decides once more. The money stays taken meanwhile.

    Raises StripeError for any other dispute: those over bank debits are final.
    """
    if dispute["status"] != "lost" or dispute["payment_method_details"] is None:
        raise errors.wrong_state("Only a lost dispute over a card payment can be appealed.")
    dispute["status"] = "appeal_under_review"
    emit(account, "charge.dispute.updated", dispute, {"status": "lost"})


def return_debit(account: Account, charge: JsonObject) -> None:
    """A bank returns a debit that it had paid: a dispute that is lost at once, since the bank's word is final.

    Raises StripeError for a card's charge, or one that is already disputed.
    """
    if charge["payment_method_details"]["type"] == "card":
        raise errors.wrong_state("A card payment does not fail once it has succeeded.")
    close_dispute(account, open_dispute(account, charge, "insufficient_funds"), "lost")
