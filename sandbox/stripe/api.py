"""The `/v1` calls: key, form, idempotency, work, answer."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from sandbox.stripe import due, errors
from sandbox.stripe.account import API_VERSION, Account, new_id
from sandbox.stripe.delivery import WebhookSender
from sandbox.stripe.endpoints import Call, Endpoint
from sandbox.stripe.errors import StripeError
from sandbox.stripe.expand import expanded
from sandbox.stripe.forms import Pairs, nested, pairs_of
from sandbox.stripe.idempotency import KeyStore, fingerprint, key_of

KEY_PREFIXES = ("sk_test_", "rk_test_")
MAX_WAIT_SECONDS = 5.0


@dataclass(frozen=True)
class Answer:
    """A status and the exact body text."""

    status: int
    text: str


class Api:
    """Runs declared endpoints against one account."""

    def __init__(self, account: Account, sender: WebhookSender, save: Callable[[], None]) -> None:
        self.account = account
        self._sender = sender
        self._save = save
        self._keys = KeyStore(account)

    def routes(self, endpoints: list[Endpoint]) -> list[BaseRoute]:
        """One route per endpoint, and a 404 in Stripe's form for the rest of `/v1`."""

        def serving(endpoint: Endpoint) -> Callable[[Request], Awaitable[Response]]:
            async def serve(request: Request) -> Response:
                return await self._serve(endpoint, request)

            return serve

        async def unknown(request: Request) -> Response:
            message = f"Unrecognized request URL ({request.method}: {_path(request)})."
            request_id = new_id("req_")
            error = StripeError(404, "invalid_request_error", message)
            return _response(_failure(error, request_id), request_id, None)

        known: list[BaseRoute] = [Route(each.path, serving(each), methods=[each.method]) for each in endpoints]
        return [*known, Route("/v1/{rest:path}", unknown, methods=["GET", "POST", "DELETE", "PUT", "PATCH"])]

    async def commit(self) -> None:
        """Save, then send new events; waits for those that must come before the answer."""
        self._save()
        urgent = self._sender.dispatch()
        if urgent:
            await asyncio.wait(urgent, timeout=MAX_WAIT_SECONDS)

    async def refuse(self, request: Request, status: int) -> Response:
        """Answer an armed status fault; a 5xx is remembered under the call's idempotency key, as Stripe does."""
        request_id, key = new_id("req_"), key_of(request.method, request.headers)
        answer = _failure(errors.armed(status), request_id)
        if key and status >= 500:
            mark = fingerprint(request.method, _path(request), await _pairs(request))
            self._keys.remember(key, mark, answer.status, answer.text, request_id)
        return _response(answer, request_id, key)

    async def _serve(self, endpoint: Endpoint, request: Request) -> Response:
        request_id, key = new_id("req_"), key_of(request.method, request.headers)
        try:
            _check_caller(request)
            pairs = await _pairs(request)
            mark = fingerprint(request.method, _path(request), pairs)
            earlier = self._keys.earlier(key, mark) if key else None
            if earlier is not None:
                replayed = {"Idempotent-Replayed": "true", "Original-Request": earlier["request_id"]}
                return _response(Answer(earlier["status"], earlier["body"]), request_id, key, replayed)
            params = endpoint.accepts.read(nested(pairs))
        except StripeError as error:  # nothing ran, so the key stays free
            return _response(_failure(error, request_id), request_id, key)
        call = Call(self.account, params, dict(request.path_params), _path(request))
        if key:
            self._keys.running.add(key)
        try:
            pause = self.account.settings["work_seconds"]
            if pause and endpoint.method == "POST":
                await asyncio.sleep(pause)
            answer, is_stored = self._work(endpoint, call, request_id, key)
            if key and is_stored:
                self._keys.remember(key, mark, answer.status, answer.text, request_id)
            await self.commit()
        finally:
            self._keys.running.discard(key or "")
        return _response(answer, request_id, key)

    def _work(self, endpoint: Endpoint, call: Call, request_id: str, key: str | None) -> tuple[Answer, bool]:
        """Run the call; the answer, and whether a key remembers it."""
        due.catch_up(self.account)
        self.account.request = {"id": request_id, "idempotency_key": key}
        try:
            thing = endpoint.handler(call)
        except StripeError as error:
            return _failure(error, request_id), error.is_stored
        finally:
            self.account.request = {"id": None, "idempotency_key": None}
        try:
            answer = expanded(self.account, thing, call.params.get("expand", []))
        except StripeError as error:
            return _failure(error, request_id), True  # the work is done, so the key must remember it
        return Answer(200, json.dumps(answer, indent=2)), True


def _check_caller(request: Request) -> None:
    credential = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not credential:
        raise errors.unauthorized("You did not provide an API key. Send it as 'Authorization: Bearer sk_test_…'.")
    if not credential.startswith(KEY_PREFIXES):
        raise errors.unauthorized(f"Invalid API Key provided: {credential[:8]}****")
    version = request.headers.get("stripe-version", API_VERSION)
    if version != API_VERSION:
        raise errors.invalid(f"Invalid Stripe API version: {version}. This stand-in speaks {API_VERSION}.")


async def _pairs(request: Request) -> Pairs:
    pairs = pairs_of(request.url.query)
    if request.method == "POST":
        try:
            pairs += pairs_of((await request.body()).decode("utf-8"))
        except UnicodeDecodeError as error:
            raise errors.invalid("Invalid form encoding.") from error
    return pairs


def _path(request: Request) -> str:
    return str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))


def _failure(error: StripeError, request_id: str) -> Answer:
    body = error.body | {"request_log_url": f"https://dashboard.stripe.com/test/logs/{request_id}"}
    return Answer(error.status, json.dumps({"error": body}, indent=2))


def _response(answer: Answer, request_id: str, key: str | None, more: dict[str, str] | None = None) -> Response:
    headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION, **(more or {})}
    if key:
        headers["Idempotency-Key"] = key
    return Response(answer.text, answer.status, headers, media_type="application/json")
