"""PayPal's webhooks: signed with RSA by a certificate of PayPal's, which is fetched once and kept."""

import json
import re
import zlib
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from django.conf import settings
from django.core.cache import cache

from billing.gateways.base import (
    ObjectRef,
    ObjectType,
    WebhookAnswer,
    WebhookEvent,
    WebhookNotConfigured,
    WebhookRefused,
)
from billing.gateways.paypal.refunds import Refunds
from core.outside import Expect, OutsideSession, Rejected

CERTIFICATE_HOSTS = frozenset(
    {"api.paypal.com", "api.sandbox.paypal.com", "api-m.paypal.com", "api-m.sandbox.paypal.com"}
)
CERTIFICATE_PATH = re.compile(r"/v1/notifications/certs/[A-Za-z0-9-]{1,100}\Z")
CERTIFICATE_KEPT = 86_400  # seconds
MAX_ID = 191
ORDER, CAPTURE, REFUND, DISPUTE = "order", "capture", "refund", "dispute"
EVENTS = {
    "CHECKOUT.ORDER.APPROVED": ORDER,
    "CHECKOUT.PAYMENT-APPROVAL.REVERSED": ORDER,
    "PAYMENT.CAPTURE.COMPLETED": CAPTURE,
    "PAYMENT.CAPTURE.PENDING": CAPTURE,
    "PAYMENT.CAPTURE.DENIED": CAPTURE,
    "PAYMENT.CAPTURE.DECLINED": CAPTURE,
    "PAYMENT.CAPTURE.REFUNDED": REFUND,
    "PAYMENT.CAPTURE.REVERSED": REFUND,
    "CUSTOMER.DISPUTE.CREATED": DISPUTE,
    "CUSTOMER.DISPUTE.UPDATED": DISPUTE,
    "CUSTOMER.DISPUTE.RESOLVED": DISPUTE,
}


class Webhooks(Refunds):
    """Events that PayPal sends to the account's webhook."""

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], *, at: datetime) -> WebhookEvent:
        """The event in the raw body. Raises WebhookNotConfigured or WebhookRefused, and `outside`'s errors."""
        if not self.webhook_id:
            raise WebhookNotConfigured("the account has no webhook ID")
        signed = (headers.get(f"Paypal-Transmission-{name}", "") for name in ("Id", "Time", "Sig"))
        transmission, time, signature = signed
        if headers.get("Paypal-Auth-Algo") != "SHA256withRSA" or not (transmission and time and signature):
            raise WebhookRefused("the signature is not PayPal's")
        text = f"{transmission}|{time}|{self.webhook_id}|{zlib.crc32(body)}".encode()
        key = self._certificate_key(headers.get("Paypal-Cert-Url", ""), at)
        try:
            key.verify(b64decode(signature, validate=True), text, PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            raise WebhookRefused("the signature is not PayPal's") from None
        return parse_event(body)

    def answer_webhook(self, status: int) -> WebhookAnswer:
        """PayPal reads nothing but the status."""
        return WebhookAnswer(status)

    def object_of_event(self, event_type: str, payload: Mapping[str, Any]) -> ObjectRef | None:
        """The object that an event is about. A capture is found by its order, where it names one."""
        kind, thing = EVENTS.get(event_type), payload.get("resource")
        if kind is None or not isinstance(thing, Mapping):
            return None
        related = (thing.get("supplementary_data") or {}).get("related_ids") or {}
        found = {
            ORDER: (ObjectType.CHECKOUT_SESSION, thing.get("id") or thing.get("order_id")),
            CAPTURE: (ObjectType.CHECKOUT_SESSION, related.get("order_id"))
            if related.get("order_id")
            else (ObjectType.TRANSACTION, thing.get("id")),
            REFUND: (ObjectType.REFUND, thing.get("id")),
            DISPUTE: (ObjectType.DISPUTE, thing.get("dispute_id") or thing.get("id")),
        }
        object_type, object_id = found[kind]
        is_id = isinstance(object_id, str) and 0 < len(object_id) <= MAX_ID and object_id.isascii()
        return ObjectRef(object_type, str(object_id)) if is_id else None

    def _certificate_key(self, url: str, at: datetime) -> RSAPublicKey:
        """The public key of the certificate at PayPal's address. Raises WebhookRefused for any other address."""
        parts, stand_in = urlsplit(url), urlsplit(settings.PAYPAL_API_BASE)
        is_stand_in = bool(stand_in.netloc) and (parts.scheme, parts.netloc) == (stand_in.scheme, stand_in.netloc)
        is_paypals = is_stand_in or (parts.scheme == "https" and parts.netloc in CERTIFICATE_HOSTS)
        if not is_paypals or not CERTIFICATE_PATH.search(parts.path):
            raise WebhookRefused("the certificate is not at PayPal")
        name = f"paypal-certificate:{url}"
        text = cache.get(name)
        if text is None:
            session = OutsideSession("PayPal", f"{parts.scheme}://{parts.netloc}")
            try:
                text = session.call("GET", parts.path, expects=Expect.TEXT).body
            except Rejected:
                raise WebhookRefused("PayPal has no such certificate") from None
        try:
            certificate = x509.load_pem_x509_certificate(text.encode())
            key = certificate.public_key()
        except ValueError:
            raise WebhookRefused("the certificate cannot be read") from None
        is_valid = certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc
        if not is_valid or not isinstance(key, RSAPublicKey):
            raise WebhookRefused("the certificate is not valid now")
        cache.set(name, text, CERTIFICATE_KEPT)
        return key


def parse_event(body: bytes) -> WebhookEvent:
    """The event in a body whose signature was right. Raises WebhookRefused."""
    try:
        text = body.decode()
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise WebhookRefused("the body is not JSON") from None
    if not isinstance(content, dict):
        raise WebhookRefused("the body is no event")
    event_id, event_type = content.get("id"), content.get("event_type")
    if not isinstance(event_id, str) or not 0 < len(event_id) <= MAX_ID:
        raise WebhookRefused("the event lacks its id")
    if not isinstance(event_type, str) or not 0 < len(event_type) <= 100:
        raise WebhookRefused("the event lacks its type")
    return WebhookEvent(event_id, event_type, text, is_known_type=event_type in EVENTS)
