"""`/_control/tripay/…`: what a customer's bank, Tripay's staff and time do."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.control import ControlError, json_body
from sandbox.tripay.delivery import CallbackSender
from sandbox.tripay.merchant import MERCHANT, PRIVATE_KEY, SWITCHES, TEST_KEY, Merchant, Refused

STATUSES = ("PAID", "FAILED", "EXPIRED", "REFUND")


class TripayControl:
    """The handlers of `/_control/tripay`."""

    def __init__(self, merchant: Merchant, sender: CallbackSender, commit: Callable[[], None]) -> None:
        self._merchant, self._sender, self._commit = merchant, sender, commit

    def routes(self) -> list[BaseRoute]:
        """Routes below `/_control/tripay`."""
        return [
            Route("/state", self.state, methods=["GET"]),
            Route("/keys", self.keys, methods=["GET"]),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/switches", self.set_switches, methods=["POST"]),
            Route("/transactions/{reference}", self.change, methods=["POST"]),
            Route("/callbacks/{id}/send", self.send, methods=["POST"]),
            Route("/settle", self.settle, methods=["POST"]),
        ]

    async def state(self, _request: Request) -> Response:
        """Every transaction and callback, oldest first."""
        self._merchant.expire_due()
        rows = list(self._merchant.transactions.values())
        return JSONResponse({"transactions": rows, "callbacks": self._merchant.callbacks})

    async def keys(self, _request: Request) -> Response:
        """What a shop is set up with."""
        keys = {"api_key": TEST_KEY, "private_key": PRIVATE_KEY, "merchant_code": MERCHANT}
        return JSONResponse(keys | {"url": self._merchant.base_url})

    async def change_settings(self, request: Request) -> Response:
        """Change `callback_url`, `lag_seconds`, `amount_includes_fee` or `timeout`."""
        wanted = await json_body(request)
        if strange := set(wanted) - set(self._merchant.settings):
            raise ControlError(f"no such setting: {', '.join(sorted(strange))}")
        self._merchant.settings |= wanted
        return self._done(self._merchant.settings)

    async def set_switches(self, request: Request) -> Response:
        """How coming callbacks misbehave: all `switches` that are on."""
        wanted = (await json_body(request)).get("switches", [])
        if strange := set(wanted) - set(SWITCHES):
            raise ControlError(f"no such switch: {', '.join(sorted(strange))}")
        self._merchant.switches = list(wanted)
        return self._done({"switches": wanted})

    async def change(self, request: Request) -> Response:
        """Give a transaction a `status`: paid also after it expired, failed, expired, or refunded by Tripay's staff."""
        status = (await json_body(request)).get("status")
        if status not in STATUSES:
            raise ControlError(f"status must be one of {', '.join(STATUSES)}")
        reference = request.path_params["reference"]
        try:
            self._merchant.change(reference, status)
        except Refused as error:
            raise ControlError(str(error)) from error
        return self._done(self._merchant.transactions[reference])

    async def send(self, request: Request) -> Response:
        """Send a callback now, also one that was held, delivered or given up: a replay."""
        found = next((row for row in self._merchant.callbacks if row["id"] == request.path_params["id"]), None)
        if found is None:
            raise ControlError("no such callback")
        found |= {"state": "waiting", "tries": [], "due_at": self._merchant.clock.now()}
        return self._done(found)

    async def settle(self, _request: Request) -> Response:
        """Wait until no callback is being sent."""
        await self._sender.flush()
        return JSONResponse({})

    def _done(self, content: object) -> Response:
        self._commit()
        return JSONResponse(content)
