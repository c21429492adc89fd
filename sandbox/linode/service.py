"""The Linode stand-in as one application, with what tests control and a page of its machines."""

from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.control import ControlError, json_body
from sandbox.frame import Frame, ServiceApp
from sandbox.linode.account import Account
from sandbox.linode.api import TOKEN, Api
from sandbox.pages import page


def build(frame: Frame) -> ServiceApp:
    """The stand-in over an empty account; saved state is loaded afterwards."""
    account = Account(frame)
    api = Api(account)

    async def state(_request: Request) -> Response:
        """Everything there."""
        account.settle()
        return JSONResponse({"linodes": list(account.linodes.values()), "events": account.events})

    async def keys(_request: Request) -> Response:
        """What a shop is set up with."""
        return JSONResponse({"url": f"{frame.base_url}/linode/v4", "token": TOKEN})

    async def change_settings(request: Request) -> Response:
        """Change some of `sandbox.linode.account.SETTINGS`."""
        wanted = await json_body(request)
        if strange := set(wanted) - set(account.settings):
            raise ControlError(f"no such setting: {', '.join(sorted(strange))}")
        account.settle()
        account.settings |= wanted
        frame.state.save(account)
        return JSONResponse(account.settings)

    async def index(_request: Request) -> Response:
        account.settle()
        rows = "".join(
            f"<div><dt>{escape(row['label'])}</dt><dd>{row['type']}, {row['region']}, {row['status']}</dd></div>"
            for row in account.linodes.values()
        )
        return page("Linode", f'<div class="card"><h1>Linodes</h1><dl class="rows">{rows}</dl></div>')

    return ServiceApp(
        app=Starlette(routes=[Route("/", index), *api.routes()]),
        content=account,
        refuse=api.refuse,
        control_routes=[
            Route("/state", state, methods=["GET"]),
            Route("/keys", keys, methods=["GET"]),
            Route("/settings", change_settings, methods=["POST"]),
        ],
        title="Linode",
    )
