"""Celery's queue as files under var/, for shops and demos without Redis.

kombu's own file transport opens a message under its final name before writing it, so that a worker may take it while it
is still empty, and dies of that. Here a file appears whole or not at all, and is taken by renaming it.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any
from uuid import uuid4

from kombu.transport import TRANSPORT_ALIASES, filesystem, virtual

SCHEME = "files"


class Channel(filesystem.Channel):
    """Messages in the folder of the transport option `data_folder_in`, bindings in `control_folder`."""

    def _put(self, queue: str, payload: Any, **_: Any) -> None:  # type: ignore[override]
        """Add one message, unless one that asks for the same is waiting already: whoever takes that one does both."""
        asked = _asked_by(payload)
        if asked and any(_is_waiting(name, asked, queue) for name in os.listdir(self._messages)):
            return
        _write_whole(self._messages / f"{time.time_ns()}_{asked or uuid4()}.{queue}.msg", payload)

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        """Take the oldest message. Raises Empty."""
        for name in sorted(os.listdir(self._messages)):
            if name.partition(".")[2] == f"{queue}.msg" and (text := _taken(self._messages / name)):
                return json.loads(text)
        raise Empty

    def _queue_bind(self, exchange: str, routing_key: str | None, pattern: str | None, queue: str) -> None:
        """Remember that the exchange feeds the queue."""
        bound = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._bindings_locked():
            known = self.get_table(exchange)
            if bound not in known:
                _write_whole(self._bindings_of(exchange), [bound, *known])

    def _delete(self, queue: str, exchange: str, routing_key: str, pattern: str, *args: Any, **kwargs: Any) -> None:
        """Drop the queue's messages and its binding."""
        virtual.Channel._delete(self, queue, exchange, routing_key, pattern, *args, **kwargs)
        gone = filesystem.exchange_queue_t(routing_key or "", pattern or "", queue or "")
        with self._bindings_locked():
            known = self.get_table(exchange)
            if gone in known:
                _write_whole(self._bindings_of(exchange), [bound for bound in known if bound != gone])

    @contextlib.contextmanager
    def _bindings_locked(self) -> Iterator[None]:
        folder: Path = self.control_folder
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _bindings_of(self, exchange: str) -> Path:
        path: Path = self._exchange_file(exchange)  # type: ignore[attr-defined]
        return path

    @property
    def _messages(self) -> Path:
        return Path(self.data_folder_in)


class Transport(filesystem.Transport):
    """kombu's file transport with the channel above; every process reads and writes one folder."""

    Channel = Channel


def _is_waiting(name: str, asked: str, queue: str) -> bool:
    """Whether the file is a message that asks for this; names with a dot in front are being written or taken."""
    return not name.startswith(".") and name.endswith(f"_{asked}.{queue}.msg")


def _asked_by(payload: Any) -> str:
    """A name for what a task's message asks for; empty for what is no task, or one with a time of its own.

    Our tasks carry no facts: each does what is due when it runs. So many webhooks leave one message.
    """
    headers = payload.get("headers") or {}
    if not headers.get("task") or headers.get("eta"):
        return ""
    return hashlib.sha256(f"{headers['task']} {payload['body']}".encode()).hexdigest()


def _write_whole(path: Path, content: Any) -> None:
    partial = path.with_name(f".{path.name}.{uuid4()}")
    partial.write_text(json.dumps(content))
    partial.rename(path)


def _taken(path: Path) -> str:
    """The file's text, now this process's alone; empty when another was first."""
    mine = path.with_name(f".{path.name}.taken")
    try:
        path.rename(mine)
    except FileNotFoundError:
        return ""
    text = mine.read_text()
    mine.unlink()
    return text


TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
