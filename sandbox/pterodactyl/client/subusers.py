"""Whom a server's owner lets in: listed, and removed."""

from starlette.responses import JSONResponse, Response

from sandbox.pterodactyl.call import Call, no_content
from sandbox.pterodactyl.client import access, transformers
from sandbox.pterodactyl.errors import not_found
from sandbox.pterodactyl.routing import Routes
from sandbox.pterodactyl.transformers import plain_list

routes = Routes("client")


@routes.add("GET", "/servers/{server}/users")
async def index(call: Call) -> Response:
    """A server's subusers, without pages."""
    users, server = call.panel.store.users, access.usable_server(call)
    return JSONResponse(plain_list(transformers.subuser(users.get_or_404(each)) for each in server.subusers))


@routes.add("DELETE", "/servers/{server}/users/{user}")
async def remove(call: Call) -> Response:
    """Let one in no longer."""
    server = access.usable_server(call)
    for user in call.panel.store.users.where(uuid=call.params["user"]):
        if user.id in server.subusers:
            server.subusers = [each for each in server.subusers if each != user.id]
            return no_content()
    raise not_found()
