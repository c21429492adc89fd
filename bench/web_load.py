"""Load on a web server from one thread: some connections that stay open, each with one request at a time."""

import re
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from demo.environment import HOST

HEADER_END = b"\r\n\r\n"
LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
RECEIVE_BYTES = 262_144
TIMEOUT_SECONDS = 30
WARM_UP = 5
SLOW_CLIENTS = 200


@dataclass(frozen=True)
class Load:
    """What was measured: answers a second, and how long all but one in a hundred took."""

    rate: float
    p99_ms: float


class Connection:
    """A connection and what has come of the answer it waits for."""

    def __init__(self, port: int, request: bytes) -> None:
        self.request = request
        self.socket = socket.create_connection((HOST, port), timeout=TIMEOUT_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self) -> None:
        """Send the request again."""
        self.received = bytearray()
        self.sent_at = time.perf_counter()
        self.socket.sendall(self.request)

    def receive(self) -> bool:
        """Take what has come; whether the answer is whole. Anything but 200 raises."""
        data = self.socket.recv(RECEIVE_BYTES)
        self.received += data
        end = self.received.find(HEADER_END)
        if end >= 0:
            head = bytes(self.received[:end])
            found = LENGTH.search(head)
            if not head.startswith(b"HTTP/1.1 200") or found is None:
                raise RuntimeError(head.decode(errors="replace"))
            if len(self.received) >= end + len(HEADER_END) + int(found[1]):
                return True
        if not data:
            raise RuntimeError(f"the server closed a connection after {bytes(self.received)!r}")
        return False

    def ask(self) -> None:
        """Send the request and wait for its answer."""
        self.send()
        while not self.receive():
            pass


def load(port: int, path: str, *, cookie: str = "", connections: int, seconds: float) -> Load:
    """Open the page as often as the connections allow, for so many seconds."""
    cookies = f"Cookie: {cookie}\r\n" if cookie else ""
    request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\nAccept-Encoding: gzip\r\n{cookies}\r\n".encode()
    spent = []
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        opened = [Connection(port, request) for _ in range(connections)]
        for each in opened:
            stack.enter_context(each.socket)
            selector.register(each.socket, selectors.EVENT_READ, each)
        for _ in range(WARM_UP):  # on one only: the others would be closed while they wait for their turn
            opened[0].ask()
        began = time.perf_counter()
        for each in opened:
            each.send()
        now = began
        while now - began < seconds:
            for key, _events in selector.select(TIMEOUT_SECONDS):
                if key.data.receive():
                    now = time.perf_counter()
                    spent.append(now - key.data.sent_at)
                    key.data.send()
    spent.sort()
    return Load(len(spent) / (now - began), spent[int(len(spent) * 0.99)] * 1000)


@contextmanager
def slow_clients(port: int) -> Iterator[None]:
    """Clients that have each sent half a header, and send no more."""
    with ExitStack() as stack:
        for _ in range(SLOW_CLIENTS):
            client = stack.enter_context(socket.create_connection((HOST, port), timeout=TIMEOUT_SECONDS))
            client.sendall(b"GET / HTTP/1.1\r\nHost: shop\r\nX-Slow")
        yield
