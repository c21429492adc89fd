"""The cache: nothing is unpickled that this shop did not write, and customers have no hand in it."""

import base64
import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.cache import cache
from django.db import ProgrammingError, connection, connections, transaction

from core import tenancy
from core.cache import ALIAS, DatabaseCache, NotSigned, SignedRedisCache, signed, verified
from core.tasks import purge_cache

pytestmark = pytest.mark.django_db
in_the_database = pytest.mark.skipif(bool(os.environ.get("REDIS_URL")), reason="this run caches in Redis")


class RunsACommand:
    """Unpickling it runs a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


def put(key: str, value: str) -> None:
    with connections[ALIAS].cursor() as cursor:
        cursor.execute(
            "INSERT INTO core_cache VALUES (%s, %s, now() + interval '1 hour')", [cache.make_key(key), value]
        )


@in_the_database
def test_a_pickle_planted_in_the_cache_table_runs_nothing(tmp_path: Path) -> None:
    evil = base64.b64encode(pickle.dumps(RunsACommand(tmp_path / "ran"))).decode()
    for number, planted in enumerate((evil, "0" * 64 + evil, "no base64!", "", "ä" * 80)):
        put(f"planted{number}", planted)

        assert cache.get(f"planted{number}", "absent") == "absent"
    assert not (tmp_path / "ran").exists()


@pytest.fixture
def redis_cache(tmp_path: Path) -> Iterator[SignedRedisCache]:
    """A Redis of this test alone."""
    address = tmp_path / "redis.sock"
    command = ["redis-server", "--port", "0", "--unixsocket", str(address), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        while not address.exists():
            assert server.poll() is None
        yield SignedRedisCache(f"unix://{address}", {})
        server.terminate()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="no Redis is installed")
def test_redis_gives_only_what_was_written_under_the_same_key(redis_cache: SignedRedisCache, tmp_path: Path) -> None:
    redis_cache.set_many({"number": 5, "value": {"a": 1}}, 60)
    assert not redis_cache.add("value", 2)
    redis = redis_cache._cache.get_client()
    redis.set(redis_cache.make_key("planted"), pickle.dumps(RunsACommand(tmp_path / "ran")))
    redis.set(redis_cache.make_key("plain"), 7)
    redis.copy(redis_cache.make_key("number"), redis_cache.make_key("copy"))

    found = redis_cache.get_many(["number", "value", "planted", "plain", "copy"])

    assert found == {"number": 5, "value": {"a": 1}}
    assert redis_cache.get("copy", "absent") == "absent"
    assert not (tmp_path / "ran").exists()


@in_the_database
def test_a_signed_value_copied_to_another_key_is_not_read(settings: Any) -> None:
    cache.set("mine", "a value", 60)
    with connections[ALIAS].cursor() as cursor:
        cursor.execute("SELECT value FROM core_cache WHERE cache_key = %s", [cache.make_key("mine")])
        (stored,) = cursor.fetchone()
    put("copy", stored)

    assert cache.get("mine") == "a value"
    assert cache.get("copy") is None


def test_a_value_signed_with_another_secret_key_is_not_read(settings: Any) -> None:
    stored = signed("a value", "key")
    settings.SECRET_KEY = "another"
    with pytest.raises(NotSigned):
        verified(stored, "key")


@pytest.mark.parametrize(
    "statement",
    ["SELECT 1 FROM core_cache", "DELETE FROM core_cache", "INSERT INTO core_cache VALUES ('', '', now())"],
)
def test_a_customer_can_neither_read_nor_write_the_cache_table(statement: str) -> None:
    with (
        tenancy.as_role(role=tenancy.CUSTOMER),
        connection.cursor() as cursor,
        pytest.raises(ProgrammingError, match="permission denied"),
        transaction.atomic(),
    ):
        cursor.execute(statement)


def test_the_cache_works_within_a_customers_request() -> None:
    with tenancy.as_role(role=tenancy.CUSTOMER):
        cache.set("kept", {"a": 1}, 60)
        assert cache.get("kept") == {"a": 1}


@in_the_database
def test_a_value_is_added_once_until_it_expires_or_is_deleted() -> None:
    assert cache.add("key", 1, 60)
    assert not cache.add("key", 2, 60)
    assert cache.get("key") == 1
    assert cache.touch("key", 0)
    assert not cache.touch("key", 60)
    assert "key" not in cache
    assert cache.add("key", 3, None)
    assert cache.delete("key")
    assert not cache.delete("key")
    assert cache.get("key") is None


@in_the_database
def test_what_has_expired_is_deleted_and_what_is_too_much() -> None:
    cache.set("gone", 1, 0)
    for number in range(3):
        cache.set(f"key{number}", number, 60 + number)
    assert purge_cache() == 1

    small = DatabaseCache("core_cache", {"OPTIONS": {"MAX_ENTRIES": 2}})
    assert small.delete_expired() == 1
    assert small.get_many(["key0", "key1", "key2"]) == {"key1": 1, "key2": 2}


def test_sessions_and_messages_to_workers_are_json() -> None:
    assert settings.SESSION_SERIALIZER.endswith("JSONSerializer")
    assert settings.CELERY_ACCEPT_CONTENT == settings.CELERY_RESULT_ACCEPT_CONTENT == ["json"]
