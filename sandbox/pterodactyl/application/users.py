"""Users, and the races of their creation."""

import asyncio
import uuid
from typing import Any

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.application.transformers import created, item, page
from sandbox.pterodactyl.call import Call
from sandbox.pterodactyl.checks import is_true
from sandbox.pterodactyl.collation import is_same, unique
from sandbox.pterodactyl.errors import PanelError, not_found
from sandbox.pterodactyl.listing import filtered, substring
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import User
from sandbox.pterodactyl.validation import RuleLine, validate

routes = Routes("application", "users")
LANGUAGES = "in:en,de,es,fr,it,nl,pl,pt,ru,zh"
FILTERS = {name: substring(name) for name in ("email", "uuid", "username", "external_id")}


@routes.add("GET", "/users")
async def index(call: Call) -> Response:
    """Every user, page by page."""
    return JSONResponse(page(call, filtered(call, call.panel.store.users, FILTERS)))


@routes.add("GET", "/users/{id}")
async def show(call: Call) -> Response:
    """One user."""
    return JSONResponse(item(call, call.panel.store.users.get_or_404(call.row_id())))


@routes.add("GET", "/users/external/{external_id}")
async def show_external(call: Call) -> Response:
    """The user with an external id; the oldest when a race made two."""
    for user in call.panel.store.users:
        if is_same(user.external_id, call.params["external_id"]):
            return JSONResponse(item(call, user))
    raise not_found()


@routes.add("POST", "/users")
async def create(call: Call) -> Response:
    """Make a user; of creates without a password that overlap, only one succeeds."""
    panel, fields = call.panel, call.fields
    validate(fields, rules(call))
    await asyncio.sleep(panel.settings.race_delay_ms / 1000)
    if fields.get("password") is None:
        # The panel writes a reset token; creates that overlap here deadlock in its database.
        panel.password_resets += 1
        is_first = panel.password_resets == 1
        try:
            await asyncio.sleep(panel.settings.password_reset_ms / 1000)
        finally:
            panel.password_resets -= 1
        if not is_first:
            raise PanelError(500, "QueryException")
    # The database has unique indexes on email and username, and none on the external id.
    for other in panel.store.users:
        if is_same(other.email, fields["email"]) or is_same(other.username, fields["username"]):
            raise PanelError(500, panel.rng.choice(["QueryException", "DataValidationException"]))
    user = User(uuid=str(uuid.uuid4()), username="", email="", first_name="", last_name="")
    fill(user, fields)
    panel.store.users.add(user)
    return JSONResponse(created(call, user, "users"), 201)


@routes.add("PATCH", "/users/{id}")
async def update(call: Call) -> Response:
    """Change a user; email, username and both names are required again."""
    user = call.panel.store.users.get_or_404(call.row_id())
    validate(call.fields, rules(call, user))
    fill(user, call.fields)
    call.panel.store.users.touch(user)
    return JSONResponse(item(call, user))


def rules(call: Call, own: User | None = None) -> dict[str, RuleLine]:
    """The rules for a user's fields; unique checks leave out the user itself."""
    users = call.panel.store.users
    return {
        "external_id": ["sometimes", "nullable", "string", "max:191", unique(users, "external_id", but=own)],
        "email": ["required", "email", "between:1,191", unique(users, "email", but=own)],
        "username": ["required", "between:1,191", unique(users, "username", but=own), "p_username"],
        "first_name": "required|string|between:1,191",
        "last_name": "required|string|between:1,191",
        "password": "sometimes|nullable|string",
        "root_admin": "boolean",
        "language": f"string|{LANGUAGES}",
    }


def fill(user: User, fields: dict[str, Any]) -> None:
    """Write the fields that were sent; of the optional ones, null clears only the external id."""
    user.email = str(fields["email"])
    user.username = str(fields["username"]).lower()
    user.first_name = fields["first_name"]
    user.last_name = fields["last_name"]
    user.external_id = fields.get("external_id", user.external_id)
    user.language = fields.get("language") or user.language
    user.password = fields.get("password") or user.password
    if fields.get("root_admin") is not None:
        user.is_root_admin = is_true(fields["root_admin"])
