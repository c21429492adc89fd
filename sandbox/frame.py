"""What all stand-ins share, and what each returns to be mounted."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from sandbox.clock import Clock
from sandbox.faults import FaultList
from sandbox.requestlog import RequestLog
from sandbox.state import Persistent, StateStore

Refuse = Callable[[Request, int], Awaitable[Response]]


@dataclass
class Frame:
    """The shared parts: clock, saved state, armed faults, request log and the address clients reach us at."""

    base_url: str
    state: StateStore
    clock: Clock = field(default_factory=Clock)
    faults: FaultList = field(default_factory=FaultList)
    requests: RequestLog = field(default_factory=RequestLog)
    resets: int = 0
    is_session_live: Callable[[str], bool] = lambda _token: False  # a Hytale session's, where a server starts with one


class Background(Protocol):
    """Work that goes on between requests."""

    def tick(self) -> None:
        """Do what is due by the sandbox clock; called about once a second and after every clock move."""

    async def close(self) -> None:
        """Stop every task still running."""


@dataclass(frozen=True)
class ServiceApp:
    """A stand-in, ready to mount at `/<name>`.

    `app` sees paths below its mount. `content` is what is saved, reset and shown. `refuse` answers an armed status
    fault in the service's own error form without doing the work. `control_routes` appear below `/_control/<name>`.
    """

    app: ASGIApp
    content: Persistent
    refuse: Refuse
    control_routes: Sequence[BaseRoute] = ()
    background: Background | None = None
    title: str = ""
    home: str = "/"

    @property
    def name(self) -> str:
        """The service's word: its mount, its snapshot, its faults."""
        return self.content.name
