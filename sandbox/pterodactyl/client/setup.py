"""How a server starts and what it is called: variables, image, name, reinstall, subusers."""

import uuid
from typing import Any

from starlette.responses import Response

from sandbox.pterodactyl import lifecycle, rows
from sandbox.pterodactyl.call import Call, no_content, reply
from sandbox.pterodactyl.client import access, shapes
from sandbox.pterodactyl.collation import same
from sandbox.pterodactyl.errors import GENERIC, Complaint, Invalid, PanelError, refusal
from sandbox.pterodactyl.keys import random_text
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.times import stamp
from sandbox.pterodactyl.validation import complaints_about, validate

routes = Routes("client")


@routes.add("GET", "/servers/{server}/startup")
async def startup(call: Call) -> Response:
    """The variables a user may see, and the startup they fill."""
    server = access.server_for(call, "startup.read")
    egg = call.panel.store.eggs.must(server.egg_id)
    meta: dict[str, Any] = {
        "startup_command": shapes.invocation(call.panel.store, server),
        "docker_images": egg.docker_images or [],
        "raw_startup_command": server.startup,
    }
    return reply({**shapes.listed(shapes.variables(call, server)), "meta": meta})


@routes.add("PUT", "/servers/{server}/startup/variable")
async def change_variable(call: Call) -> Response:
    """Change one variable."""
    server = access.server_for(call, "startup.update")
    validate(call.fields, {"key": "required|string", "value": "present"})
    variable = editable_variable(call, server)
    failed = complaints_about({"value": call.fields["value"]}, "value", variable.rules)
    if failed:
        raise Invalid([Complaint(field="value", rule=each.rule) for each in failed])
    server.environment[variable.env_variable] = str(call.fields["value"] if call.fields["value"] is not None else "")
    meta = {
        "startup_command": shapes.invocation(call.panel.store, server),
        "raw_startup_command": server.startup,
    }
    access.log(call, server, "server:startup.edit")
    return reply({**shapes.variable(server, variable), "meta": meta})


def editable_variable(call: Call, server: rows.Server) -> rows.EggVariable:
    """The variable that is to change.

    Raises a 400 for a hidden or read-only one and, as the panel does, a 500 for an unknown one.
    """
    for variable in call.panel.store.eggs.must(server.egg_id).variables:
        if variable.env_variable == call.fields["key"]:
            if variable.is_user_viewable and variable.is_user_editable:
                return variable
            raise refusal("BadRequestHttpException", "The environment variable you are trying to edit is read-only.")
    raise PanelError(500, "ErrorException", GENERIC)


@routes.add("POST", "/servers/{server}/settings/rename")
async def rename(call: Call) -> Response:
    """Rename a server; a description that is not sent stays."""
    server = access.server_for(call, "settings.rename")
    validate(call.fields, {"name": "required|string|min:1|max:191", "description": "string|nullable"})
    server.name = call.fields["name"]
    if "description" in call.fields:
        server.description = call.fields["description"] or ""
    call.panel.store.servers.touch(server)
    return no_content()


@routes.add("POST", "/servers/{server}/settings/reinstall")
async def reinstall(call: Call) -> Response:
    """Run the install again."""
    server = access.server_for(call, "settings.reinstall")
    await lifecycle.reinstall(call.panel, server)
    access.log(call, server, "server:reinstall")
    return no_content(202)


@routes.add("PUT", "/servers/{server}/settings/docker-image")
async def change_image(call: Call) -> Response:
    """Change the image to another of the egg's."""
    server = access.server_for(call, "startup.docker-image")
    images = list(call.panel.store.eggs.must(server.egg_id).docker_images.values())
    validate(call.fields, {"docker_image": "required|string"})
    if call.fields["docker_image"] not in images:
        raise Invalid([Complaint(field="docker_image", rule="in")])
    if server.image not in images:
        raise refusal("BadRequestHttpException", "This server's Docker image was set by an administrator.")
    server.image = call.fields["docker_image"]
    return no_content()


def subuser(call: Call, part: rows.Subuser) -> dict[str, Any]:
    """A subuser as the server's users see it."""
    user = call.panel.store.users.must(part.user_id)
    return shapes.shown(
        "server_subuser",
        {
            "uuid": user.uuid,
            "username": user.username,
            "email": user.email,
            "image": "",
            "2fa_enabled": user.has_two_factor,
            "created_at": stamp(part.created_at),
            "permissions": part.permissions,
        },
    )


@routes.add("GET", "/servers/{server}/users")
async def subusers(call: Call) -> Response:
    """Everyone who was given a part in a server."""
    server = access.server_for(call, "user.read")
    found = call.panel.store.subusers.where(server_id=server.id)
    return reply(shapes.listed([subuser(call, part) for part in found]))


@routes.add("POST", "/servers/{server}/users")
async def add_subuser(call: Call) -> Response:
    """Give someone a part in a server; an unknown address becomes a new account."""
    server, store = access.server_for(call, "user.create"), call.panel.store
    validate(
        call.fields,
        {"email": "required|email|between:1,191", "permissions": "required|array", "permissions.*": "string"},
    )
    email = call.fields["email"]
    user = next((each for each in store.users if same(each.email, email)), None) or invited(call, email)
    if user.id == server.user_id or store.subusers.where(server_id=server.id, user_id=user.id):
        raise refusal("ServerSubuserExistsException", "That user already has access to this server.")
    granted = sorted({"websocket.connect", *call.fields["permissions"]})
    part = store.subusers.add(rows.Subuser(user_id=user.id, server_id=server.id, permissions=granted))
    return reply(subuser(call, part))


def invited(call: Call, email: str) -> rows.User:
    """A new account for an address."""
    name = "".join(letter for letter in email.split("@")[0].lower() if letter.isalnum())[:32] + random_text(3).lower()
    return call.panel.store.users.add(
        rows.User(uuid=str(uuid.uuid4()), username=name, email=email, first_name="Server", last_name="Subuser")
    )


@routes.add("DELETE", "/servers/{server}/users/{user}")
async def remove_subuser(call: Call) -> Response:
    """Take someone's part in a server away."""
    server, store = access.server_for(call, "user.delete"), call.panel.store
    for part in store.subusers.where(server_id=server.id):
        if store.users.must(part.user_id).uuid == call.params["user"]:
            store.subusers.remove(part)
    return no_content()
