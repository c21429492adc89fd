"""How many players a game has, asked of the game itself by the protocol that its client speaks.

What answers is a program of our customer's. So all packets of a question have one deadline, an answer has a largest
size, nothing is decompressed, and what is not as the protocol says is no answer (docs/decisions/game-queries.md).
"""

import json
import logging
import socket
import struct
import time
import unicodedata
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from ipaddress import ip_address

from core.outside import pages, refuse_transaction
from core.text import INVISIBLE
from servers.models import QueryProtocol

log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 2.0
MAX_ANSWER, MAX_DATAGRAM = 262_144, 4096  # bytes; a modded game names its mods beside its players
MAX_NAMES, MAX_NAME_LENGTH, MAX_COUNT = 12, 32, 1_000_000
ONLY_PACKET = b"\xff\xff\xff\xff"
ASKS_INFO, ASKS_PLAYERS = b"TSource Engine Query\0", b"U"
RAKNET_MAGIC = bytes.fromhex("00ffff00fefefefefdfdfdfd12345678")


@dataclass(frozen=True)
class Players:
    """How many play, of how many who may, and the names of some where the game tells them."""

    count: int
    limit: int
    names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ValueError for numbers that no game has."""
        if not all(type(each) is int and 0 <= each <= MAX_COUNT for each in (self.count, self.limit)):
            raise ValueError("not a number of players")


def ask(protocol: QueryProtocol, ip: str, port: int) -> Players | None:
    """Who plays there; None without an answer that is understood. It takes two seconds at most. No name is looked up.

    Raises RuntimeError in a page and in a transaction, which would wait for it.
    """
    label = f"{protocol} {ip}:{port}"
    pages.refuse_page(label)
    refuse_transaction(label)
    address = ip_address(ip)
    if address.is_unspecified or address.is_link_local or address.is_multicast:
        return None
    try:
        return QUESTIONS[protocol](ip, port, time.monotonic() + TIMEOUT_SECONDS)
    except (OSError, ValueError, LookupError, TypeError, AttributeError, struct.error, RecursionError) as error:
        log.info("%s: no answer: %s", label, type(error).__name__)
        return None


def _seconds_left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _minecraft_java(ip: str, port: int, deadline: float) -> Players:
    """A handshake and a request; the answer is JSON behind two lengths and the number of the packet."""
    with socket.create_connection((ip, port), timeout=_seconds_left(deadline)) as connection:
        host = ip.encode()
        handshake = b"\x00" + _varint(47) + _varint(len(host)) + host + struct.pack(">H", port) + b"\x01"
        connection.sendall(_varint(len(handshake)) + handshake + b"\x01\x00")
        received = b""
        while True:
            length, begins = _read_varint(received)
            if length > MAX_ANSWER:
                raise ValueError("the answer is too long")
            if begins and len(received) >= begins + length:
                break
            connection.settimeout(_seconds_left(deadline))
            chunk = connection.recv(65_536)
            if not chunk:
                raise ConnectionError("closed before the answer")
            received += chunk
    packet = received[begins : begins + length]
    length, begins = _read_varint(packet[1:])
    told = json.loads(packet[1 + begins : 1 + begins + length])["players"]
    sample = told.get("sample")
    names = [each["name"] for each in sample[:MAX_NAMES]] if isinstance(sample, list) else []
    return Players(told["online"], told["max"], _shown(names))


def _varint(number: int) -> bytes:
    """A small number as Minecraft writes it: seven bits a byte, the lowest first."""
    high, low = number >> 7, number & 0x7F
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])


def _read_varint(data: bytes) -> tuple[int, int]:
    """The number that the data begins with, and how many bytes it takes; none while it is not all there."""
    number = 0
    for position, each in enumerate(data[:5]):
        number |= (each & 0x7F) << 7 * position
        if not each & 0x80:
            return number, position + 1
    if len(data) >= 5:
        raise ValueError("not a number")
    return 0, 0


def _minecraft_bedrock(ip: str, port: int, deadline: float) -> Players:
    """One datagram each way. It tells no names."""
    with closing(_datagrams(ip, port)) as connection:
        answer = _exchange(connection, b"\x01" + bytes(8) + RAKNET_MAGIC + bytes(8), deadline)
    if answer[:1] != b"\x1c" or answer[17:33] != RAKNET_MAGIC:
        raise ValueError("not a pong")
    fields = answer[35:].decode("utf-8", "replace").split(";")
    return Players(int(fields[4]), int(fields[5]))


def _source(ip: str, port: int, deadline: float) -> Players:
    """The server's facts, then its players, each behind a challenge. Without the second answer there are no names."""
    with closing(_datagrams(ip, port)) as connection:
        facts = _ask_source(connection, ASKS_INFO, b"", deadline)
        kind, rest = facts[:1], facts[1:]
        if kind == b"I":
            # The protocol's version; name, map, folder and game; the game's number; players and their limit.
            told = rest[1:].split(b"\0", 4)[4]
            count, limit = told[2], told[3]
        elif kind == b"m":  # as GoldSource tells it: address, name, map, folder, game; players and their limit
            count, limit = rest.split(b"\0", 5)[5][:2]
        else:
            raise ValueError("no facts")
        try:
            names = _names(_ask_source(connection, ASKS_PLAYERS, ONLY_PACKET, deadline)) if count else []
        except (OSError, ValueError):
            names = []
    return Players(count, limit, _shown(names))


def _ask_source(connection: socket.socket, question: bytes, challenge: bytes, deadline: float) -> bytes:
    """The answer without its header; where the game wants proof of our address first, that is given once."""
    answer = _exchange(connection, ONLY_PACKET + question + challenge, deadline)
    if answer[:5] == ONLY_PACKET + b"A":
        answer = _exchange(connection, ONLY_PACKET + question + answer[5:9], deadline)
    if answer[:4] != ONLY_PACKET:
        raise ValueError("an answer in parts")
    return answer[4:]


def _names(answer: bytes) -> list[str]:
    """Each player is a number, a name, a score and how long they play."""
    if answer[:1] != b"D":
        raise ValueError("no players")
    names: list[str] = []
    rest = answer[2:]
    while rest and len(names) < MAX_NAMES:
        name, _end, rest = rest[1:].partition(b"\0")
        rest = rest[8:]
        names.append(name.decode("utf-8", "replace"))
    return names


def _datagrams(ip: str, port: int) -> socket.socket:
    """A socket that takes datagrams of this address only."""
    connection = socket.socket(socket.AF_INET6 if ":" in ip else socket.AF_INET, socket.SOCK_DGRAM)
    connection.connect((ip, port))
    return connection


def _exchange(connection: socket.socket, question: bytes, deadline: float) -> bytes:
    connection.settimeout(_seconds_left(deadline))
    connection.send(question)
    return connection.recv(MAX_DATAGRAM)


def _shown(names: list[str]) -> tuple[str, ...]:
    """What may be shown of the names: no control or direction marks, no colours, nothing long."""
    cleaned = []
    for name in names:
        visible = "".join(each for each in name if unicodedata.category(each) not in INVISIBLE)
        plain = "".join(part[1:] if number else part for number, part in enumerate(visible.split("§")))
        cleaned.append(plain.strip()[:MAX_NAME_LENGTH])
    return tuple(name for name in cleaned if name)


QUESTIONS: Mapping[QueryProtocol, Callable[[str, int, float], Players]] = {
    QueryProtocol.MINECRAFT_JAVA: _minecraft_java,
    QueryProtocol.MINECRAFT_BEDROCK: _minecraft_bedrock,
    QueryProtocol.SOURCE: _source,
}
