"""The panel's state: its tables, settings, request limits and console events."""

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from sandbox.frame import Frame
from sandbox.pterodactyl import seed
from sandbox.pterodactyl.rate_limits import RateLimiter
from sandbox.pterodactyl.rows import Server
from sandbox.pterodactyl.settings import Settings
from sandbox.pterodactyl.store import Store

EVENTS_KEPT = 400


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a server, for its console; numbers grow over all servers."""

    number: int
    name: str
    args: list[str] = field(default_factory=list)


class Panel:
    """One panel with its nodes."""

    name = "pterodactyl"
    mount = "/pterodactyl"

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.settings = Settings()
        self.store = Store(self.now)
        self.limiter = RateLimiter()
        self.rng = random.Random()  # noqa: S311 - picks ports, not secrets
        self.events: dict[int, deque[Event]] = {}
        self.event_count = 0
        self.password_resets = 0
        self.used_links: set[str] = set()
        seed.load(self.store, {})

    @property
    def url(self) -> str:
        """The panel's base address, as its customers configure it."""
        return self.frame.base_url + self.mount

    def origins(self) -> set[str]:
        """The origins of pages that may use a node's socket and links: the panel's own and those that it allows."""
        parts = urlsplit(self.url)
        return {self.url, f"{parts.scheme}://{parts.netloc}", *self.settings.allowed_origins}

    def now(self) -> float:
        """The present instant of the sandbox clock, in unix seconds."""
        return self.frame.clock.now()

    def snapshot(self) -> dict[str, Any]:
        """What is kept across a restart."""
        return {"store": self.store.dump(), "settings": asdict(self.settings)}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Replace the content by a snapshot."""
        self.store.load(saved["store"])
        known = {each.name for each in fields(Settings)}
        self.settings = Settings(**{name: value for name, value in saved["settings"].items() if name in known})

    def reset(self) -> None:
        """Go back to the seed and the default settings; the administrator's keys stay."""
        self.settings = Settings()
        self.limiter = RateLimiter()
        self.events.clear()
        seed.load(self.store, {})

    def save(self) -> None:
        """Write the snapshot now."""
        self.frame.state.save(self)

    def emit(self, server: Server, name: str, *args: str) -> None:
        """Publish an event on a server's console."""
        self.event_count += 1
        events = self.events.setdefault(server.id, deque(maxlen=EVENTS_KEPT))
        events.append(Event(self.event_count, name, list(args)))
