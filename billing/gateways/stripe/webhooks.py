"""Stripe's webhooks: whether a body is a signed event of this account, and which object the event is about."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import stripe

from billing.gateways.base import (
    ObjectRef,
    ObjectType,
    WebhookAnswer,
    WebhookEvent,
    WebhookNotConfigured,
    WebhookRefused,
)
from billing.gateways.stripe.refunds import Refunds

TOLERANCE_SECONDS = 300
MAX_TYPE = 100
MAX_ID = 191
EVENTS = {
    "checkout.session.completed": ObjectType.CHECKOUT_SESSION,
    "checkout.session.async_payment_succeeded": ObjectType.CHECKOUT_SESSION,
    "checkout.session.async_payment_failed": ObjectType.CHECKOUT_SESSION,
    "checkout.session.expired": ObjectType.CHECKOUT_SESSION,
    "payment_intent.succeeded": ObjectType.TRANSACTION,
    "payment_intent.processing": ObjectType.TRANSACTION,
    "payment_intent.payment_failed": ObjectType.TRANSACTION,
    "payment_intent.canceled": ObjectType.TRANSACTION,
    "invoice.paid": ObjectType.INVOICE,
    "invoice.payment_failed": ObjectType.INVOICE,
    "customer.subscription.updated": ObjectType.SUBSCRIPTION,
    "customer.subscription.deleted": ObjectType.SUBSCRIPTION,
    "charge.refunded": ObjectType.REFUND,
    "refund.created": ObjectType.REFUND,
    "refund.updated": ObjectType.REFUND,
    "refund.failed": ObjectType.REFUND,
    "charge.dispute.created": ObjectType.DISPUTE,
    "charge.dispute.updated": ObjectType.DISPUTE,
    "charge.dispute.funds_withdrawn": ObjectType.DISPUTE,
    "charge.dispute.funds_reinstated": ObjectType.DISPUTE,
    "charge.dispute.closed": ObjectType.DISPUTE,
    "payment_method.attached": ObjectType.PAYMENT_METHOD,
    "payment_method.updated": ObjectType.PAYMENT_METHOD,
    "payment_method.automatically_updated": ObjectType.PAYMENT_METHOD,
    "payment_method.detached": ObjectType.PAYMENT_METHOD,
}


class Webhooks(Refunds):
    """Events that Stripe sends to the account's endpoint."""

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> WebhookEvent:
        """The event in a webhook's raw body. Raises WebhookNotConfigured or WebhookRefused."""
        header = headers.get("Stripe-Signature", "")
        secrets = [secret.strip() for secret in self.webhook_secret.split(",") if secret.strip()]
        if not secrets:
            raise WebhookNotConfigured("the account has no webhook secret (STRIPE_WEBHOOK_SECRET)")
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            raise WebhookRefused("the body is not UTF-8") from None
        # Two secrets are in force while one is being replaced. The library checks signature and age.
        for secret in secrets:
            try:
                stripe.WebhookSignature.verify_header(text, header, secret, TOLERANCE_SECONDS)
            except (stripe.SignatureVerificationError, TypeError, ValueError):
                continue
            break
        else:
            raise WebhookRefused("no known secret fits, or the time is not now")
        # The library accepts any time in the future, which would let one signature be replayed until then.
        signed_at = next((part[2:] for part in header.split(",") if part.startswith("t=")), "")
        if not (signed_at.isascii() and signed_at.isdigit()):
            raise WebhookRefused("the time is no number")
        if int(signed_at) > int(at.timestamp()) + TOLERANCE_SECONDS:
            raise WebhookRefused("the time is in the future")
        return self.parse_event(text)

    def answer_webhook(self, status: int) -> WebhookAnswer:
        """Stripe reads nothing but the status."""
        return WebhookAnswer(status)

    def parse_event(self, text: str) -> WebhookEvent:
        """The event in a body whose signature was right. Raises WebhookRefused."""
        try:
            content: Any = json.loads(text)
        except (ValueError, RecursionError):
            raise WebhookRefused("the body is not JSON") from None
        if not isinstance(content, dict) or content.get("object") != "event":
            raise WebhookRefused("the body is no event")
        event_id, event_type = content.get("id"), content.get("type")
        if not isinstance(event_id, str) or not 0 < len(event_id) <= MAX_ID:
            raise WebhookRefused("the event lacks its id")
        if not isinstance(event_type, str) or not 0 < len(event_type) <= MAX_TYPE:
            raise WebhookRefused("the event lacks its type")
        if content.get("livemode") is not self.is_live():
            raise WebhookRefused("the event is of the other mode, live or test")
        return WebhookEvent(event_id, event_type, text, is_known_type=event_type in EVENTS)

    def object_of_event(self, event_type: str, payload: Mapping[str, Any]) -> ObjectRef | None:
        """The object that an event is about; None for a type that we do not follow or an object without an id."""
        object_type = EVENTS.get(event_type)
        data = payload.get("data")
        thing = data.get("object") if isinstance(data, Mapping) else None
        object_id = thing.get("id") if isinstance(thing, Mapping) else None
        if object_type is None or not isinstance(object_id, str):
            return None
        if event_type == "charge.refunded":  # its object is the charge, and the newest of its refunds is meant
            object_id = self.newest_refund_id(object_id)
        return ObjectRef(object_type, object_id) if 0 < len(object_id) <= MAX_ID else None
