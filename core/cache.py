"""The cache: values are pickled, and unpickled only where the signature shows that a process of ours wrote them.

Whoever may write where the cache is stored, a table or a Redis, could otherwise have any process run code of theirs.
"""

import base64
import binascii
import logging
import pickle
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.redis import RedisCache
from django.db import connections
from django.utils.crypto import constant_time_compare, salted_hmac

log = logging.getLogger(__name__)
SALT = "core.cache"
ALIAS = "cache"  # in settings.DATABASES
FOREVER = datetime(9999, 12, 31, tzinfo=UTC)
WRITE = """
    INSERT INTO {table} AS entry (cache_key, value, expires) VALUES (%s, %s, %s)
    ON CONFLICT (cache_key) DO UPDATE SET value = EXCLUDED.value, expires = EXCLUDED.expires"""


class NotSigned(ValueError):
    """The stored value was not written by a process with this SECRET_KEY."""


def signature(pickled: bytes, key: str) -> str:
    """The signature of a value that is stored under `key`: it is worth nothing under another."""
    return salted_hmac(f"{SALT}:{key}", pickled, algorithm="sha256").hexdigest()


def signed(value: Any, key: str) -> bytes:
    """The value as it is stored."""
    pickled = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    return signature(pickled, key).encode() + base64.b64encode(pickled)


def verified(stored: bytes, key: str) -> Any:
    """The value that `signed` made. Raises NotSigned, and then nothing was unpickled."""
    try:
        pickled = base64.b64decode(stored[64:], validate=True)
    except binascii.Error:
        raise NotSigned from None
    if not constant_time_compare(signature(pickled, key), stored[:64]):
        raise NotSigned
    return pickle.loads(pickled)  # noqa: S301 - signed by us


def verified_values(stored: Mapping[str, bytes]) -> Iterator[tuple[str, Any]]:
    """The keys whose values we signed for them, with the values."""
    for key, value in stored.items():
        try:
            yield key, verified(value, key)
        except NotSigned:
            log.warning("the value of %s in the cache was not written by this shop", key)


class Plain:
    """A serializer of what is serialized already."""

    def dumps(self, obj: Any) -> Any:
        """As it is."""
        return obj

    loads = dumps


class SignedRedisCache(RedisCache):
    """Django's Redis cache; what it stores is signed, whole numbers too, so Redis cannot count them up."""

    def __init__(self, server: str, params: dict[str, Any]) -> None:
        options = {**params.get("OPTIONS", {}), "serializer": Plain}
        super().__init__(server, {**params, "OPTIONS": options})

    def add(self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store the value where there is none; whether there was none."""
        return bool(super().add(key, signed(value, self.make_key(key, version)), timeout, version))

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """The value, or the default."""
        return self.get_many([key], version).get(key, default)

    def set(self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Store the value."""
        super().set(key, signed(value, self.make_key(key, version)), timeout, version)

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        """The values that are there, without those that we did not sign for their keys."""
        names = {self.make_key(key, version): key for key in keys}
        stored = super().get_many(names.values(), version)
        values = verified_values({name: stored[key] for name, key in names.items() if key in stored})
        return {names[name]: value for name, value in values}

    def set_many(
        self, data: dict[str, Any], timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None
    ) -> list[str]:
        """Store several values; none fails alone."""
        values = {key: signed(value, self.make_key(key, version)) for key, value in data.items()}
        return list(super().set_many(values, timeout, version))


class DatabaseCache(BaseCache):
    """A table as the cache, on a connection of its own with the workers' login.

    Each write is kept at once. What a request that fails has counted, such as a wrong password, stays counted when its
    transaction is rolled back; and customers, whose login may not touch the table, have their attempts counted too.
    """

    def __init__(self, table: str, params: dict[str, Any]) -> None:
        super().__init__(params)
        self._table = connections[ALIAS].ops.quote_name(table)

    def get(self, key: str, default: Any = None, version: int | None = None) -> Any:
        """The value, or the default."""
        return self.get_many([key], version).get(key, default)

    def get_many(self, keys: Iterable[str], version: int | None = None) -> dict[str, Any]:
        """The values that are there."""
        names = {self.make_and_validate_key(key, version=version): key for key in keys}
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(
                f"SELECT cache_key, value FROM {self._table}"
                " WHERE cache_key = ANY (%s) AND expires > clock_timestamp()",
                [list(names)],
            )
            rows = cursor.fetchall()
        values = verified_values({name: stored.encode() for name, stored in rows})
        return {names[name]: value for name, value in values}

    def set(self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        """Store the value."""
        self._write(WRITE, key, value, timeout, version)

    def add(self, key: str, value: Any, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Store the value where there is none; whether there was none. Of several at once, one is told so."""
        return self._write(f"{WRITE} WHERE entry.expires <= clock_timestamp()", key, value, timeout, version) == 1

    def _write(self, sql: str, key: str, value: Any, timeout: float | None, version: int | None) -> int:
        name = self.make_and_validate_key(key, version=version)
        with connections[ALIAS].cursor() as cursor:
            values: list[str | datetime] = [name, signed(value, name).decode(), self._expires(timeout)]
            cursor.execute(sql.format(table=self._table), values)
            return int(cursor.rowcount)

    def touch(self, key: str, timeout: float | None = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        """Keep the value for another while; whether there is one."""
        name = self.make_and_validate_key(key, version=version)
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(
                f"UPDATE {self._table} SET expires = %s WHERE cache_key = %s AND expires > clock_timestamp()",
                [self._expires(timeout), name],
            )
            return bool(cursor.rowcount)

    def delete(self, key: str, version: int | None = None) -> bool:
        """Forget the value; whether there was one."""
        name = self.make_and_validate_key(key, version=version)
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(f"DELETE FROM {self._table} WHERE cache_key = %s", [name])
            return bool(cursor.rowcount)

    def has_key(self, key: str, version: int | None = None) -> bool:
        """Whether there is a value."""
        return key in self.get_many([key], version)

    def clear(self) -> None:
        """Forget everything."""
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(f"DELETE FROM {self._table}")

    def delete_expired(self) -> int:
        """Delete what has expired, and beyond MAX_ENTRIES what expires first; how many rows that were."""
        with connections[ALIAS].cursor() as cursor:
            cursor.execute(
                f"DELETE FROM {self._table} WHERE expires <= clock_timestamp() OR cache_key IN"
                f" (SELECT cache_key FROM {self._table} ORDER BY expires DESC OFFSET %s)",
                [self._max_entries],
            )
            return int(cursor.rowcount)

    def _expires(self, timeout: float | None) -> datetime:
        """The instant at which a value that is stored now expires. Django's method gives it in Unix time."""
        seconds = self.get_backend_timeout(timeout)
        return FOREVER if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)
