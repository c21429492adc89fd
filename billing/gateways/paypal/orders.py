"""Orders as checkout sessions. A customer's approval moves no money: it is ours when we have captured it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from billing.gateways.base import (
    CheckoutRequest,
    CheckoutSession,
    CheckoutSessionStatus,
    GatewayPayment,
    Transaction,
)
from billing.gateways.paypal.client import PayPalClient, from_value, our_id, to_value
from core.ids import uuid7
from core.money import total
from core.outside import Rejected

NOT_FOUND = 404
MAX_DESCRIPTION = 127
OPEN, FAILED = CheckoutSessionStatus.OPEN, CheckoutSessionStatus.FAILED
STATUSES = {
    "CREATED": OPEN,
    "SAVED": OPEN,
    "PAYER_ACTION_REQUIRED": OPEN,
    "APPROVED": CheckoutSessionStatus.APPROVED,
    "VOIDED": CheckoutSessionStatus.EXPIRED,
}
CAPTURE_STATUSES = {
    "COMPLETED": CheckoutSessionStatus.PAID,
    "PARTIALLY_REFUNDED": CheckoutSessionStatus.PAID,
    "REFUNDED": CheckoutSessionStatus.PAID,
    "PENDING": CheckoutSessionStatus.PROCESSING,
    "DECLINED": FAILED,
    "FAILED": FAILED,
}
LINKS = frozenset({"approve", "payer-action"})
# The customer goes to PayPal's page again and chooses another way.
CHOOSE_AGAIN = frozenset({"INSTRUMENT_DECLINED", "PAYER_ACTION_REQUIRED", "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING"})
LOOK_AGAIN = frozenset({"ORDER_ALREADY_CAPTURED", "ORDER_NOT_APPROVED", "ORDER_COMPLETION_IN_PROGRESS"})
REFUSED = frozenset({
    "ORDER_EXPIRED", "DUPLICATE_INVOICE_ID", "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED", "PAYER_CANNOT_PAY",
    "TRANSACTION_REFUSED", "COMPLIANCE_VIOLATION",
})  # fmt: skip


class Orders(PayPalClient):
    """Orders, and the captures by which their money arrives. `custom_id` is our payment's id."""

    def create_session(self, request: CheckoutRequest) -> CheckoutSession:
        """A new order, or under the same key the same order."""
        amount = total((line.unit * line.quantity for line in request.lines), request.lines[0].unit.currency)
        unit = {
            "custom_id": str(request.payment_id),
            "description": ", ".join(line.description for line in request.lines)[:MAX_DESCRIPTION],
            "amount": to_value(amount),
        }
        context = {
            "return_url": request.success_url,
            "cancel_url": request.cancel_url,
            "user_action": "PAY_NOW",
            "shipping_preference": "NO_SHIPPING",
        }
        body = {
            "intent": "CAPTURE",
            "purchase_units": [unit],
            "payment_source": {"paypal": {"experience_context": context}},
        }
        session = self._session(self.write("/v2/checkout/orders", body, key=request.idempotency_key))
        if session.status is CheckoutSessionStatus.APPROVED:  # nothing is left to do there
            return replace(session, url=request.success_url)
        return session

    def find_sessions(self, *, customer: str, payment_id: UUID, attempts: int) -> list[CheckoutSession]:
        """None: PayPal lists no orders. One whose id was never known can be approved by nobody, and takes no money."""
        return []

    def read_session(self, reference: str) -> CheckoutSession:
        """The order in its current state; one that PayPal no longer knows has expired."""
        try:
            return self._session(self.read(f"/v2/checkout/orders/{reference}"))
        except Rejected as error:
            if error.status != NOT_FOUND:
                raise
            return CheckoutSession(reference, "", CheckoutSessionStatus.EXPIRED, None)

    def capture_session(self, reference: str) -> CheckoutSession:
        """Take the money of an approved order. PayPal captures an order once, whatever the key of the call."""
        try:
            return self._session(self.write(f"/v2/checkout/orders/{reference}/capture", {}, key=f"capture-{uuid7()}"))
        except Rejected as error:
            if error.code in LOOK_AGAIN:
                return self.read_session(reference)
            if error.code in CHOOSE_AGAIN:
                return replace(self.read_session(reference), status=OPEN)
            if error.code in REFUSED or error.status == NOT_FOUND:
                return CheckoutSession(reference, "", FAILED, None, failure=error.code)
            raise

    def expire_session(self, reference: str) -> CheckoutSession:
        """PayPal closes no order. An approval is worth nothing without our capture, which then never comes."""
        session = self.read_session(reference)
        is_undecided = session.status in {OPEN, CheckoutSessionStatus.APPROVED}
        return replace(session, status=CheckoutSessionStatus.EXPIRED, url="") if is_undecided else session

    def read_transaction(self, reference: str) -> Transaction:
        """To which payment a capture belongs, and what arrived by it."""
        capture = self.read(f"/v2/payments/captures/{reference}")
        is_paid = CAPTURE_STATUSES.get(str(capture.get("status"))) is CheckoutSessionStatus.PAID
        paid = self._payment(capture) if is_paid else None
        return Transaction(reference, our_id(capture.get("custom_id")), customer="", payment=paid)

    def _session(self, order: Any) -> CheckoutSession:
        if not isinstance(order, Mapping) or not isinstance(order.get("id"), str):
            raise Rejected("PayPal: the answer is no order")
        unit = next(iter(order.get("purchase_units") or [{}]))
        amount = from_value(unit["amount"]) if "amount" in unit else None
        session = CheckoutSession(order["id"], "", OPEN, our_id(unit.get("custom_id")), total=amount)
        captures = (unit.get("payments") or {}).get("captures") or []
        if order.get("status") != "COMPLETED":
            if order.get("status") not in STATUSES:
                raise Rejected(f"PayPal order {order['id']}: unknown status")
            status = STATUSES[order["status"]]
            return replace(session, status=status, url=next(_links(order), "") if status is OPEN else "")
        # An order that is complete may have a capture that is not: what counts is the capture.
        if not captures or captures[0].get("status") not in CAPTURE_STATUSES:
            raise Rejected(f"PayPal order {order['id']}: complete without a known capture")
        capture = captures[0]
        status = CAPTURE_STATUSES[capture["status"]]
        paid = self._payment(capture) if status is CheckoutSessionStatus.PAID else None
        failure = f"PayPal: the payment was {capture['status'].lower()}" if status is FAILED else ""
        return replace(session, status=status, payment=paid, failure=failure)

    def _payment(self, capture: Mapping[str, Any]) -> GatewayPayment:
        breakdown = capture.get("seller_receivable_breakdown") or {}
        amount = from_value(capture.get("amount"))
        fee = from_value(breakdown["paypal_fee"]) if breakdown.get("paypal_fee") else None
        return GatewayPayment(
            transaction_id=str(capture["id"]),
            amount=amount,
            is_live=self.is_live(),
            fee=fee if fee and fee.currency == amount.currency else None,
            payment_id=our_id(capture.get("custom_id")),
            method_label="PayPal",
        )


def _links(order: Mapping[str, Any]) -> Iterator[str]:
    return (str(link["href"]) for link in order.get("links") or [] if link.get("rel") in LINKS)
