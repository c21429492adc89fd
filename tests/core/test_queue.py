"""The queue and the cache: the file queue everywhere, Redis where REDIS_URL names one."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from django.conf import settings as django_settings
from django.core.cache import cache
from django.db import transaction
from kombu import Connection

from core import work
from support.models import Delivery

QUEUE = f"nodebyte-test-{os.getpid()}"
MESSAGES = 400
IMPATIENT = {"max_retries": 1, "interval_start": 0, "interval_max": 0}  # as the settings have it for Redis
NO_REDIS = "REDIS_URL names no Redis; .ci/run starts one"
on_redis = [pytest.mark.redis, pytest.mark.skipif(not os.environ.get("REDIS_URL"), reason=NO_REDIS)]


@pytest.fixture(params=["files", pytest.param("redis", marks=on_redis)])
def broker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    """A queue of its own, which nudges are sent to."""
    url, options = ("files://localhost", _file_options(tmp_path)) if request.param == "files" else (redis_url(), {})
    app = nudging_through(monkeypatch, url, options)
    with app.connection_for_read() as connection:
        yield connection
        waiting(connection)


def redis_url() -> str:
    """As the settings give it to Celery."""
    return str(django_settings.CELERY_BROKER_URL)


def nudging_through(monkeypatch: pytest.MonkeyPatch, url: str, options: dict[str, Any] | None = None) -> Celery:
    app = Celery("test", broker=url, set_as_current=False)
    app.conf.update(broker_transport_options=options or {}, task_publish_retry=False, task_default_queue=QUEUE)
    monkeypatch.setattr(work, "current_app", app)
    return app


def _file_options(folder: Path) -> dict[str, Any]:
    for name in ("messages", "control"):
        (folder / name).mkdir()
    messages = str(folder / "messages")
    return {"data_folder_in": messages, "data_folder_out": messages, "control_folder": str(folder / "control")}


def waiting(connection: Connection) -> list[tuple[str, list[str]]]:
    """Task name and arguments of every message in the queue, which is emptied."""
    queue = connection.SimpleQueue(QUEUE)
    found: list[tuple[str, list[str]]] = []
    while True:
        try:
            message = queue.get(block=False)
        except queue.Empty:
            queue.close()
            return found
        message.ack()
        found.append((str(message.headers["task"]), list(message.payload[0])))


@pytest.mark.django_db(transaction=True)
def test_a_nudge_reaches_the_queue_once_its_transaction_stands(broker: Connection) -> None:
    with transaction.atomic():
        work.wake_worker(Delivery)
        assert waiting(broker) == []

    assert waiting(broker) == [("core.tasks.run_work", ["support.Delivery"])]


@pytest.mark.django_db(transaction=True)
def test_a_nudge_goes_down_with_its_transaction(broker: Connection) -> None:
    with transaction.atomic():
        work.wake_worker(Delivery)
        transaction.set_rollback(True)

    assert waiting(broker) == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis+socket:///nowhere/redis.sock"])
def test_a_dead_queue_costs_no_business(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    nudging_through(monkeypatch, url, IMPATIENT)
    begun = time.monotonic()

    with transaction.atomic():
        work.wake_worker(Delivery)

    assert time.monotonic() - begun < 4


@pytest.mark.redis
@pytest.mark.skipif(not os.environ.get("REDIS_URL"), reason=NO_REDIS)
def test_the_cache_on_redis_keeps_counts_and_forgets() -> None:
    cache.delete("count")

    assert cache.add("count", 1, timeout=60)
    assert not cache.add("count", 1, timeout=60)
    assert cache.incr("count") == 2
    cache.set("gone", "x", timeout=0)
    assert cache.get("gone") is None


@pytest.mark.django_db
def test_the_cache_without_redis_is_the_database() -> None:
    if os.environ.get("REDIS_URL"):
        pytest.skip("this run caches in Redis")

    cache.set("kept", {"a": 1}, timeout=60)

    assert cache.get("kept") == {"a": 1}


def test_a_file_queue_loses_and_doubles_nothing_between_many_writers_and_readers(tmp_path: Path) -> None:
    options = _file_options(tmp_path)
    script = f"""
import sys, time
from kombu import Connection
from core import file_queue
options, me = {options!r}, sys.argv[2]
with Connection("files://localhost", transport_options=options) as connection:
    queue = connection.SimpleQueue("q")
    if sys.argv[1] == "write":
        for number in range({MESSAGES}):
            queue.put(f"{{me}}-{{number}}")
    else:
        quiet_until = time.monotonic() + 2
        while time.monotonic() < quiet_until:
            try:
                message = queue.get(block=False)
            except queue.Empty:
                continue
            message.ack()
            print(message.payload, flush=True)
            quiet_until = time.monotonic() + 1
"""
    command = [sys.executable, "-c", script]
    readers = [_started([*command, "read", str(number)]) for number in range(2)]
    writers = [_started([*command, "write", str(number)]) for number in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]

    read = [reader.communicate(timeout=60)[0].split() for reader in readers]

    assert [reader.returncode for reader in readers] == [0, 0]
    assert sorted(read[0] + read[1]) == sorted(f"{me}-{number}" for me in range(2) for number in range(MESSAGES))


def _started(command: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
