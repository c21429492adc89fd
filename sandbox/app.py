"""The whole sandbox as one ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from sandbox import digitalocean, docker, hytale, linode, paypal, pterodactyl, tripay, virtfusion
from sandbox.control import Control, ControlError, LoopbackOnly, on_control_error
from sandbox.frame import Frame, ServiceApp
from sandbox.mail import Mailbox
from sandbox.middleware import FaultMiddleware
from sandbox.pages import page
from sandbox.state import Persistent
from sandbox.stripe import service as stripe

TICK_SECONDS = 0.5


def build_app(frame: Frame, mailbox: Mailbox) -> Starlette:
    """Mount every stand-in and load saved state."""
    vendors = (stripe, paypal, tripay, pterodactyl, virtfusion, linode, digitalocean, docker, hytale)
    services = [vendor.build(frame) for vendor in vendors]
    parts: list[Persistent] = [frame.clock, *(service.content for service in services), mailbox]
    for part in parts:
        frame.state.load(part)

    async def start_page(_request: Request) -> Response:
        links = [(f"/{each.name}{each.home}", each.title, "The stand-in for the real service.") for each in services]
        tiles = "".join(
            f'<a class="card" href="{escape(href)}"><h2>{title}</h2><p class="quiet small">{text}</p></a>'
            for href, title, text in [*links, ("/mail", "Mailbox", "Every message the shop sends.")]
        )
        return page(
            "Sandbox",
            '<h1>Sandbox</h1><p class="quiet">Stand-ins for outside systems. Nothing here leaves this machine, '
            f'and no money moves.</p><div class="tiles">{tiles}</div>'
            f'<footer>Reachable at <span class="num">{escape(frame.base_url)}</span></footer>',
        )

    control = Starlette(
        routes=Control(frame, services, parts).routes(), exception_handlers={ControlError: on_control_error}
    )
    routes: list[BaseRoute] = [
        Route("/", start_page),
        Mount("/_control", app=LoopbackOnly(control)),
        *mailbox.routes(),
        *(Mount(f"/{service.name}", app=FaultMiddleware(service, frame)) for service in services),
    ]
    return Starlette(routes=routes, lifespan=lambda _app: ticking(services))


@asynccontextmanager
async def ticking(services: list[ServiceApp]) -> AsyncIterator[None]:
    """Let the services do what falls due between requests, and stop them at the end."""
    backgrounds = [service.background for service in services if service.background is not None]

    async def tick() -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for background in backgrounds:
                background.tick()

    task = asyncio.create_task(tick())
    try:
        yield
    finally:
        task.cancel()
        for background in backgrounds:
            await background.close()
