"""Keys: making them, and telling who a request comes from."""

import secrets
import string
from typing import TYPE_CHECKING

from starlette.requests import Request

from sandbox.pterodactyl.errors import PanelError, forbidden
from sandbox.pterodactyl.rows import ApiKey, User

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel

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


def new_key(user: User, prefix: str, **details: object) -> ApiKey:
    """A key of a user; ``ptla_`` keys have every right until told otherwise."""
    key = ApiKey(
        user_id=user.id,
        identifier=prefix + random_text(IDENTIFIER_LENGTH - len(prefix)),
        secret=random_text(KEY_LENGTH - IDENTIFIER_LENGTH),
        rights=dict.fromkeys(RESOURCES, 3) if prefix == "ptla_" else {},
    )
    for name, value in details.items():
        setattr(key, name, value)
    return key


def authenticate(panel: "Panel", request: Request) -> tuple[User, ApiKey]:
    """The key of a request and its owner.

    Raises a 401 for anything that is not a complete, known bearer key.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and len(token) == KEY_LENGTH:
        for key in panel.store.keys.where(identifier=token[:IDENTIFIER_LENGTH]):
            owner = panel.store.users.get(key.user_id)
            if owner is not None and secrets.compare_digest(key.secret, token[IDENTIFIER_LENGTH:]):
                key.last_used_at = panel.now()
                return owner, key
    raise PanelError(401, "AuthenticationException", "Unauthenticated.")


def check_address(key: ApiKey, request: Request) -> None:
    """Refuse a key that is bound to other addresses."""
    address = request.client.host if request.client else ""
    if key.allowed_ips and address not in key.allowed_ips:
        raise forbidden()


def check_api(user: User, key: ApiKey, api: str) -> None:
    """Root admins only on the application API, client keys only on the client API."""
    if api == "application" and not user.is_root_admin:
        raise forbidden()
    if api == "client" and key.is_application:
        raise forbidden()


def check_two_factor(panel: "Panel", user: User, path: str) -> None:
    """Refuse an owner without a second factor where the panel asks for one."""
    is_exempt = path == "/api/client/account" or path.startswith("/api/client/account/two-factor")
    if panel.settings.is_two_factor_forced and not user.has_two_factor and not is_exempt:
        raise PanelError(
            400, "TwoFactorAuthRequiredException", "Two-factor authentication is required on this account."
        )
