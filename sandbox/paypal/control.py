"""`/_control/paypal/…`: what buyers, their banks and PayPal do."""

from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.control import ControlError, json_body
from sandbox.paypal import payments
from sandbox.paypal.account import CLIENT_ID, CLIENT_SECRET, SWITCHES, WEBHOOK_ID, Account, PayPalError
from sandbox.paypal.delivery import WebhookSender


class PayPalControl:
    """The handlers of `/_control/paypal`."""

    def __init__(self, account: Account, sender: WebhookSender, commit: Callable[[], None]) -> None:
        self._account, self._sender, self._commit = account, sender, commit

    def routes(self) -> list[BaseRoute]:
        """Routes below `/_control/paypal`."""
        return [
            Route("/state", self.state, methods=["GET"]),
            Route("/keys", self.keys, methods=["GET"]),
            Route("/settings", self.change_settings, methods=["POST"]),
            Route("/switches", self.set_switches, methods=["POST"]),
            Route("/captures/{id}/{act}", self.change_capture, methods=["POST"]),
            Route("/disputes/{id}", self.resolve, methods=["POST"]),
            Route("/settle", self.settle, methods=["POST"]),
        ]

    async def state(self, _request: Request) -> Response:
        """Everything, oldest first."""
        names = ("orders", "captures", "refunds", "disputes")
        tables = {name: list(getattr(self._account, name).values()) for name in names}
        return JSONResponse(tables | {"events": self._account.events})

    async def keys(self, _request: Request) -> Response:
        """What a shop is set up with."""
        keys = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "webhook_id": WEBHOOK_ID}
        return JSONResponse(keys | {"environment": "sandbox", "url": self._account.base_url})

    async def change_settings(self, request: Request) -> Response:
        """Change a setting of `sandbox.paypal.account`."""
        wanted = await json_body(request)
        if strange := set(wanted) - set(self._account.settings):
            raise ControlError(f"no such setting: {', '.join(sorted(strange))}")
        self._account.settings |= wanted
        return self._done(self._account.settings)

    async def set_switches(self, request: Request) -> Response:
        """How coming webhooks misbehave: all `switches` that are on."""
        wanted = (await json_body(request)).get("switches", [])
        if strange := set(wanted) - set(SWITCHES):
            raise ControlError(f"no such switch: {', '.join(sorted(strange))}")
        self._account.switches = list(wanted)
        return self._done({"switches": wanted})

    async def change_capture(self, request: Request) -> Response:
        """`complete` or `deny` a pending capture, `dispute` one (an `amount` of it), or `refund` it by hand."""
        number, act = request.path_params["id"], request.path_params["act"]
        capture = self._account.captures.get(number)
        if capture is None:
            raise ControlError("no such capture")
        body = await json_body(request)
        try:
            if act == "dispute":
                return self._done(payments.dispute(self._account, number, body.get("amount")))
            if act == "refund":
                return self._done(payments.refund(self._account, number, body))
        except PayPalError as error:
            raise ControlError(str(error)) from error
        if act not in {"complete", "deny"} or capture["status"] != "PENDING":
            raise ControlError("complete and deny are for a pending capture")
        (payments.complete if act == "complete" else payments.deny)(self._account, capture)
        return self._done(capture)

    async def resolve(self, request: Request) -> Response:
        """Decide a dispute: `outcome` such as RESOLVED_BUYER_FAVOUR or RESOLVED_SELLER_FAVOUR."""
        outcome = str((await json_body(request)).get("outcome", "RESOLVED_SELLER_FAVOUR"))
        try:
            return self._done(payments.resolve(self._account, request.path_params["id"], outcome))
        except PayPalError as error:
            raise ControlError(str(error)) from error

    async def settle(self, _request: Request) -> Response:
        """Wait until no webhook is being sent."""
        await self._sender.flush()
        return JSONResponse({})

    def _done(self, content: object) -> Response:
        self._commit()
        return JSONResponse(content)
