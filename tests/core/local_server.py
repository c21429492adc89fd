"""Small local HTTP servers whose responses a test scripts byte by byte."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Reply = bytes | Callable[[socket.socket], None]


def reply(status: int = 200, body: bytes = b"{}", **headers: str) -> bytes:
    """A complete HTTP response; header names are given with underscores."""
    lines = [f"HTTP/1.1 {status} Scripted", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def drop(_connection: socket.socket) -> None:
    """Close without a byte, after the request was read."""


class LocalServer:
    """Answers each connection with the next scripted reply, the last one repeatedly, and records the requests."""

    def __init__(self, replies: list[Reply]) -> None:
        self.replies = replies
        self.requests: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return  # the test is over
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            request = _read_request(connection)
            with self._lock:
                self.requests.append(request)
                scripted = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            if callable(scripted):
                scripted(connection)
            else:
                _send(connection, scripted)

    def close(self) -> None:
        """Stop listening."""
        self._listener.close()


def _send(connection: socket.socket, content: bytes) -> None:
    try:
        connection.sendall(content)
    except OSError:
        return  # the client had read enough


def _read_request(connection: socket.socket) -> str:
    content = b""
    while b"\r\n\r\n" not in content:
        chunk = connection.recv(65536)
        if not chunk:
            return content.decode("latin-1")
        content += chunk
    head, _, body = content.partition(b"\r\n\r\n")
    length = 0
    for line in head.decode("latin-1").split("\r\n"):
        if line.lower().startswith("content-length:"):
            length = int(line.split(":")[1])
    while len(body) < length:
        body += connection.recv(65536)
    return (head + b"\r\n\r\n" + body).decode("latin-1")


@contextmanager
def serving(*replies: Reply) -> Iterator[LocalServer]:
    """A server during the block."""
    server = LocalServer(list(replies))
    try:
        yield server
    finally:
        server.close()
