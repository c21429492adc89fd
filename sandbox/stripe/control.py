"""`/_control/stripe/…`: what tests and the demo do that no API call can."""

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.control import ControlError, json_body
from sandbox.state import JsonObject
from sandbox.stripe import charges, charging, disputes, due, payouts, refunds, switches
from sandbox.stripe.account import Account
from sandbox.stripe.delivery import WebhookSender, register_endpoint
from sandbox.stripe.errors import StripeError

SECRET_FIELDS = ("client_secret", "secret")
POLL_SECONDS = 0.01


class StripeControl:
    """The handlers of `/_control/stripe`."""

    def __init__(self, account: Account, sender: WebhookSender, commit: Callable[[], Awaitable[None]]) -> None:
        self._account = account
        self._sender = sender
        self._commit = commit

    def routes(self) -> list[BaseRoute]:
        """Routes below `/_control/stripe`."""
        return [
            Route("/state", self.state, methods=["GET"]),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/endpoints", self.add_endpoint, methods=["POST"]),
            Route("/switches", self.arm_switch, methods=["POST"]),
            Route("/switches", self.clear_switches, methods=["DELETE"]),
            Route("/deliveries", self.deliveries, methods=["GET"]),
            Route("/settle", self.settle, methods=["POST"]),
            Route("/events/{id}/resend", self.resend, methods=["POST"]),
            Route("/payment_intents/{id}/clear", self.clear_debit, methods=["POST"]),
            Route("/payment_intents/{id}/return", self.return_debit, methods=["POST"]),
            Route("/payment_intents/{id}/authenticate", self.authenticate, methods=["POST"]),
            Route("/refunds/{id}/fail", self.fail_refund, methods=["POST"]),
            Route("/balance_transactions", self.book, methods=["POST"]),
            Route("/payouts", self.pay_out, methods=["POST"]),
            Route("/disputes", self.open_dispute, methods=["POST"]),
            Route("/disputes/{id}/close", self.close_dispute, methods=["POST"]),
            Route("/disputes/{id}/appeal", self.appeal_dispute, methods=["POST"]),
        ]

    async def state(self, _request: Request) -> Response:
        """Every object by kind, oldest first, without secrets."""
        tables = {kind: [_public(thing) for thing in table.values()] for kind, table in self._account.tables.items()}
        return JSONResponse(tables)

    async def change_settings(self, request: Request) -> Response:
        """Change delivery gaps, time limits and durations, all in seconds."""
        wanted = await json_body(request)
        strange = set(wanted) - set(self._account.settings)
        if strange:
            raise ControlError(f"no such setting: {', '.join(sorted(strange))}")
        self._account.settings |= wanted
        await self._commit()
        return JSONResponse(self._account.settings)

    async def add_endpoint(self, request: Request) -> Response:
        """Send webhooks to an address, signed with a secret; the same address again replaces it."""
        wanted = await json_body(request)
        if not wanted.get("url") or not wanted.get("secret"):
            raise ControlError("url and secret are needed")
        endpoint = register_endpoint(self._account, wanted["url"], wanted["secret"], wanted.get("enabled_events"))
        return await self._done(endpoint, status=201)

    async def arm_switch(self, request: Request) -> Response:
        """Make the delivery of coming events misbehave."""
        try:
            switch = switches.arm(self._account, await json_body(request))
        except switches.UnknownSwitch as error:
            raise ControlError(str(error)) from error
        return await self._done(switch, status=201)

    async def clear_switches(self, _request: Request) -> Response:
        """Deliver new events normally again; deliveries under way keep their switches."""
        self._account.switches.clear()
        return await self._done({"switches": []})

    async def deliveries(self, _request: Request) -> Response:
        """Every delivery with its tries and their statuses (null: no answer)."""
        return JSONResponse({"deliveries": self._account.deliveries})

    async def settle(self, request: Request) -> Response:
        """Wait until no delivery is under way, at most `seconds` (default 5)."""
        limit = time.monotonic() + float((await json_body(request)).get("seconds", 5))
        while not self._sender.is_idle and time.monotonic() < limit:
            await asyncio.sleep(POLL_SECONDS)
        return JSONResponse({"is_idle": self._sender.is_idle})

    async def resend(self, request: Request) -> Response:
        """Deliver an event once more."""
        return JSONResponse({"endpoints": self._sender.resend(self._find("event", request))})

    async def clear_debit(self, request: Request) -> Response:
        """End a bank debit under way now: `outcome` is `succeed` or `fail`."""
        intent = self._find("payment_intent", request)
        is_good = await _outcome(request)
        if intent["status"] != "processing":
            raise ControlError(f"the payment intent is {intent['status']}, not processing")
        due.settle_debit(self._account, intent, is_good=is_good)
        return await self._done(intent)

    async def return_debit(self, request: Request) -> Response:
        """Let the bank return a debit that had succeeded."""
        intent = self._find("payment_intent", request)
        if intent["status"] != "succeeded":
            raise ControlError(f"the payment intent is {intent['status']}, not succeeded")
        with refusal_as_control_error():
            disputes.return_debit(self._account, self._account.find("charge", intent["latest_charge"]))
        return await self._done(intent)

    async def authenticate(self, request: Request) -> Response:
        """Answer the bank's question for an intent that requires action: `outcome` is `succeed` or `fail`."""
        intent = self._find("payment_intent", request)
        is_passed = await _outcome(request)
        with refusal_as_control_error():
            charging.authenticate(self._account, intent, is_passed=is_passed)
        return await self._done(intent)

    async def fail_refund(self, request: Request) -> Response:
        """Let a refund fail late, for `reason` (default `lost_or_stolen_card`)."""
        refund = self._find("refund", request)
        reason = (await json_body(request)).get("reason", "lost_or_stolen_card")
        with refusal_as_control_error():
            refunds.fail(self._account, refund, reason)
        return await self._done(refund)

    async def book(self, request: Request) -> Response:
        """Change the balance by `amount` of a `currency` without a source: a `type` such as `stripe_fee` or `topup`."""
        wanted = await json_body(request)
        source = {"currency": wanted["currency"]}
        return await self._done(charges.book(self._account, source, wanted["type"], int(wanted["amount"])))

    async def pay_out(self, request: Request) -> Response:
        """Send `amount` of a `currency` to the shop's bank account."""
        wanted = await json_body(request)
        return await self._done(payouts.make(self._account, wanted["currency"], int(wanted["amount"])))

    async def open_dispute(self, request: Request) -> Response:
        """Dispute the charge of a `payment_intent`, with `reason` and `amount` if wanted."""
        wanted = await json_body(request)
        intent = self._account.get("payment_intent", wanted.get("payment_intent"))
        charge = self._account.get("charge", intent["latest_charge"]) if intent else None
        if charge is None:
            raise ControlError("payment_intent must name one with a charge")
        with refusal_as_control_error():
            reason = wanted.get("reason", "fraudulent")
            dispute = disputes.open_dispute(self._account, charge, reason, wanted.get("amount"))
        return await self._done(dispute)

    async def close_dispute(self, request: Request) -> Response:
        """End a dispute: `status` is `won` or `lost`."""
        dispute = self._find("dispute", request)
        status = (await json_body(request)).get("status")
        if status not in {"won", "lost"}:
            raise ControlError("status must be won or lost")
        with refusal_as_control_error():
            disputes.close_dispute(self._account, dispute, status)
        return await self._done(dispute)

    async def appeal_dispute(self, request: Request) -> Response:
        """Reopen a lost dispute; `close` then decides it again."""
        dispute = self._find("dispute", request)
        with refusal_as_control_error():
            disputes.appeal_dispute(self._account, dispute)
        return await self._done(dispute)

    def _find(self, kind: str, request: Request) -> JsonObject:
        found = self._account.get(kind, request.path_params["id"])
        if found is None:
            raise ControlError(f"no such {kind}: {request.path_params['id']}")
        return found

    async def _done(self, thing: JsonObject, status: int = 200) -> Response:
        await self._commit()
        return JSONResponse(_public(thing), status_code=status)


@contextmanager
def refusal_as_control_error() -> Iterator[None]:
    """Turn Stripe's refusal into the control API's."""
    try:
        yield
    except StripeError as error:
        raise ControlError(str(error)) from error


async def _outcome(request: Request) -> bool:
    outcome = (await json_body(request)).get("outcome", "succeed")
    if outcome not in {"succeed", "fail"}:
        raise ControlError("outcome must be succeed or fail")
    return bool(outcome == "succeed")


def _public(thing: JsonObject) -> JsonObject:
    return {key: copy.deepcopy(value) for key, value in thing.items() if key not in SECRET_FIELDS}
