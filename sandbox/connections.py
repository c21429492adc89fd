"""Cutting a TCP connection in the middle of an exchange, which ASGI alone cannot do."""

import asyncio
import socket
from typing import Any, cast
from weakref import WeakValueDictionary

from starlette.types import Scope
from uvicorn.protocols.http.h11_impl import H11Protocol

_open: WeakValueDictionary[tuple[str, int], asyncio.Transport] = WeakValueDictionary()


class CuttableProtocol(H11Protocol):
    """Uvicorn's HTTP protocol that remembers which transport belongs to which client address."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Note the transport, then go on as usual."""
        super().connection_made(transport)
        peer = cast("Any", transport.get_extra_info("peername"))
        # The listening socket names no protocol, so asyncio leaves Nagle on and every kept connection waits 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if peer:
            _open[(str(peer[0]), int(peer[1]))] = transport


async def cut(scope: Scope) -> None:
    """Close the request's connection without another byte; the client sees it reset."""
    client = scope.get("client")
    transport = _open.get((client[0], client[1])) if client else None
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0.01)  # let uvicorn notice, or it logs a missing answer
