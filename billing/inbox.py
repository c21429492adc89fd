"""The inbox of webhooks: stored in one statement and answered, worked on afterwards."""

from datetime import datetime

from django.db import connection

from billing import reactions
from billing.gateways import driver_of
from billing.models import EventResult, Gateway, GatewayEvent
from billing.reactions import Verdict
from core import work
from core.ids import uuid7
from core.models import WorkState

STORE = """
    INSERT INTO billing_gatewayevent
        (id, gateway, event_id, type, payload, received_at, result, state, run_at, finished_at,
         note, last_error, attempts)
    VALUES (%s, %s, %s, %s, %s::jsonb, %s, %s, %s, %s, %s, '', '', 0)
    ON CONFLICT (gateway, event_id) DO NOTHING"""


def store(*, gateway: Gateway, event_id: str, event_type: str, text: str, is_known: bool, at: datetime) -> bool:
    """Keep an event as it came; False when it is here already. Types that do not concern us are kept and done.

    Raises DataError where the text cannot be kept as JSON.
    """
    result, state, done_at = _fate(at, is_known=is_known)
    row = (uuid7(), gateway.value, event_id, event_type, text, at, result.value, state.value, at, done_at)
    with connection.cursor() as cursor:
        cursor.execute(STORE, row)
        is_new = bool(cursor.rowcount)
    if is_new and is_known:
        work.wake_worker(GatewayEvent)
    return is_new


def _fate(at: datetime, *, is_known: bool) -> tuple[EventResult, WorkState, datetime | None]:
    if is_known:
        return EventResult.PENDING, WorkState.QUEUED, None
    return EventResult.IGNORED, WorkState.DONE, at


def perform(event: GatewayEvent, *, at: datetime) -> None:
    """Act on one event, by what the gateway says of its object now."""
    news = driver_of(event.gateway).news_of(event.type, event.payload)
    verdict = Verdict(EventResult.IGNORED)
    if news is not None:
        verdict = reactions.react(gateway=event.gateway, news=news, at=at)
    GatewayEvent.objects.filter(pk=event.pk).update(result=verdict.result, note=verdict.note[:255])
