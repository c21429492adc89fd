"""The binding: for whom a customer's transaction works, signed so that no statement in it can claim anything else.

Row-level security asks `app_user()` and `app_organizations()` (core/migrations/0002_roles_and_functions.py), and they
believe only a binding that is signed with the shop's key for this transaction of this database process. A statement
that an attacker slips into a page can read its own binding, which says nothing new, but can neither make one nor use
one of another transaction. The database keeps the key where only the tables' owner reads it; HMAC (RFC 2104) is nested
sha256, so that no extension is needed.
"""

import hashlib
import hmac
from collections.abc import Iterable
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.utils.crypto import salted_hmac

BLOCK_BYTES = 64  # of SHA-256
# Names one transaction of one database process.
TRANSACTION = "SELECT pg_backend_pid() || '.' || encode(timestamptz_send(transaction_timestamp()), 'hex')"
INSTALL_KEY = """
    INSERT INTO private.binding_key (id, inner_pad, outer_pad) VALUES (1, %s, %s)
    ON CONFLICT (id) DO UPDATE SET inner_pad = EXCLUDED.inner_pad, outer_pad = EXCLUDED.outer_pad
    WHERE (binding_key.inner_pad, binding_key.outer_pad) <> (EXCLUDED.inner_pad, EXCLUDED.outer_pad)"""


def signed_binding(transaction: str, user_id: UUID | None, organizations: Iterable[UUID]) -> str:
    """The binding of the transaction that `TRANSACTION` named: user, organizations and signature."""
    content = f"{user_id or ''}:{','.join(map(str, organizations))}"
    signature = hmac.new(_key(settings.SECRET_KEY), f"{transaction}:{content}".encode(), hashlib.sha256)
    return f"{content}:{signature.hexdigest()}"


def pads() -> tuple[bytes, bytes]:
    """HMAC's inner and outer padded key: what the database needs to verify."""
    key = _key(settings.SECRET_KEY).ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in key) for pad in (0x36, 0x5C))
    return inner, outer


@lru_cache(maxsize=4)
def _key(secret: str) -> bytes:
    return salted_hmac("core.tenancy.binding", b"", secret=secret, algorithm="sha256").digest()
