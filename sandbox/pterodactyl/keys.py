"""API keys and random text."""

import secrets
import string

from sandbox.pterodactyl.rows import ApiKey, User

LETTERS = string.ascii_letters + string.digits
RESOURCES = (
    "users",
    "servers",
    "nodes",
    "allocations",
    "locations",
    "nests",
    "eggs",
    "database_hosts",
    "server_databases",
)
IDENTIFIER_LENGTH = 16
KEY_LENGTH = 48


def random_text(length: int) -> str:
    """Letters and digits that cannot be guessed."""
    return "".join(secrets.choice(LETTERS) for _ in range(length))


def new_key(user: User, prefix: str, *, description: str = "", allowed_ips: list[str] | None = None) -> ApiKey:
    """A key of a user; ``ptla_`` keys have every right."""
    return ApiKey(
        user_id=user.id,
        identifier=prefix + random_text(IDENTIFIER_LENGTH - len(prefix)),
        secret=random_text(KEY_LENGTH - IDENTIFIER_LENGTH),
        description=description,
        allowed_ips=allowed_ips or [],
        rights=dict.fromkeys(RESOURCES, 3) if prefix == "ptla_" else {},
    )
