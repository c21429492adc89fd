"""Webhooks: the real view with its signature check and stored event, beside the same INSERT alone."""

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

from bench.environment import WEBHOOK_SECRET, Environment
from bench.processes import WEB_WORKERS, running_web
from bench.report import Row, slower
from bench.timing import Call, OpenCall, medians_ms, rates
from bench.web_client import request
from billing import webhooks
from billing.gateways.base import WebhookEvent, driver_of
from billing.models import EventResult, GatewayEvent
from core import work
from core.ids import uuid7
from core.models import WorkState
from sandbox.stripe.delivery import signature

GATEWAY = "stripe"
PATH = f"/webhooks/{GATEWAY}/"
TYPE = "checkout.session.completed"
CLIENTS = 8
TIMES = 100
# Stripe's own Checkout Session events are of about this size.
PADDING_BYTES = 2500
_numbers = itertools.count()


def measure(environment: Environment) -> list[Row]:
    """Bare SQL, an empty view and the webhook's: in this process with 1 and 8 clients, and behind gunicorn."""
    rows = [*_in_process(environment, 1), *_in_process(environment, CLIENTS), *_over_sockets(environment), *_parts()]
    GatewayEvent.objects.all().delete()
    return rows


def _in_process(environment: Environment, threads: int) -> list[Row]:
    clients = f"{threads} client{'s' if threads > 1 else ''}"
    compared: dict[str, OpenCall] = {
        "bare": lambda: _bare_insert(environment),
        "empty": _empty_view,
        "view": _webhook_posts,
    }
    found = rates(compared, threads=threads)
    bare = found["bare"]
    return [
        Row(f"bare INSERT and commit, {clients}", bare, "/s"),
        slower(f"empty view, {clients}", found["empty"], "/s", bare, "bare INSERT"),
        slower(f"webhook view, {clients}", found["view"], "/s", bare, "bare INSERT"),
    ]


def _over_sockets(environment: Environment) -> list[Row]:
    port = environment.web_port
    with running_web(environment):
        compared: dict[str, OpenCall] = {
            "bare": lambda: _bare_insert(environment),
            "empty": lambda: nullcontext(lambda: request(port, "GET", "/health/live")),
            "view": lambda: nullcontext(lambda: _post_over_socket(port)),
        }
        found = rates(compared, threads={"bare": WEB_WORKERS, "empty": CLIENTS, "view": CLIENTS})
    where = f"gunicorn with {WEB_WORKERS} workers, {CLIENTS} clients"
    return [
        Row(f"bare INSERT and commit, {WEB_WORKERS} clients, as many as workers", found["bare"], "/s"),
        slower(f"empty view, {where}", found["empty"], "/s", found["bare"], "bare INSERT"),
        slower(f"webhook view, {where}", found["view"], "/s", found["bare"], "bare INSERT"),
        slower("the same", found["view"], "/s", found["empty"], "empty view there"),
    ]


def _parts() -> list[Row]:
    """Where one request's time goes."""
    body, header = signed_event()
    driver, headers = driver_of(GATEWAY), {"Stripe-Signature": header}
    parts: dict[str, Call] = {
        "signature and JSON": lambda: driver.verify_webhook(body.encode(), headers, at=timezone.now()),
        "the INSERT and its commit": _store_unknown,
        "waking the worker": lambda: work.wake_worker(GatewayEvent),
    }
    with _webhook_posts() as posting:
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
def _webhook_posts() -> Iterator[Call]:
    client = Client()

    def call() -> None:
        body, header = signed_event()
        answer = client.post(PATH, body, content_type="application/json", headers={"Stripe-Signature": header})
        assert answer.status_code == 200

    yield call
    connections.close_all()


@contextmanager
def _empty_view() -> Iterator[Call]:
    client = Client()
    yield lambda: client.get("/health/live")
    connections.close_all()


@contextmanager
def _bare_insert(environment: Environment) -> Iterator[Call]:
    """The view's own statement on a connection without Django."""
    with environment.bare_connection() as connection:
        yield lambda: connection.execute(webhooks.INSERT_EVENT, _values())


def _values() -> tuple[Any, ...]:
    text, at = event_text(), timezone.now()
    state = (EventResult.PENDING.value, WorkState.QUEUED.value, at + timedelta(days=1), None)
    return (uuid7(), GATEWAY, f"bare_{next(_numbers)}", TYPE, text, at, *state)


def _store_unknown() -> None:
    """Stored without waking a worker, as events that do not concern us are."""
    number = f"part_{next(_numbers)}"
    text, at = event_text(), timezone.now()
    event = WebhookEvent(number, TYPE, text, is_known_type=False)
    webhooks.store_event(gateway=GATEWAY, event=event, at=at)


def _post_over_socket(port: int) -> None:
    body, header = signed_event()
    request(port, "POST", PATH, body.encode(), header)
