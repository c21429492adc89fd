"""Webhooks taken in: the real view with its signature check and stored event, beside the same INSERT alone."""

import itertools
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from typing import Any

from django.db import connections
from django.test import Client
from django.utils import timezone

from bench.ground import WEBHOOK_SECRET, Ground
from bench.report import Row, slower
from bench.shop import WORKERS, served
from bench.timing import Once, Opened, medians_ms, rates
from bench.web_client import ask
from billing import webhooks
from billing.gateways.base import WebhookEvent
from billing.gateways.stripe import webhooks as stripe_webhooks
from billing.models import EventResult, Gateway, GatewayEvent
from core import work
from core.ids import uuid7
from core.models import WorkState
from sandbox.stripe.delivery import signature

PATH = "/webhooks/stripe/"
TYPE = "checkout.session.completed"
CROWD = 8
TIMES = 100
# Stripe's own Checkout Session events are of about this size.
PADDING_BYTES = 2500
_numbers = itertools.count()


def measure(ground: Ground) -> list[Row]:
    """Bare SQL, an empty view and the webhook's: in this process with 1 and 8 clients, and behind gunicorn."""
    rows = [*_in_process(ground, 1), *_in_process(ground, CROWD), *_over_sockets(ground), *_parts()]
    GatewayEvent.objects.all().delete()
    return rows


def _in_process(ground: Ground, threads: int) -> list[Row]:
    clients = f"{threads} client{'s' if threads > 1 else ''}"
    compared: dict[str, Opened] = {"bare": lambda: _storing_bare(ground), "empty": _asking_nothing, "view": _posting}
    found = rates(compared, threads=threads)
    bare = found["bare"]
    return [
        Row(f"bare INSERT and commit, {clients}", bare, "/s"),
        slower(f"empty view, {clients}", found["empty"], "/s", bare, "bare INSERT"),
        slower(f"webhook view, {clients}", found["view"], "/s", bare, "bare INSERT"),
    ]


def _over_sockets(ground: Ground) -> list[Row]:
    with served(ground) as port:
        compared: dict[str, Opened] = {
            "bare": lambda: _storing_bare(ground),
            "empty": lambda: nullcontext(lambda: ask(port, "GET", "/health/live")),
            "view": lambda: nullcontext(lambda: _post_event(port)),
        }
        found = rates(compared, threads={"bare": WORKERS, "empty": CROWD, "view": CROWD})
    where = f"gunicorn with {WORKERS} workers, {CROWD} clients"
    return [
        Row(f"bare INSERT and commit, {WORKERS} clients, as many as workers", found["bare"], "/s"),
        slower(f"empty view, {where}", found["empty"], "/s", found["bare"], "bare INSERT"),
        slower(f"webhook view, {where}", found["view"], "/s", found["bare"], "bare INSERT"),
        slower("the same", found["view"], "/s", found["empty"], "empty view there"),
    ]


def _parts() -> list[Row]:
    """Where one request's time goes."""
    body, header = signed_event()
    parts: dict[str, Once] = {
        "signature and JSON": lambda: stripe_webhooks.verify(body.encode(), header, at=timezone.now()),
        "the INSERT and its commit": _store_unknown,
        "the wake_worker": lambda: work.wake_worker(GatewayEvent),
    }
    with _posting() as posting:
        found = medians_ms({"whole": posting, **parts}, times=TIMES)
    whole = found.pop("whole")
    found["Django around it, and the test client"] = whole - sum(found.values())
    rows = [Row(f"of that: {name}", ms, "ms", ms / whole, "the request") for name, ms in found.items()]
    return [Row("one request, 1 client", whole, "ms"), *rows]


def event_text() -> str:
    """An event as Stripe sends it, with an id of its own."""
    event = {
        "id": f"evt_bench_{next(_numbers)}",
        "object": "event",
        "type": TYPE,
        "livemode": False,
        "data": {"object": {"id": "cs_test_bench", "object": "checkout.session", "padding": "x" * PADDING_BYTES}},
    }
    return json.dumps(event)


def signed_event() -> tuple[str, str]:
    """A body and its signature."""
    body = event_text()
    return body, signature(body, WEBHOOK_SECRET, int(time.time()))


@contextmanager
def _posting() -> Iterator[Once]:
    client = Client()

    def once() -> None:
        body, header = signed_event()
        answer = client.post(PATH, body, content_type="application/json", headers={"Stripe-Signature": header})
        assert answer.status_code == 200

    yield once
    connections.close_all()


@contextmanager
def _asking_nothing() -> Iterator[Once]:
    client = Client()
    yield lambda: client.get("/health/live")
    connections.close_all()


@contextmanager
def _storing_bare(ground: Ground) -> Iterator[Once]:
    """The view's own statement on a connection without Django."""
    with ground.bare() as connection:
        yield lambda: connection.execute(webhooks.INSERT_EVENT, _values())


def _values() -> tuple[Any, ...]:
    text, at = event_text(), timezone.now()
    fate = (EventResult.PENDING.value, WorkState.QUEUED.value, at + timedelta(days=1), None)
    return (uuid7(), Gateway.STRIPE.value, f"bare_{next(_numbers)}", TYPE, text, at, *fate)


def _store_unknown() -> None:
    """Stored without a wake_worker, as events that do not concern us are."""
    number = f"part_{next(_numbers)}"
    text, at = event_text(), timezone.now()
    event = WebhookEvent(number, TYPE, text, is_known_type=False)
    webhooks.store_event(gateway=Gateway.STRIPE, event=event, at=at)


def _post_event(port: int) -> None:
    body, header = signed_event()
    ask(port, "POST", PATH, body.encode(), header)
