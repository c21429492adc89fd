"""A server's startup and settings as its users change them: variables, image, installing again."""

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl import lifecycle
from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.client import access, transformers
from sandbox.pterodactyl.errors import FailedRule, PanelError, ValidationError, refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.validation import validate

routes = Routes("client")


@routes.add("GET", "/servers/{server}/startup")
async def index(call: Call) -> Response:
    """The variables that a user may see, and the images of the egg."""
    server, store = access.usable_server(call), call.panel.store
    meta = {
        "startup_command": transformers.startup_command(store, server),
        "docker_images": store.eggs.get_or_404(server.egg_id).docker_images,
        "raw_startup_command": server.startup,
    }
    return JSONResponse({"object": "list", "data": transformers.variables(store, server), "meta": meta})


@routes.add("PUT", "/servers/{server}/startup/variable")
async def set_variable(call: Call) -> Response:
    """Give a variable another value, by its own rules."""
    server, store = access.usable_server(call), call.panel.store
    validate(call.fields, {"key": "required|string"})
    named = [each for each in store.eggs.get_or_404(server.egg_id).variables if each.env_variable == call.fields["key"]]
    if not named:
        raise PanelError(500, "ErrorException")
    variable = named[-1]
    if not (variable.is_user_viewable and variable.is_user_editable):
        raise refusal("BadRequestHttpException", "The environment variable you are trying to edit is read-only.")
    value = call.fields.get("value")
    validate({"value": value}, {"value": variable.rules})
    server.environment[variable.env_variable] = "" if value is None else str(value)
    store.servers.touch(server)
    return JSONResponse(transformers.variable(server, variable))


@routes.add("PUT", "/servers/{server}/settings/docker-image")
async def set_image(call: Call) -> Response:
    """Choose another of the egg's images."""
    server, store = access.usable_server(call), call.panel.store
    images = set(store.eggs.get_or_404(server.egg_id).docker_images.values())
    validate(call.fields, {"docker_image": "required|string"})
    if call.fields["docker_image"] not in images:
        raise ValidationError([FailedRule(field="docker_image", rule="in")])
    if server.image not in images:
        raise refusal("BadRequestHttpException", "This server's Docker image was set by an administrator.")
    server.image = call.fields["docker_image"]
    store.servers.touch(server)
    return no_content()


@routes.add("POST", "/servers/{server}/settings/reinstall")
async def reinstall(call: Call) -> Response:
    """Install again, over the files that are there."""
    await lifecycle.reinstall(call.panel, access.usable_server(call))
    return no_content(202)
