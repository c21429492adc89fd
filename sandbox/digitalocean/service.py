"""The DigitalOcean stand-in as one application."""

from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.control import ControlError, json_body
from sandbox.digitalocean.account import Account
from sandbox.digitalocean.api import Api
from sandbox.frame import Frame, ServiceApp
from sandbox.pages import page


def build(frame: Frame) -> ServiceApp:
    """The stand-in over an empty account; saved state is loaded afterwards."""
    account = Account(frame)
    api = Api(account, f"{frame.base_url}/{account.name}")

    async def index(_request: Request) -> Response:
        rows = "".join(
            f"<div><dt>{escape(row['name'])}</dt><dd>{row['status']}, {row['size_slug']}</dd></div>"
            for row in account.listed()
        )
        return page("DigitalOcean", f'<div class="card"><h1>Droplets</h1><dl class="rows">{rows}</dl></div>')

    async def state(_request: Request) -> Response:
        account.finish_due()
        return JSONResponse(account.snapshot())

    async def settings(request: Request) -> Response:
        wanted = await json_body(request)
        if strange := set(wanted) - set(account.settings):
            raise ControlError(f"no such setting: {', '.join(sorted(strange))}")
        account.settings |= wanted
        frame.state.save(account)
        return JSONResponse(account.settings)

    return ServiceApp(
        app=Starlette(routes=[Route("/", index), *api.routes()]),
        content=account,
        refuse=api.refuse,
        control_routes=[
            Route("/state", state, methods=["GET"]),
            Route("/settings", settings, methods=["POST"]),
        ],
        title="DigitalOcean",
    )
