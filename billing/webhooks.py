"""Taking webhooks: judged on the raw bytes, stored, answered. Nothing is done here that could take time."""

import logging

from django.db import DataError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing import inbox
from billing.gateways.stripe import events, signatures
from billing.models import Gateway
from core import tenancy

log = logging.getLogger(__name__)
MAX_BODY = 512 * 1024


@csrf_exempt
@tenancy.non_atomic_view
@require_POST
def stripe(request: HttpRequest) -> HttpResponse:
    """Stripe's webhook: 200 when the event is kept (again), 400 for anything that is not Stripe's, 413, 503."""
    if _announced_length(request) > MAX_BODY:
        return HttpResponse(status=413)
    body = request.body
    if len(body) > MAX_BODY:
        return HttpResponse(status=413)
    try:
        return _kept(body, request.headers.get("Stripe-Signature", ""))
    except signatures.NotSetUp as error:
        log.error("a webhook was refused: %s", error)
        return HttpResponse(status=503)
    except (signatures.Forged, signatures.Malformed, DataError) as error:
        log.warning("a webhook was refused: %s", type(error).__name__)
        return HttpResponse(status=400)


def _announced_length(request: HttpRequest) -> int:
    length = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(length) if length.isascii() and length.isdigit() else 0


def _kept(body: bytes, signature: str) -> HttpResponse:
    at = timezone.now()
    event = signatures.verified(body, signature, at=at)
    inbox.store(
        gateway=Gateway.STRIPE,
        event_id=event.event_id,
        event_type=event.type,
        text=event.text,
        is_known=event.type in events.TYPES,
        at=at,
    )
    return HttpResponse(status=200)
