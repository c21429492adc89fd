"""Time-ordered identifiers (RFC 9562, version 7): random enough for URLs, ordered so that index inserts stay local."""

import secrets
import time
from uuid import UUID


def uuid7() -> UUID:
    """A new version-7 UUID: 48 bits of Unix milliseconds, then 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & (2**48 - 1)) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def uuid_of(key: object) -> UUID | None:
    """A key from outside that may be one of ours; None for any other text."""
    try:
        return UUID(str(key))
    except ValueError:
        return None
