"""Webhooks: verified on the raw bytes, stored, and answered. A worker then syncs what the event is about."""

import logging
from datetime import datetime

from django.db import DataError, connection
from django.db.models.functions import Now
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from billing.gateways.base import WebhookEvent, WebhookNotConfigured, WebhookRefused, driver_for, kinds
from billing.models import EventResult, GatewayAccount, GatewayEvent
from core import outside, tenancy, work
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
@outside.calls_outside
@tenancy.non_atomic_view
@require_POST
def receive(request: HttpRequest, gateway: str) -> HttpResponse:
    """A gateway account's webhook: 200 when the event is stored, 400 where it is not the gateway's, 503 no secret.

    503 also where it cannot be checked now, such as by a certificate of the gateway that is not here yet.
    A body that is too large is answered 413 unread. The driver says how its gateway wants to be answered.
    """
    announced = str(request.META.get("CONTENT_LENGTH") or "0")
    if announced.isascii() and announced.isdigit() and int(announced) > MAX_BODY:
        return HttpResponse(status=413)
    body = request.body
    if len(body) > MAX_BODY:
        return HttpResponse(status=413)
    account = GatewayAccount.objects.annotate(read_at=Now()).filter(code=gateway).first()
    if account is None or account.kind not in kinds():
        raise Http404
    driver, status = driver_for(account), 200
    at = account.read_at  # the clock of the database, without a statement of its own
    try:
        event = driver.verify_webhook(body, request.headers, at=at)
        store_event(gateway=gateway, event=event, at=at)
    except WebhookNotConfigured as error:
        log.error("a webhook was refused: %s", error)
        status = 503
    except outside.OutsideError as error:
        log.warning("a webhook of gateway %s cannot be checked: %s", gateway, error)
        status = 503
    except (WebhookRefused, DataError) as error:
        log.warning("a webhook of gateway %s was refused: %s", gateway, type(error).__name__)
        status = 400
    answer = driver.answer_webhook(status)
    return HttpResponse(answer.body, status=answer.status, content_type=answer.content_type)


def store_event(*, gateway: str, event: WebhookEvent, at: datetime) -> None:
    """Store an event, once. Types that we do not follow are stored as done.

    Raises DataError where the payload is not JSON to PostgreSQL.
    """
    result = EventResult.PENDING if event.is_known_type else EventResult.IGNORED
    state = WorkState.QUEUED if event.is_known_type else WorkState.DONE
    finished_at = None if event.is_known_type else at
    values = (gateway, event.event_id, event.type, event.payload, at, result.value, state.value, at, finished_at)
    with connection.cursor() as cursor:
        cursor.execute(INSERT_EVENT, (uuid7(), *values))
        is_new = bool(cursor.rowcount)
    if is_new and event.is_known_type:
        work.wake_worker(GatewayEvent)
