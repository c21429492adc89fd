"""The Stripe stand-in as one application, and the work it does between requests."""

import asyncio

from starlette.applications import Starlette

from sandbox.frame import Frame, ServiceApp
from sandbox.stripe import due
from sandbox.stripe.account import Account
from sandbox.stripe.api import Api
from sandbox.stripe.control import StripeControl
from sandbox.stripe.delivery import WebhookSender
from sandbox.stripe.documents import Documents
from sandbox.stripe.hosted import HostedPage
from sandbox.stripe.portal import PortalPage
from sandbox.stripe.routes import ENDPOINTS


class StripeBackground:
    """Does what falls due between requests, and stops sending webhooks at the end."""

    def __init__(self, account: Account, api: Api, sender: WebhookSender) -> None:
        self._account = account
        self._api = api
        self._sender = sender
        self._commits: set[asyncio.Task[None]] = set()
        self._has_resumed = False

    def tick(self) -> None:
        """Do what is due and send the events it caused."""
        if not self._has_resumed:
            self._has_resumed = True
            self._sender.resume()
        due.catch_up(self._account)
        if self._account.outbox:
            task = asyncio.get_running_loop().create_task(self._api.commit())
            self._commits.add(task)
            task.add_done_callback(self._commits.discard)

    async def close(self) -> None:
        """Stop sending."""
        await self._sender.close()


def build(frame: Frame) -> ServiceApp:
    """The stand-in over an empty account; saved state is loaded afterwards."""
    account = Account(frame)

    def save() -> None:
        frame.state.save(account)

    sender = WebhookSender(account, save)
    api = Api(account, sender, save)
    routes = [
        *api.routes(ENDPOINTS),
        *Documents(account, api.commit).routes(),
        *HostedPage(account, api.commit).routes(),
        *PortalPage(account, api.commit).routes(),
    ]
    return ServiceApp(
        app=Starlette(routes=routes),
        content=account,
        refuse=api.refuse,
        control_routes=StripeControl(account, sender, api.commit).routes(),
        background=StripeBackground(account, api, sender),
        title="Stripe",
    )
