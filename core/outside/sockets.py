"""WebSockets to other systems: limited in time and size, without redirects and proxies. Failures are Unavailable."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Origin

from core.outside.errors import Unavailable

OPEN_SECONDS, CLOSE_SECONDS = 10, 2
MAX_FRAME_BYTES = 262_144
MAX_FRAMES = 4  # that wait to be read; what comes then waits at the other side


class _Connect(connect):
    """Follows no redirect: it could lead to a system that only we can reach."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """The error as it is."""
        return exc


class Socket:
    """An open socket for text frames."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, text: str) -> None:
        """Send one frame. Raises Unavailable."""
        try:
            await self._connection.send(text)
        except (WebSocketException, OSError) as error:
            raise Unavailable(f"socket: {type(error).__name__}") from None

    async def receive(self) -> str:
        """The next frame; what is not text is empty. Raises Unavailable, also where the other side has closed."""
        try:
            frame = await self._connection.recv()
        except (WebSocketException, OSError) as error:
            raise Unavailable(f"socket: {type(error).__name__}") from None
        return frame if isinstance(frame, str) else ""


@asynccontextmanager
async def open_socket(url: str, *, origin: str) -> AsyncIterator[Socket]:
    """A socket, opened as a page of `origin` would; closed after the block. Raises Unavailable."""
    try:
        connection = await _Connect(
            url,
            origin=Origin(origin),
            proxy=None,
            compression=None,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            max_size=MAX_FRAME_BYTES,
            max_queue=MAX_FRAMES,
        )
    except (WebSocketException, OSError, ValueError) as error:
        raise Unavailable(f"socket: {type(error).__name__}") from None
    try:
        yield Socket(connection)
    finally:
        await connection.close()
