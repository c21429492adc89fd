"""Tripay's callbacks. They have no id and no time: the same status of a transaction is the same event, for ever."""

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from billing.gateways.base import (
    ObjectRef,
    ObjectType,
    WebhookAnswer,
    WebhookEvent,
    WebhookNotConfigured,
    WebhookRefused,
)
from billing.gateways.tripay.client import TripayClient, signature

EVENT = "payment_status"
REFUNDED = "REFUND"
MAX_REFERENCE = 150


class Webhooks(TripayClient):
    """Callbacks about the status of a transaction. Replaying one is harmless: the transaction is read again."""

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> WebhookEvent:
        """The callback in the raw body, whose bytes are signed. Raises WebhookNotConfigured or WebhookRefused."""
        if not self.private_key:
            raise WebhookNotConfigured("the account has no private key")
        signed = headers.get("X-Callback-Signature", "")
        if not hmac.compare_digest(signed.encode(), signature(self.private_key, body).encode()):
            raise WebhookRefused("the signature is not ours")
        if headers.get("X-Callback-Event") != EVENT:
            raise WebhookRefused("another event than a payment's status")
        try:
            text = body.decode()
            content: Any = json.loads(text)
        except (ValueError, RecursionError):
            raise WebhookRefused("the body is not JSON") from None
        reference = content.get("reference") if isinstance(content, dict) else None
        if not isinstance(reference, str) or not 0 < len(reference) <= MAX_REFERENCE:
            raise WebhookRefused("the body names no transaction")
        return WebhookEvent(f"{reference}:{content.get('status')}"[:191], EVENT, text, is_known_type=True)

    def answer_webhook(self, status: int) -> WebhookAnswer:
        """Tripay reads `success`, and calls again where it is not true."""
        return WebhookAnswer(status, json.dumps({"success": status == 200}), "application/json")

    def object_of_event(self, event_type: str, payload: Mapping[str, Any]) -> ObjectRef | None:
        """The transaction; one that was refunded is its own refund."""
        kind = ObjectType.REFUND if payload.get("status") == REFUNDED else ObjectType.CHECKOUT_SESSION
        return ObjectRef(kind, str(payload["reference"]))
