"""A gateway's stand-in in the test process, so that a test can also change what it holds."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from sandbox.connections import CuttableProtocol
from sandbox.frame import Frame, ServiceApp
from sandbox.middleware import FaultMiddleware
from sandbox.state import StateStore


@dataclass
class StandIn:
    """A running stand-in: `content` is what it holds."""

    frame: Frame
    service: ServiceApp
    url: str = field(default="")

    @property
    def content(self) -> Any:
        """The account."""
        return self.service.content

    def fault(self, match: str, kind: str, times: int = 1) -> None:
        """Arm a fault, as the control routes do."""
        self.frame.faults.arm({"service": self.service.name, "match": match, "kind": kind, "times": times})

    def reset(self) -> None:
        """As at its start, at the real time."""
        self.frame.clock.reset()
        self.frame.faults.clear(None)
        self.content.reset()


@contextmanager
def running(build: Callable[[Frame], ServiceApp]) -> Iterator[StandIn]:
    """A stand-in on a port of its own during the block. It sends nothing by itself."""
    listening = socket.create_server(("127.0.0.1", 0))
    frame = Frame(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", state=StateStore(None))
    service = build(frame)
    app = Starlette(routes=[Mount(f"/{service.name}", app=FaultMiddleware(service, frame))])
    server = uvicorn.Server(uvicorn.Config(app, http=CuttableProtocol, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=[[listening]], daemon=True)
    thread.start()
    try:
        yield StandIn(frame, service, f"{frame.base_url}/{service.name}")
    finally:
        server.should_exit = True
        thread.join(5)
