"""Whether a webhook is Stripe's own, recent, and for this account's mode; judged on the raw bytes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import stripe
from django.conf import settings

from billing.gateways.stripe import client

TOLERANCE_SECONDS = 300
MAX_TYPE = 100
MAX_ID = 191


class Forged(Exception):
    """The signature is missing, wrong, or not of now."""


class Malformed(Exception):
    """Signed, and yet not an event we can take."""


class NotSetUp(Exception):
    """No signing secret is configured, so nothing can be believed."""


@dataclass(frozen=True)
class SignedEvent:
    """An event whose signature held. `text` is the body as it came."""

    event_id: str
    type: str
    text: str


def secrets() -> tuple[str, ...]:
    """The signing secrets in force, several while one is being replaced. NotSetUp when there is none."""
    found = tuple(secret.strip() for secret in str(settings.STRIPE_WEBHOOK_SECRET).split(",") if secret.strip())
    if not found:
        raise NotSetUp("STRIPE_WEBHOOK_SECRET is empty")
    return found


def verified(body: bytes, header: str, *, at: datetime) -> SignedEvent:
    """The event in a webhook's raw body. Raises NotSetUp, Forged or Malformed."""
    known = secrets()
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
    _require_signature(text, header, known)
    _require_not_future(header, at)
    return _event(text)


def _require_signature(text: str, header: str, known: Sequence[str]) -> None:
    """The library judges signature and age; any one secret may fit."""
    for secret in known:
        try:
            stripe.WebhookSignature.verify_header(text, header, secret, TOLERANCE_SECONDS)
        except (stripe.SignatureVerificationError, TypeError, ValueError):
            continue
        return
    raise Forged("no known secret fits, or the time is not now")


def _require_not_future(header: str, at: datetime) -> None:
    """The library accepts any time to come, which would let one signature be replayed until then."""
    signed_at = next((part[2:] for part in header.split(",") if part.startswith("t=")), "")
    if not (signed_at.isascii() and signed_at.isdigit()):
        raise Forged("the time is no number")
    if int(signed_at) > int(at.timestamp()) + TOLERANCE_SECONDS:
        raise Forged("the time is yet to come")


def _event(text: str) -> SignedEvent:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        raise Malformed("the body is not JSON") from None
    if not isinstance(content, dict) or content.get("object") != "event":
        raise Malformed("the body is no event")
    event_id, kind = _text(content, "id", MAX_ID), _text(content, "type", MAX_TYPE)
    if content.get("livemode") is not client.is_live():
        raise Malformed("the event is of the other mode, live or test")
    return SignedEvent(event_id, kind, text)


def _text(content: dict[str, Any], name: str, longest: int) -> str:
    value = content.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise Malformed(f"the event lacks its {name}")
    return value
