"""Which addresses a session may connect to. A URL that a person can set must not lead into our own network."""

import ipaddress
import socket
from enum import StrEnum
from typing import Any

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NameResolutionError

POOLED_HOSTS = 32
POOLED_CONNECTIONS = 16
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


class Reach(StrEnum):
    """ANYWHERE for systems the operator configured; PUBLIC for URLs that customers may set."""

    ANYWHERE = "anywhere"
    PUBLIC = "public"


class NotPublicError(Exception):
    """The host's name leads to an address that is not on the public internet. Nothing was sent."""


def is_public(address: str) -> bool:
    """Whether the address is a unicast address of the public internet, seen through IPv6's ways of wrapping IPv4."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address.split("%", 1)[0])
    if isinstance(ip, ipaddress.IPv6Address):
        translated = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in _NAT64 else None
        inner = ip.ipv4_mapped or ip.sixtofour or translated
        if ip.teredo or (inner is not None and not is_public(str(inner))):
            return False
        ip = ip.ipv4_mapped or ip
    return ip.is_global and not ip.is_multicast


class _PublicMixin:
    """Resolves the name once, checks every address, and connects to a checked one: a rebinding name gains nothing."""

    _dns_host: str
    host: str
    port: int

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        self._dns_host = self._checked_address(name)
        try:
            return super()._new_conn()  # type: ignore[misc, no-any-return]
        finally:
            self._dns_host = name

    def _checked_address(self, name: str) -> str:
        try:
            found = socket.getaddrinfo(name, self.port, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            raise NameResolutionError(name, self, socket.gaierror(str(error))) from None  # type: ignore[arg-type]
        addresses = [str(entry[4][0]) for entry in found]
        if not addresses or not all(is_public(address) for address in addresses):
            raise NotPublicError(f"{name} does not lead to a public address")
        return addresses[0]


class _PublicHTTPConnection(_PublicMixin, HTTPConnection):
    pass


class _PublicHTTPSConnection(_PublicMixin, HTTPSConnection):
    pass


class _PublicHTTPPool(HTTPConnectionPool):
    ConnectionCls = _PublicHTTPConnection


class _PublicHTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _PublicHTTPSConnection


class _PublicAdapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        """Use pools whose connections check where they lead."""
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}


def adapter(reach: Reach) -> HTTPAdapter:
    """A connection pool without retries of its own."""
    kind = _PublicAdapter if reach is Reach.PUBLIC else HTTPAdapter
    return kind(pool_connections=POOLED_HOSTS, pool_maxsize=POOLED_CONNECTIONS, max_retries=0)
