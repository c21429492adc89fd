"""Refunds: giving back some or all of a charge."""

from sandbox.state import JsonObject
from sandbox.stripe import charges, errors
from sandbox.stripe.account import ASYNC_SECONDS, Account, new_id, null_fields
from sandbox.stripe.endpoints import Call
from sandbox.stripe.events import emit
from sandbox.stripe.money import shown
from sandbox.stripe.payment_methods import behaviour
from sandbox.stripe.schema import Choice, Integer, Metadata, Spec, Text

FIELDS: dict[str, Spec] = {
    "charge": Text(),
    "payment_intent": Text(),
    "amount": Integer(1),
    "reason": Choice("duplicate", "fraudulent", "requested_by_customer"),
    "metadata": Metadata(),
}
NULL = (
    "balance_transaction customer_account failure_balance_transaction failure_reason next_action pending_reason "
    "receipt_number source_transfer_reversal transfer_reversal"
)


def create(call: Call) -> JsonObject:
    """Refund a charge, or a PaymentIntent's charge, wholly or in part."""
    account = call.account
    charge = _charge_of(call)
    refundable = refundable_amount(charge)
    amount = call.params.get("amount", refundable)
    if amount > refundable:
        message = (
            f"Refund amount ({shown(amount, charge['currency'])}) is greater than unrefunded amount on charge "
            f"({shown(refundable, charge['currency'])})"
        )
        raise errors.wrong_state(message, param="amount")
    outcome = behaviour(account, account.find("payment_method", charge["payment_method"])).refund
    refund = make(account, charge, amount, call.params)
    if charge["payment_method_details"]["type"] != "card" or outcome == "pending":
        refund.update(status="pending", pending_reason="processing")
    if refund["status"] == "pending" or outcome == "fails_later":
        account.note(refund["id"]).update(due_at=account.now() + ASYNC_SECONDS, fails=outcome == "fails_later")
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    emit(account, "charge.refunded", charge)
    emit(account, "refund.created", refund)
    return refund


def _charge_of(call: Call) -> JsonObject:
    if "charge" in call.params:
        charge = call.account.find("charge", call.params["charge"], "charge")
        if call.params.get("payment_intent", charge["payment_intent"]) != charge["payment_intent"]:
            raise errors.invalid("The charge does not belong to the payment_intent.", param="payment_intent")
        return charge
    if "payment_intent" not in call.params:
        message = "One of the following params should be provided for this request: payment_intent or charge."
        raise errors.invalid(message, code="parameter_missing")
    intent = call.account.find("payment_intent", call.params["payment_intent"], "payment_intent")
    if intent["latest_charge"] is None:
        message = "This PaymentIntent does not have a successful charge to refund."
        raise errors.wrong_state(message, param="payment_intent")
    return call.account.find("charge", intent["latest_charge"])


def refundable_amount(charge: JsonObject) -> int:
    """What is left of the charge to refund, in minor units.

    Raises StripeError when it is unpaid, disputed or wholly refunded.
    """
    if charge["refunded"]:
        message = f"Charge {charge['id']} has already been refunded."
        raise errors.wrong_state(message, code="charge_already_refunded")
    if charge["disputed"]:
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise errors.wrong_state(message, code="charge_disputed")
    if charge["status"] != "succeeded":
        raise errors.wrong_state("This charge has not succeeded, so there is nothing to refund.")
    return int(charge["amount_captured"] - charge["amount_refunded"])


def make(account: Account, charge: JsonObject, amount: int, given: JsonObject) -> JsonObject:
    """A succeeded refund, booked."""
    kind = charge["payment_method_details"]["type"]
    reference = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
    refund = account.add(
        {
            **null_fields(NULL),
            "id": new_id("re_"),
            "object": "refund",
            "amount": amount,
            "charge": charge["id"],
            "created": account.now(),
            "currency": charge["currency"],
            "customer": charge["customer"],
            "destination_details": {kind: reference if kind == "card" else {}, "type": kind},
            "metadata": given.get("metadata", {}),
            "payment_intent": charge["payment_intent"],
            "payment_method": charge["payment_method"],
            "reason": given.get("reason"),
            "status": "succeeded",
        }
    )
    booked_as = "refund" if kind == "card" else "payment_refund"
    refund["balance_transaction"] = charges.book(account, refund, booked_as, -amount)["id"]
    return refund


def finish(account: Account, refund: JsonObject) -> None:
    """A pending refund reached the buyer."""
    before = {"status": refund["status"], "pending_reason": refund["pending_reason"]}
    refund.update(status="succeeded", pending_reason=None)
    emit(account, "refund.updated", refund, before)
    emit(account, "charge.refund.updated", refund, before)


def fail(account: Account, refund: JsonObject, reason: str) -> None:
    """A refund came back, even one that had succeeded: the money returns to us and the charge can be refunded again.

    Raises StripeError when it failed or was canceled already.
    """
    if refund["status"] not in {"pending", "succeeded"}:
        raise errors.wrong_state(f"This refund has a status of {refund['status']}.")
    before = {"status": refund["status"], "failure_reason": None}
    charge = account.find("charge", refund["charge"])
    charge["amount_refunded"] -= refund["amount"]
    charge["refunded"] = False
    entry = charges.book(account, refund, "refund_failure", refund["amount"])
    refund.update(status="failed", failure_reason=reason, pending_reason=None, failure_balance_transaction=entry["id"])
    account.note(refund["id"]).clear()
    emit(account, "refund.failed", refund)
    emit(account, "refund.updated", refund, before)
    emit(account, "charge.refund.updated", refund, before)
