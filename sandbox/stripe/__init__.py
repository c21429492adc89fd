"""A stand-in for Stripe's API, hosted payment page and webhooks, at API version 2026-10-28.endive."""

import asyncio

from starlette.applications import Starlette

from sandbox.frame import Frame, ServiceApp
from sandbox.stripe import (
    charges,
    coupons,
    customers,
    disputes,
    due,
    events,
    general,
    invoices,
    payment_intents,
    payment_methods,
    portal,
    products,
    refunds,
    renewals,
    sessions,
    setup_intents,
    subscriptions,
    webhook_endpoints,
)
from sandbox.stripe.account import Account
from sandbox.stripe.api import Api
from sandbox.stripe.control import StripeControl
from sandbox.stripe.delivery import Courier
from sandbox.stripe.documents import Documents
from sandbox.stripe.hosted import HostedPage

NOUNS = (
    charges,
    coupons,
    customers,
    disputes,
    events,
    general,
    invoices,
    payment_intents,
    payment_methods,
    portal,
    products,
    refunds,
    renewals,
    sessions,
    setup_intents,
    subscriptions,
    webhook_endpoints,
)


class Heartbeat:
    """Lets time have its effect, and stops the courier at the end."""

    def __init__(self, account: Account, api: Api, courier: Courier) -> None:
        self._account = account
        self._api = api
        self._courier = courier
        self._commits: set[asyncio.Task[None]] = set()
        self._has_resumed = False

    def tick(self) -> None:
        """Do what is due and send the events it caused."""
        if not self._has_resumed:
            self._has_resumed = True
            self._courier.resume()
        due.catch_up(self._account)
        if self._account.outbox:
            task = asyncio.get_running_loop().create_task(self._api.commit())
            self._commits.add(task)
            task.add_done_callback(self._commits.discard)

    async def close(self) -> None:
        """Stop delivering."""
        await self._courier.close()


def build(frame: Frame) -> ServiceApp:
    """The stand-in over an empty account; the frame loads saved state afterwards."""
    account = Account(frame)

    def save() -> None:
        frame.state.save(account)

    courier = Courier(account, save)
    api = Api(account, courier, save)
    endpoints = [endpoint for noun in NOUNS for endpoint in noun.ENDPOINTS]
    routes = [
        *api.routes(endpoints),
        *Documents(account, api.commit).routes(),
        *HostedPage(account, api.commit).routes(),
        *portal.Portal(account, api.commit).routes(),
    ]
    return ServiceApp(
        app=Starlette(routes=routes),
        content=account,
        refuse=api.refuse,
        control_routes=StripeControl(account, courier, api.commit).routes(),
        background=Heartbeat(account, api, courier),
        title="Stripe",
    )
