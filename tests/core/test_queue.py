"""Messages to workers and the cache: through PostgreSQL, and on Redis where TEST_REDIS_URL names one."""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from celery import Celery
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import transaction
from kombu import Connection

from core import queue, work
from nodebyte.celery import app
from support.models import Delivery
from tests.processes import database_url

QUEUE = f"nodebyte-test-{os.getpid()}"
RETRY = {"max_retries": 1, "interval_start": 0, "interval_max": 0}  # as the settings have it for Redis
NO_REDIS = "TEST_REDIS_URL names no Redis; .ci/run starts one"
on_redis = [pytest.mark.redis, pytest.mark.skipif(not os.environ.get("REDIS_URL"), reason=NO_REDIS)]
type Messages = Callable[[], list[tuple[str, list[str]]]]


def send_through(monkeypatch: pytest.MonkeyPatch, url: str | None, options: dict[str, Any] | None = None) -> Celery:
    """A Celery app that messages are sent through from now on."""
    app = Celery("test", broker=url, set_as_current=False)
    app.conf.update(broker_transport_options=options or {}, task_publish_retry=False, task_default_queue=QUEUE)
    monkeypatch.setattr(queue, "current_app", app)
    return app


@pytest.fixture(params=["postgresql", pytest.param("redis", marks=on_redis)])
def messages(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Messages]:
    """Task name and arguments of every message that came since it was last asked."""
    if request.param == "postgresql":
        send_through(monkeypatch, None)
        with psycopg.connect(database_url(), autocommit=True) as listener:
            listener.execute(f"LISTEN {queue.CHANNEL}")
            yield lambda: [(name, arguments) for name, *arguments in notifications(listener)]
    else:
        app = send_through(monkeypatch, str(django_settings.CELERY_BROKER_URL))
        with app.connection_for_read() as connection:
            yield lambda: celery_messages(connection)
            celery_messages(connection)


def notifications(listener: "psycopg.Connection[Any]") -> list[list[str]]:
    return [json.loads(each.payload) for each in listener.notifies(timeout=0.05)]


def celery_messages(connection: Connection) -> list[tuple[str, list[str]]]:
    """The messages in the queue, which is emptied."""
    simple = connection.SimpleQueue(QUEUE)
    found: list[tuple[str, list[str]]] = []
    while True:
        try:
            message = simple.get(block=False)
        except simple.Empty:
            simple.close()
            return found
        message.ack()
        found.append((str(message.headers["task"]), list(message.payload[0])))


@pytest.mark.django_db(transaction=True)
def test_a_message_is_sent_once_its_transaction_has_committed(messages: Messages) -> None:
    with transaction.atomic():
        work.wake_worker(Delivery)
        assert messages() == []

    assert messages() == [("core.tasks.run_work", ["support.Delivery"])]


@pytest.mark.django_db(transaction=True)
def test_a_message_is_not_sent_when_its_transaction_is_rolled_back(messages: Messages) -> None:
    with transaction.atomic():
        work.wake_worker(Delivery)
        transaction.set_rollback(True)

    assert messages() == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis+socket:///nowhere/redis.sock"])
def test_a_broker_that_is_down_costs_no_business(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    send_through(monkeypatch, url, RETRY)
    began_at = time.monotonic()

    with transaction.atomic():
        work.wake_worker(Delivery)

    assert time.monotonic() - began_at < 4


@pytest.mark.redis
@pytest.mark.skipif(not os.environ.get("REDIS_URL"), reason=NO_REDIS)
def test_the_cache_on_redis_keeps_and_forgets() -> None:
    cache.delete("count")

    assert cache.add("count", 1, timeout=60)
    assert not cache.add("count", 1, timeout=60)
    assert cache.get("count") == 1
    cache.set("gone", "x", timeout=0)
    assert cache.get("gone") is None


@pytest.mark.django_db
def test_the_cache_without_redis_is_the_database() -> None:
    if os.environ.get("REDIS_URL"):
        pytest.skip("this run caches in Redis")

    cache.set("kept", {"a": 1}, timeout=60)

    assert cache.get("kept") == {"a": 1}


def test_what_calls_providers_has_a_queue_of_its_own_on_redis() -> None:
    """A Celery worker that leaves it out always has time for money."""
    run_work, sync = "core.tasks.run_work", "servers.tasks.sync_provider"
    calls = [(run_work, "servers.PowerTask"), (sync, "1"), ("core.tasks.sweep_lanes",)]
    others = [(run_work, "billing.GatewayEvent"), (run_work, "no table"), (run_work,), ("core.tasks.sweep",)]

    assert {queue.queue_of(*call) for call in calls} == {"lanes"}
    assert {queue.queue_of(*call) for call in others} == {"celery"}
    consumed = app.amqp.queues.consume_from.values()
    assert {each.name: each.routing_key for each in consumed} == {"celery": "celery", "lanes": "lanes"}
