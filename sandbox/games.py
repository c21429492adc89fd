"""Stand-in of a game server on real sockets: Minecraft's ping by TCP and by UDP, and Source's questions by UDP.

One port answers all of them. What it says of its players is set by `told`; `raw` answers everything with the bytes
given, and `is_silent` with nothing.
"""

import json
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Self

ONLY_PACKET = b"\xff\xff\xff\xff"
CHALLENGE = b"\x11\x22\x33\x44"
RAKNET_MAGIC = bytes.fromhex("00ffff00fefefefefdfdfdfd12345678")


class GameServer:
    """Answers on one port of this machine, the same for TCP and UDP, until it is closed."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.count, self.limit = 3, 20
        self.names = ["mira", "tomas", "ko"]
        self.raw: bytes | None = None
        self.is_silent = False
        self.pause_seconds = 0.0  # between the pieces of a long answer
        self.asked: list[str] = []
        self._stream = socket.create_server((host, 0))
        self.address: tuple[str, int] = self._stream.getsockname()
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(self.address)
        for serve in (self._serve_stream, self._serve_datagrams):
            threading.Thread(target=serve, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.shutdown(socket.SHUT_RDWR)  # so that nothing is accepted any more
        self._stream.close()
        self._datagrams.close()

    def _serve_stream(self) -> None:
        while True:
            try:
                connection, _address = self._stream.accept()
            except OSError:
                return
            threading.Thread(target=self._answer_stream, args=(connection,), daemon=True).start()

    def _answer_stream(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):  # who asked may be gone
            request = b""
            while request[-2:] != b"\x01\x00":  # the request for the status, behind the handshake
                request += connection.recv(1024) or b"\x01\x00"
            self.asked.append("minecraft_java")
            if self.is_silent:
                connection.recv(1)  # until the other side has waited long enough
                return
            sample = [{"name": name, "id": "00000000-0000-0000-0000-000000000000"} for name in self.names]
            players = {"online": self.count, "max": self.limit, "sample": sample}
            version = {"name": "1.21", "protocol": 767}
            text = json.dumps({"version": version, "players": players, "description": "A game"}).encode()
            packet = b"\x00" + _varint(len(text)) + text
            answer = _varint(len(packet)) + packet if self.raw is None else self.raw
            for begins in range(0, len(answer), 700):  # as a network splits it
                connection.sendall(answer[begins : begins + 700])
                time.sleep(self.pause_seconds)

    def _serve_datagrams(self) -> None:
        while True:
            try:
                packet, address = self._datagrams.recvfrom(2048)
                answer = self._answer_to(packet) if self.raw is None else self.raw
                if answer and not self.is_silent:
                    self._datagrams.sendto(answer, address)
            except OSError:
                return

    def _answer_to(self, packet: bytes) -> bytes:
        if packet[:1] == b"\x01" and RAKNET_MAGIC in packet:
            self.asked.append("minecraft_bedrock")
            said = f"MCPE;A game;766;1.21;{self.count};{self.limit};1;World;Survival;1;19132;19133;".encode()
            return b"\x1c" + packet[1:9] + bytes(8) + RAKNET_MAGIC + struct.pack(">H", len(said)) + said
        if packet[:4] != ONLY_PACKET:
            return b""
        self.asked.append("source")
        if packet[-4:] != CHALLENGE:
            return ONLY_PACKET + b"A" + CHALLENGE
        if packet[4:5] == b"U":
            players = b"".join(b"\x00" + name.encode() + b"\x00" + struct.pack("<lf", 7, 60.0) for name in self.names)
            return ONLY_PACKET + b"D" + bytes([len(self.names)]) + players
        facts = b"\x11A game\0de_dust2\0game\0A game\0" + struct.pack("<HBBB", 440, self.count, self.limit, 0)
        return ONLY_PACKET + b"I" + facts + b"dl\x00\x01" + b"1.0\0"


def _varint(number: int) -> bytes:
    high, low = number >> 7, number & 0x7F
    return bytes([low | 0x80]) + _varint(high) if high else bytes([low])
