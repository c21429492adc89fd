"""A gateway like Tripay, which can do little: the proof that a gateway is one package and one registration line.

It takes rupiah by channels, knows neither customers nor refunds nor idempotency keys, cannot close a transaction, says
its fee at once, signs callbacks over the raw body and wants JSON back. The stand-in is a small HTTP server.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from billing.gateways.abilities import Channel
from billing.gateways.base import (
    CheckoutRequest,
    CheckoutSession,
    CheckoutSessionStatus,
    GatewayPayment,
    ObjectRef,
    ObjectType,
    WebhookAnswer,
    WebhookEvent,
    WebhookNotConfigured,
    WebhookRefused,
)
from billing.models import GatewayAccount
from core.money import Money
from core.outside import OutsideSession, Rejected, Unknown, refuse_transaction

STATUSES = {
    "UNPAID": CheckoutSessionStatus.OPEN,
    "PAID": CheckoutSessionStatus.PAID,
    "REFUND": CheckoutSessionStatus.PAID,
    "EXPIRED": CheckoutSessionStatus.EXPIRED,
    "FAILED": CheckoutSessionStatus.FAILED,
}
EVENT = "payment_status"
RUPIAH = 100  # minor units: Tripay counts whole rupiah


def signature(key: str, content: bytes) -> str:
    """The lower-case hexadecimal HMAC-SHA256."""
    return hmac.new(key.encode(), content, hashlib.sha256).hexdigest()


class TripayDriver:
    """An account at Tripay. Its `merchant_ref` is our payment's id, and all that it keeps of ours."""

    HAS_IDEMPOTENCY_KEYS = False
    SAVES_METHODS = False

    def __init__(self, account: GatewayAccount) -> None:
        own = account.credentials or {}
        self.api_key, self.private_key = str(own.get("api_key", "")), str(own.get("private_key", ""))
        self.merchant_code, self.base = str(own.get("merchant_code", "")), str(own.get("base", "https://tripay.co.id"))

    @staticmethod
    def page_origins() -> list[str]:
        """Its checkout pages, in the sandbox too."""
        return ["https://tripay.co.id"]

    def is_configured(self) -> bool:
        """Whether all three are set."""
        return bool(self.api_key and self.private_key and self.merchant_code)

    def is_live(self) -> bool:
        """Keys of the sandbox begin with DEV-."""
        return not self.api_key.startswith("DEV-")

    def create_session(self, request: CheckoutRequest) -> CheckoutSession:
        """A new transaction: every call creates another one."""
        amount = sum(_rupiah(line.unit) * line.quantity for line in request.lines)
        reference = str(request.payment_id)
        signed = f"{self.merchant_code}{reference}{amount}".encode()
        items = [
            {"name": line.description, "price": _rupiah(line.unit), "quantity": line.quantity} for line in request.lines
        ]
        body = {
            "method": request.channel,
            "merchant_ref": reference,
            "amount": amount,
            "customer_name": request.buyer_name,
            "customer_email": request.buyer_email,
            "order_items": items,
            "return_url": request.success_url,
            "expired_time": int(request.expires_at.timestamp()),
            "signature": signature(self.private_key, signed),
        }
        return self._session(self._call("POST", "/transaction/create", json=body))

    def find_sessions(self, *, customer: str, payment_id: UUID) -> list[CheckoutSession]:
        """The transactions with our payment's id."""
        rows = self._call("GET", "/merchant/transactions", params={"merchant_ref": str(payment_id), "per_page": 50})
        return [self.read_session(row["reference"]) for row in rows]

    def read_session(self, reference: str) -> CheckoutSession:
        """The transaction in its current state."""
        return self._session(self._call("GET", "/transaction/detail", params={"reference": reference}))

    def list_channels(self, amount: Money) -> Sequence[Channel]:
        """Active channels within whose limits the amount is."""
        rupiah = _rupiah(amount)
        found = []
        for row in self._call("GET", "/merchant/payment-channel"):
            fee = row["fee_customer"]
            percent = Decimal(rupiah) * Decimal(str(fee["percent"])) / 100
            if row["active"] and row["minimum_amount"] <= rupiah <= row["maximum_amount"]:
                total = fee["flat"] + int(percent.to_integral_value())
                found.append(Channel(row["code"], row["name"], Money(total * RUPIAH, "IDR")))
        return found

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> WebhookEvent:
        """No instant and no id is signed: the same status of a transaction is the same event."""
        if not self.private_key:
            raise WebhookNotConfigured("the account has no private key")
        signed = headers.get("X-Callback-Signature", "")
        if not hmac.compare_digest(signed.encode(), signature(self.private_key, body).encode()):
            raise WebhookRefused("the signature is not ours")
        if headers.get("X-Callback-Event") != EVENT:
            raise WebhookRefused("another event than a payment's status")
        try:
            text = body.decode()
            content: dict[str, Any] = json.loads(text)
            reference, status = str(content["reference"]), str(content["status"])
        except (ValueError, KeyError, TypeError):
            raise WebhookRefused("the body is no callback") from None
        return WebhookEvent(f"{reference}:{status}"[:191], EVENT, text, is_known_type=True)

    def answer_webhook(self, status: int) -> WebhookAnswer:
        """Tripay reads `success`, and calls again where it is not true."""
        return WebhookAnswer(status, json.dumps({"success": status == 200}), "application/json")

    def object_of_event(self, event_type: str, payload: Mapping[str, Any]) -> ObjectRef | None:
        """Every callback is about a transaction."""
        return ObjectRef(ObjectType.CHECKOUT_SESSION, str(payload["reference"]))

    def _session(self, data: Mapping[str, Any]) -> CheckoutSession:
        status, payment_id = STATUSES[data["status"]], UUID(data["merchant_ref"])
        amount = Money(data["amount"] * RUPIAH, "IDR")
        paid = None
        if status is CheckoutSessionStatus.PAID:
            paid = GatewayPayment(
                transaction_id=data["reference"],
                amount=amount,
                is_live=not data["reference"].startswith("DEV-"),
                fee=Money(data["fee_merchant"] * RUPIAH, "IDR"),
                payment_id=payment_id,
                method_label=data["payment_name"],
            )
        url = data["checkout_url"] if status is CheckoutSessionStatus.OPEN else ""
        return CheckoutSession(data["reference"], url, status, payment_id, total=amount, payment=paid)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        """The `data` of an answer; what decides is its `success`, not the status."""
        call = f"Tripay {method} {path}"
        refuse_transaction(call)
        base = f"{self.base}/api" if self.is_live() else f"{self.base}/api-sandbox"
        session = OutsideSession("Tripay", base, {"Authorization": f"Bearer {self.api_key}"})
        body = session.call(method, path, is_repeatable=method == "GET", **options).body
        if not isinstance(body, dict) or "success" not in body:
            raise Unknown(f"{call}: the answer is not Tripay's")
        if body["success"] is not True:
            raise Rejected(f"{call}: refused")
        return body.get("data")


def _rupiah(amount: Money) -> int:
    rupiah, rest = divmod(amount.minor, RUPIAH)
    if rest or amount.currency != "IDR":
        raise Rejected(f"Tripay cannot charge {amount.minor} minor units of {amount.currency}")
    return rupiah
