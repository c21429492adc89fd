"""Users, and the races their creation is prone to."""

import asyncio
import uuid
from typing import Any

from starlette.responses import Response

from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.collation import folded, same, unique
from sandbox.pterodactyl.errors import lost_race, missing, refusal
from sandbox.pterodactyl.listing import Filters, includes, narrowed, ordered, page_of
from sandbox.pterodactyl.objects import item
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.rows import User
from sandbox.pterodactyl.validation import RuleLine, validate

routes = Routes("application", "users")
LANGUAGES = "in:en,de,es,fr,it,nl,pl,pt,ru,zh"
FILTERS: Filters[User] = Filters(
    partial={
        "email": lambda user: user.email,
        "uuid": lambda user: user.uuid,
        "username": lambda user: user.username,
        "external_id": lambda user: user.external_id,
    },
    sorts={"id": lambda user: user.id, "uuid": lambda user: user.uuid},
)


@routes.add("GET", "/users")
async def index(call: Call) -> Response:
    """Every user, page by page."""
    found = ordered(call, narrowed(call, call.panel.store.users, FILTERS), FILTERS)
    tree = includes(call)
    return reply(page_of(call, found, lambda user: item(call, user, tree)))


@routes.add("GET", "/users/{id}")
async def show(call: Call) -> Response:
    """One user."""
    return reply(item(call, call.panel.store.users.must(call.row_id()), includes(call)))


@routes.add("GET", "/users/external/{external_id}")
async def show_external(call: Call) -> Response:
    """The user with an outside id; the oldest when a race made two."""
    for user in call.panel.store.users:
        if same(user.external_id, call.params["external_id"]):
            return reply(item(call, user, includes(call)))
    raise missing()


@routes.add("POST", "/users")
async def create(call: Call) -> Response:
    """Make a user; without a password, only one creation at a time succeeds."""
    validate(call.fields, rules(call))
    await asyncio.sleep(call.panel.settings.race_delay_ms / 1000)
    if call.fields.get("password") is None:
        await set_random_password(call)
    refuse_lost_race(call)
    user = call.panel.store.users.add(
        User(uuid=str(uuid.uuid4()), username="", email="", first_name="", last_name="", **optional(call.fields))
    )
    fill(user, call.fields)
    answer = item(call, user, includes(call))
    answer["meta"] = {"resource": f"{call.panel.url}/api/application/users/{user.id}"}
    return reply(answer, 201)


@routes.add("PATCH", "/users/{id}")
async def update(call: Call) -> Response:
    """Change a user; the four naming fields are required again."""
    user = call.panel.store.users.must(call.row_id())
    validate(call.fields, rules(call, user))
    for name, value in optional(call.fields).items():
        setattr(user, name, value)
    fill(user, call.fields)
    call.panel.store.users.touch(user)
    return reply(item(call, user, includes(call)))


@routes.add("DELETE", "/users/{id}")
async def remove(call: Call) -> Response:
    """Delete a user who owns no server."""
    user = call.panel.store.users.must(call.row_id())
    if call.panel.store.servers.where(user_id=user.id):
        raise refusal("DisplayException", "Cannot delete a user with active servers attached to their account.")
    for key in call.panel.store.keys.where(user_id=user.id):
        call.panel.store.keys.remove(key)
    for part in call.panel.store.subusers.where(user_id=user.id):
        call.panel.store.subusers.remove(part)
    call.panel.store.users.remove(user)
    return no_content()


def rules(call: Call, own: User | None = None) -> dict[str, RuleLine]:
    """The rules for a user's fields; unique checks leave out the user itself."""
    users = list(call.panel.store.users)
    return {
        "external_id": [
            "sometimes",
            "nullable",
            "string",
            "max:191",
            unique(users, lambda user: user.external_id, but=own),
        ],
        "email": ["required", "email", "between:1,191", unique(users, lambda user: user.email, but=own)],
        "username": [
            "required",
            "between:1,191",
            unique(users, lambda user: user.username, but=own),
            "p_username",
        ],
        "first_name": "required|string|between:1,191",
        "last_name": "required|string|between:1,191",
        "password": "sometimes|nullable|string",
        "root_admin": "boolean",
        "language": f"string|{LANGUAGES}",
    }


def optional(fields: dict[str, Any]) -> dict[str, Any]:
    """The optional fields that were sent, under the names of the row."""
    found: dict[str, Any] = {name: fields[name] for name in ("external_id", "language") if name in fields}
    if fields.get("password") is not None:
        found["password"] = fields["password"]
    if fields.get("root_admin") is not None:
        found["is_root_admin"] = fields["root_admin"] in (True, 1, "1")
    return {name: value for name, value in found.items() if value is not None or name == "external_id"}


def fill(user: User, fields: dict[str, Any]) -> None:
    """Take over the fields that every write names."""
    user.email = str(fields["email"])
    user.username = str(fields["username"]).lower()
    user.first_name = fields["first_name"]
    user.last_name = fields["last_name"]


async def set_random_password(call: Call) -> None:
    """Write to the reset-token table, where creations that overlap deadlock.

    Raises a 500 for all but the first.
    """
    panel = call.panel
    panel.resets_under_way += 1
    is_first = panel.resets_under_way == 1
    try:
        await asyncio.sleep(panel.settings.password_reset_ms / 1000)
    finally:
        panel.resets_under_way -= 1
    if not is_first:
        raise lost_race("QueryException")


def refuse_lost_race(call: Call) -> None:
    """Hit the unique indexes of email and username; there is none on the outside id.

    Raises a 500.
    """
    for user in call.panel.store.users:
        is_taken = folded(user.email) == folded(call.fields["email"])
        if is_taken or folded(user.username) == folded(call.fields["username"]):
            raise lost_race(call.panel.rng.choice(["QueryException", "DataValidationException"]))
