"""gunicorn's threads, behind a loop that collects requests, so that slow clients hold no thread.

Without it a client that sends half a header holds a thread for as long as it likes, and a few such clients hold all.
And one process often took all connections that were opened together, and answered them with one interpreter.
"""

import math
import re
import selectors
import socket
import struct
import time
from contextlib import suppress
from ctypes import c_int
from functools import partial
from multiprocessing.sharedctypes import RawArray
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

HEADER_SECONDS, REQUEST_SECONDS = 10, 30
SEND_SECONDS = 10  # for a client to take the next part of an answer
ANSWER_SECONDS = 60  # for an answer to be made and taken as a whole
SEND_BUFFER_BYTES = 1_048_576  # the kernel takes a whole page, and delivers it while the thread answers another request
RECEIVE_SECONDS = 5  # in a thread, where nothing is left to receive unless the parser disagrees with this module
MAX_HEADER_BYTES, MAX_BODY_BYTES = 65_536, 2_097_152
MAX_BYTES_OF_ALL = 67_108_864  # of all requests that a process is collecting
RECEIVE_BYTES = 262_144
CHECK_SECONDS = 1  # between looks at what takes too long
LEAVE_SECONDS, LEAVE_TIMES = 0.001, 10  # a new connection to a process that has fewer
MAX_WORKERS, GONE = 64, 2**31 - 1
CONNECTIONS = RawArray(c_int, [GONE] * MAX_WORKERS)  # of each process by its age; shared, because processes are forked
HEADER_END = b"\r\n\r\n"
REFUSAL = "HTTP/1.1 {}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:([^\r\n]*)", re.IGNORECASE)
LENGTH = re.compile(rb"\d{1,12}")
CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


class RefusedRequest(Exception):
    """A request that is not worth waiting for; the text is the status line's."""


class Connection(TConn):  # type: ignore[misc]
    """A client's connection with what has come of its next request."""

    since: float
    received: bytearray

    def close(self, graceful: bool = False) -> None:  # noqa: FBT001, FBT002
        """Close at once: its request was taken whole, so nothing unread makes the kernel cut the answer off."""
        super().close()


class BufferingWorker(ThreadWorker):  # type: ignore[misc]
    """Hands a request to a thread when its header and body have arrived; closes connections that take too long."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.arriving: set[Connection] = set()
        self.answering: set[Connection] = set()
        self.collected = 0  # bytes of all that arrive
        self.checked_at = 0.0

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection, unless a process with fewer takes it."""
        for _time in range(LEAVE_TIMES):
            if self.nr_conns <= min(CONNECTIONS):
                break
            time.sleep(LEAVE_SECONDS)
        try:
            client, address = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another process took it, or the client left
        self.nr_conns += 1
        if listener.family != socket.AF_UNIX:  # the body follows the header at once, without waiting for its receipt
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", SEND_SECONDS, 0))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", RECEIVE_SECONDS, 0))
        self.enqueue_req(Connection(self.cfg, client, address, listener.getsockname()))
        self.publish_connections()

    def enqueue_req(self, conn: Connection) -> None:
        """Begin to collect the next request of a connection."""
        conn.init()
        conn.sock.settimeout(0)
        conn.since, conn.received = time.monotonic(), bytearray(conn.parser.unreader.take_buffered())
        self.collected += len(conn.received)
        self.arriving.add(conn)
        self.poller.register(conn.sock, selectors.EVENT_READ, partial(self.receive, conn))
        self.receive(conn, conn.sock)  # most requests are there already

    def receive(self, conn: Connection, client: socket.socket) -> None:
        """Take what has come; when it is a whole request, give it to a thread."""
        if conn not in self.arriving:
            return  # `free_memory` refused it while another was received
        try:
            data: bytes | None = client.recv(RECEIVE_BYTES)
        except BlockingIOError:
            data = None  # nothing more yet, but what came with the request before may be a whole one
        except OSError:
            self.drop(conn)
            return
        conn.received += data or b""
        self.collected += len(data or b"")
        try:
            is_whole = missing_bytes(conn.received) == 0
        except RefusedRequest as refusal:
            self.drop(conn, REFUSAL.format(refusal).encode())
            return
        if is_whole:
            self.forget(conn)
            conn.parser.unreader.unread(bytes(conn.received))
            conn.since = math.inf  # no limit of time applies until a thread begins
            self.answering.add(conn)
            super().enqueue_req(conn)
        elif data == b"":
            self.drop(conn)
        else:
            self.free_memory()

    def free_memory(self) -> None:
        """While more is held than allowed, refuse the request with the highest product of size and waiting time.

        So those that hold back the end of a large body displace each other; what is small or arrives quickly stays.
        """
        now = time.monotonic()
        while self.collected > MAX_BYTES_OF_ALL:
            worst = max(self.arriving, key=lambda conn: len(conn.received) * (now - conn.since))
            self.drop(worst, REFUSAL.format("503 Service Unavailable").encode())

    def handle(self, conn: Connection) -> Any:
        """Answer, in a thread. ANSWER_SECONDS count from here."""
        conn.since = time.monotonic()
        return super().handle(conn)

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """The answer is sent, or was given up."""
        self.answering.discard(conn)
        super().finish_request(conn, fs)

    def drop(self, conn: Connection, answer: bytes = b"") -> None:
        """Close a connection whose request did not arrive."""
        self.forget(conn)
        self.nr_conns -= 1
        try:
            conn.sock.send(answer)
        except OSError as error:
            self.log.debug("no answer could be sent: %s", error)
        conn.close()

    def forget(self, conn: Connection) -> None:
        """Collect no more of the connection's request."""
        self.arriving.remove(conn)
        self.collected -= len(conn.received)
        self.poller.unregister(conn.sock)

    def publish_connections(self) -> None:
        """Tell the other processes how many connections this one has."""
        CONNECTIONS[self.age % MAX_WORKERS] = self.nr_conns if self.alive else GONE

    def murder_pending(self) -> None:
        """Close what takes too long, and when the worker stops, what has not begun. Called after every event."""
        super().murder_pending()
        self.publish_connections()
        now = time.monotonic()
        if self.alive and now - self.checked_at < CHECK_SECONDS:
            return
        self.checked_at = now
        for conn in list(self.arriving):
            seconds = REQUEST_SECONDS if HEADER_END in conn.received else HEADER_SECONDS
            if now - conn.since > seconds or not (self.alive or conn.received):
                self.drop(conn)
        for conn in [conn for conn in self.answering if now - conn.since > ANSWER_SECONDS]:
            self.answering.remove(conn)
            with suppress(OSError):  # the thread has just closed it
                conn.sock.shutdown(socket.SHUT_RDWR)  # the thread that sends gets an error, and is free


def missing_bytes(received: bytearray) -> int | None:
    """How many bytes of the request are still to come; None while its header is not whole. Raises RefusedRequest."""
    end = received.find(HEADER_END)
    if end < 0:
        if len(received) > MAX_HEADER_BYTES:
            raise RefusedRequest("431 Request Header Fields Too Large")
        return None
    head = bytes(received[: end + len(HEADER_END)])
    if CHUNKED.search(head):
        raise RefusedRequest("411 Length Required")
    lengths = [value.strip(b" \t") for value in CONTENT_LENGTH.findall(head)]
    if len(lengths) > 1 or not all(LENGTH.fullmatch(value) for value in lengths):
        raise RefusedRequest("400 Bad Request")  # however gunicorn's parser would read it
    length = int(lengths[0]) if lengths else 0
    if length > MAX_BODY_BYTES:
        raise RefusedRequest("413 Content Too Large")
    return max(0, len(head) + length - len(received))
