"""How a server starts: its variables and its image."""

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.client import access, transformers
from sandbox.pterodactyl.errors import FailedRule, PanelError, ValidationError, refusal
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.transformers import Json, plain_list
from sandbox.pterodactyl.validation import failed_rules, validate

routes = Routes("client")


@routes.add("GET", "/servers/{server}/startup")
async def show(call: Call) -> Response:
    """The variables that a user may see, and the startup command with their values."""
    server, store = access.usable_server(call), call.panel.store
    meta: Json = {
        "startup_command": transformers.startup_command(store, server),
        "docker_images": store.eggs.get_or_404(server.egg_id).docker_images or [],
        "raw_startup_command": server.startup,
    }
    return JSONResponse({**plain_list(transformers.variables(store, server)), "meta": meta})


@routes.add("PUT", "/servers/{server}/startup/variable")
async def change_variable(call: Call) -> Response:
    """Change one variable.

    Raises a 400 for a hidden or read-only one and, as the panel does, a 500 for an unknown one.
    """
    server, store = access.usable_server(call), call.panel.store
    validate(call.fields, {"key": "required|string", "value": "present"})
    key, value = call.fields["key"], call.fields["value"]
    variables = store.eggs.get_or_404(server.egg_id).variables
    variable = next((each for each in variables if each.env_variable == key), None)
    if variable is None:
        raise PanelError(500, "ErrorException")
    if not (variable.is_user_viewable and variable.is_user_editable):
        raise refusal("BadRequestHttpException", "The environment variable you are trying to edit is read-only.")
    failed = failed_rules({"value": value}, "value", variable.rules)
    if failed:
        raise ValidationError(failed)
    server.environment[key] = "" if value is None else str(value)
    meta = {
        "startup_command": transformers.startup_command(store, server),
        "raw_startup_command": server.startup,
    }
    return JSONResponse({**transformers.variable(server, variable), "meta": meta})


@routes.add("PUT", "/servers/{server}/settings/docker-image")
async def change_image(call: Call) -> Response:
    """Change the image to another of the egg's."""
    server = access.usable_server(call)
    images = call.panel.store.eggs.get_or_404(server.egg_id).docker_images.values()
    validate(call.fields, {"docker_image": "required|string"})
    if call.fields["docker_image"] not in images:
        raise ValidationError([FailedRule(field="docker_image", rule="in")])
    if server.image not in images:
        raise refusal("BadRequestHttpException", "This server's Docker image was set by an administrator.")
    server.image = call.fields["docker_image"]
    return no_content()
