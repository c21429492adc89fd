"""Refunds: giving back some or all of a charge."""

from sandbox.state import JsonObject
from sandbox.stripe import charges, errors
from sandbox.stripe.account import Account, merge_metadata, new_id
from sandbox.stripe.endpoints import Call, Endpoint, lister, listing, read, reader, write
from sandbox.stripe.events import emit
from sandbox.stripe.money import shown
from sandbox.stripe.payment_methods import behaviour
from sandbox.stripe.schema import Choice, Instants, Integer, Metadata, Text


def create(call: Call) -> JsonObject:
    """Refund a charge, or a PaymentIntent's charge, wholly or in part."""
    charge = _charge_of(call)
    rest = _refundable(charge)
    amount = call.params.get("amount", rest)
    if amount > rest:
        message = (
            f"Refund amount ({shown(amount, charge['currency'])}) is greater than unrefunded amount on charge "
            f"({shown(rest, charge['currency'])})"
        )
        raise errors.wrong_state(message, param="amount")
    return _refund(call.account, charge, amount, call.params)


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
    charge_id = intent["latest_charge"]
    if charge_id is None:
        raise errors.wrong_state(
            "This PaymentIntent does not have a successful charge to refund.", param="payment_intent"
        )
    return call.account.find("charge", charge_id)


def _refundable(charge: JsonObject) -> int:
    if charge["refunded"]:
        message = f"Charge {charge['id']} has already been refunded."
        raise errors.wrong_state(message, code="charge_already_refunded")
    if charge["disputed"]:
        message = f"Charge {charge['id']} has been charged back; cannot issue a refund."
        raise errors.wrong_state(message, code="charge_disputed")
    if charge["status"] != "succeeded" or not charge["captured"]:
        raise errors.wrong_state("This charge has not succeeded, so there is nothing to refund.")
    return int(charge["amount_captured"] - charge["amount_refunded"])


def _refund(account: Account, charge: JsonObject, amount: int, given: JsonObject) -> JsonObject:
    way = behaviour(account, account.find("payment_method", charge["payment_method"])).refund
    is_slow = way == "pending" or charge["payment_method_details"]["type"] != "card"
    refund = account.add(_new_refund(account, charge, amount, given, "pending" if is_slow else "succeeded"))
    refund["balance_transaction"] = charges.book(account, refund, "refund", -amount)["id"]
    if is_slow:
        refund["pending_reason"] = "processing"
    if is_slow or way == "fails_later":
        outcome = "failed" if way == "fails_later" else "succeeded"
        account.note(refund["id"]).update(due_at=account.now() + account.settings["async_seconds"], outcome=outcome)
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount_captured"]
    emit(account, "charge.refunded", charge)
    emit(account, "refund.created", refund)
    return refund


def _new_refund(account: Account, charge: JsonObject, amount: int, given: JsonObject, status: str) -> JsonObject:
    kind = charge["payment_method_details"]["type"]
    reference = {"reference_status": "pending", "reference_type": "acquirer_reference_number", "type": "refund"}
    return {
        "id": new_id("re_"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": account.now(),
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": {kind: reference if kind == "card" else {}, "type": kind},
        "failure_balance_transaction": None,
        "failure_reason": None,
        "metadata": given.get("metadata", {}),
        "next_action": None,
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "pending_reason": None,
        "reason": given.get("reason"),
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": status,
        "transfer_reversal": None,
    }


def finish(account: Account, refund: JsonObject) -> None:
    """A pending refund reached the buyer."""
    before = {"status": refund["status"], "pending_reason": refund["pending_reason"]}
    refund.update(status="succeeded", pending_reason=None)
    account.note(refund["id"]).clear()
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


def update(call: Call) -> JsonObject:
    """Change metadata."""
    refund = call.account.find("refund", call.path["id"])
    merge_metadata(refund, call.params.get("metadata"))
    emit(call.account, "refund.updated", refund, {})
    return refund


ENDPOINTS: list[Endpoint] = [
    write(
        "/v1/refunds",
        create,
        {
            "charge": Text(),
            "payment_intent": Text(),
            "amount": Integer(1),
            "reason": Choice("duplicate", "fraudulent", "requested_by_customer"),
            "metadata": Metadata(),
        },
    ),
    listing(
        "/v1/refunds",
        lister("refund", "charge", "payment_intent"),
        charge=Text(),
        payment_intent=Text(),
        created=Instants(),
    ),
    read("/v1/refunds/{id}", reader("refund")),
    write("/v1/refunds/{id}", update, {"metadata": Metadata()}),
]
