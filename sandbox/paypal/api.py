"""The calls: token, request ids, errors and answers."""

import base64
import hashlib
import json
import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.paypal import payments
from sandbox.paypal.account import (
    CLIENT_ID,
    CLIENT_SECRET,
    ORDER_KEY_SECONDS,
    REFUND_KEY_SECONDS,
    TOKEN_SECONDS,
    Account,
    PayPalError,
    missing,
    new_id,
)
from sandbox.state import JsonObject

BASIC = base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
type Work = Callable[[JsonObject, str], JsonObject]


class Api:
    """PayPal's calls against one account. There is none that lists orders, or cancels one."""

    def __init__(self, account: Account, commit: Callable[[], None]) -> None:
        self._account, self._commit = account, commit

    def routes(self) -> list[BaseRoute]:
        """Every call."""
        account = self._account
        reads: list[tuple[str, Work]] = [
            ("/v2/checkout/orders/{id}", lambda _body, number: payments.find_order(account, number)),
            ("/v2/payments/captures/{id}", lambda _body, number: _found(account.captures, number)),
            ("/v2/payments/refunds/{id}", lambda _body, number: _found(account.refunds, number)),
            ("/v1/customer/disputes/{id}", lambda _body, number: _found(account.disputes, number)),
        ]
        writes: list[tuple[str, int, Work]] = [
            ("/v2/checkout/orders", ORDER_KEY_SECONDS, lambda body, _id: payments.create_order(account, body)),
            (
                "/v2/checkout/orders/{id}/capture",
                ORDER_KEY_SECONDS,
                lambda _body, number: payments.capture_order(account, number),
            ),
            (
                "/v2/payments/captures/{id}/refund",
                REFUND_KEY_SECONDS,
                lambda body, number: payments.refund(account, number, body),
            ),
        ]
        return [
            Route("/v1/oauth2/token", self.token, methods=["POST"]),
            Route("/v1/notifications/certs/{id}", self.certificate),
            *(Route(path, self._reading(work), methods=["GET"]) for path, work in reads),
            *(Route(path, self._writing(work, seconds), methods=["POST"]) for path, seconds, work in writes),
        ]

    async def refuse(self, _request: Request, status: int) -> Response:
        """An armed status fault."""
        return _error(PayPalError(status, "INTERNAL_SERVER_ERROR", "ARMED"))

    async def token(self, request: Request) -> Response:
        """An access token, for nine hours."""
        if request.headers.get("authorization") != f"Basic {BASIC}":
            body = {"error": "invalid_client", "error_description": "Client Authentication failed"}
            return JSONResponse(body, status_code=401)
        token = f"A21AA{secrets.token_hex(16)}"
        self._account.tokens[token] = self._account.clock.now() + TOKEN_SECONDS
        self._commit()
        return JSONResponse({"access_token": token, "token_type": "Bearer", "expires_in": TOKEN_SECONDS})

    async def certificate(self, _request: Request) -> Response:
        """The certificate by which webhooks are signed."""
        return PlainTextResponse(self._account.signer.certificate)

    def _reading(self, work: Work) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            try:
                self._check_token(request)
                return JSONResponse(payments.shown(work({}, request.path_params["id"])))
            except PayPalError as error:
                return _error(error)

        return serve

    def _writing(self, work: Work, seconds: int) -> Callable[[Request], Awaitable[Response]]:
        async def serve(request: Request) -> Response:
            raw = await request.body()
            try:
                self._check_token(request)
                thing, status = self._once(work, request, raw, seconds)
            except PayPalError as error:
                return _error(error)
            finally:
                self._commit()
            is_whole = request.headers.get("prefer") == "return=representation"
            brief = {name: thing[name] for name in ("id", "status", "links") if name in thing}
            return JSONResponse(payments.shown(thing) if is_whole else brief, status_code=status)

        return serve

    def _once(self, work: Work, request: Request, raw: bytes, seconds: int) -> tuple[JsonObject, int]:
        """The first result under a request id, in its latest state; refusals are not remembered."""
        body, key = json.loads(raw or b"{}"), request.headers.get("paypal-request-id", "")
        if not key and "payment_source" in body:
            raise PayPalError(400, "INVALID_REQUEST", "PAYPAL_REQUEST_ID_REQUIRED")
        place = f"{request.url.path} {key}"
        mark, earlier = hashlib.sha256(raw).hexdigest(), self._account.requests.get(place)
        if key and earlier is not None and earlier["until"] > self._account.clock.now():
            if earlier["mark"] != mark and self._account.settings["strict_keys"]:
                raise PayPalError(422, "UNPROCESSABLE_ENTITY", "PAYPAL_REQUEST_ID_PREVIOUSLY_USED")
            tables = {**self._account.orders, **self._account.refunds}
            return tables[earlier["id"]], 200
        thing = work(body, request.path_params.get("id", ""))
        if key:
            until = self._account.clock.now() + seconds
            self._account.requests[place] = {"mark": mark, "id": thing["id"], "until": until}
        return thing, 201

    def _check_token(self, request: Request) -> None:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._account.tokens.get(token, 0) <= self._account.clock.now():
            raise PayPalError(401, "AUTHENTICATION_FAILURE", "INVALID_TOKEN")


def _found(table: dict[str, JsonObject], number: str) -> JsonObject:
    if number not in table:
        raise missing()
    return table[number]


def _error(error: PayPalError) -> Response:
    debug = new_id(length=13).lower()
    about = {"name": error.name, "message": error.name, "debug_id": debug, "links": []}
    body = about | {"details": [{"issue": error.issue}]}
    return JSONResponse(body, status_code=error.status, headers={"PayPal-Debug-Id": debug})
