"""Webhooks: verified on the raw bytes, stored, and answered. A worker then syncs what the event is about."""

import logging
from datetime import datetime

from django.db import DataError, connection
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.gateways.base import WebhookEvent
from billing.gateways.stripe import webhooks as stripe_webhooks
from billing.models import EventResult, Gateway, GatewayEvent
from core import clock, tenancy, work
from core.ids import uuid7
from core.models import WorkState

log = logging.getLogger(__name__)
MAX_BODY = 512 * 1024
INSERT_EVENT = """
    INSERT INTO billing_gatewayevent
        (id, gateway, event_id, type, payload, received_at, result, state, run_at, finished_at,
         note, last_error, attempts)
    VALUES (%s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s, %s, '', '', 0)
    ON CONFLICT (gateway, event_id) DO NOTHING"""


@csrf_exempt
@tenancy.non_atomic_view
@require_POST
def stripe(request: HttpRequest) -> HttpResponse:
    """Stripe's webhook: 200 when the event is stored, 400 where it is not Stripe's, 413 too large, 503 no secret."""
    announced = str(request.META.get("CONTENT_LENGTH") or "0")
    if announced.isascii() and announced.isdigit() and int(announced) > MAX_BODY:
        return HttpResponse(status=413)
    body = request.body
    if len(body) > MAX_BODY:
        return HttpResponse(status=413)
    at = clock.now()
    try:
        event = stripe_webhooks.verify(body, request.headers.get("Stripe-Signature", ""), at=at)
        store_event(gateway=Gateway.STRIPE, event=event, at=at)
    except stripe_webhooks.NotConfigured as error:
        log.error("a webhook was refused: %s", error)
        return HttpResponse(status=503)
    except (stripe_webhooks.InvalidSignature, stripe_webhooks.InvalidPayload, DataError) as error:
        log.warning("a webhook was refused: %s", type(error).__name__)
        return HttpResponse(status=400)
    return HttpResponse(status=200)


def store_event(*, gateway: Gateway, event: WebhookEvent, at: datetime) -> None:
    """Store an event, once. Types that we do not follow are stored as done.

    Raises DataError where the payload is not JSON to PostgreSQL.
    """
    result = EventResult.PENDING if event.is_known_type else EventResult.IGNORED
    state = WorkState.QUEUED if event.is_known_type else WorkState.DONE
    finished_at = None if event.is_known_type else at
    values = (gateway.value, event.event_id, event.type, event.payload, at, result.value, state.value, at, finished_at)
    with connection.cursor() as cursor:
        cursor.execute(INSERT_EVENT, (uuid7(), *values))
        is_new = bool(cursor.rowcount)
    if is_new and event.is_known_type:
        work.wake_worker(GatewayEvent)
