"""The ASGI layer before a stand-in: logs the request, plays the armed fault, saves before the answer leaves."""

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.connections import cut
from sandbox.faults import Fault
from sandbox.frame import Frame, ServiceApp
from sandbox.requestlog import Seen, readable_body

HUGE_BYTES = 10 * 1024 * 1024
PROXY_PAGE = "<!doctype html><title>Just a moment</title><h1>Checking your browser</h1><p>Please wait.</p>"
READ_ONLY = {"GET", "HEAD", "OPTIONS"}


class Gate:
    """Wraps one service. Answers are held back until the work is done and saved, so a lost answer loses only itself."""

    def __init__(self, service: ServiceApp, frame: Frame) -> None:
        self._service = service
        self._frame = frame

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; sockets pass straight through."""
        if scope["type"] != "http":
            await self._service.app(scope, receive, send)
            return
        body = await _whole_body(receive)
        seen = self._note(scope, body)
        fault = self._frame.faults.take(self._service.name, seen.method, seen.path)
        if fault is None:
            await self._pass_on(scope, body, seen, send)
            return
        seen.fault = fault.kind
        await self._play(fault, scope, body, seen, send)

    def _note(self, scope: Scope, body: bytes) -> Seen:
        request = Request(scope)
        return self._frame.requests.add(
            Seen(
                service=self._service.name,
                method=request.method,
                path=scope["path"].removeprefix(scope.get("root_path", "")),
                query=request.url.query,
                idempotency_key=request.headers.get("idempotency-key"),
                at=self._frame.clock.now(),
                body=readable_body(request.headers.get("content-type", ""), body),
            )
        )

    async def _play(self, fault: Fault, scope: Scope, body: bytes, seen: Seen, send: Send) -> None:
        if fault.kind == "delay":
            await self._delay(fault, scope, body, seen, send)
        elif fault.kind in {"lose_answer", "hang"}:
            await self._work(scope, body)
            await asyncio.sleep(fault.seconds if fault.kind == "hang" else 0)
            await cut(scope)
        elif fault.kind == "drop":
            await cut(scope)
        else:
            await self._answer_instead(fault, scope, body, seen, send)

    async def _delay(self, fault: Fault, scope: Scope, body: bytes, seen: Seen, send: Send) -> None:
        """Wait, then work; but a request from before a reset must not reach into what begins anew."""
        resets = self._frame.resets
        await asyncio.sleep(fault.seconds)
        if self._frame.resets != resets:
            await cut(scope)
            return
        await self._pass_on(scope, body, seen, send)

    async def _answer_instead(self, fault: Fault, scope: Scope, body: bytes, seen: Seen, send: Send) -> None:
        if fault.kind == "html":
            answer: Response = HTMLResponse(PROXY_PAGE)
        elif fault.kind == "huge":
            answer = Response(b'{"filler":"' + b"x" * HUGE_BYTES + b'"}', media_type="application/json")
        else:
            answer = await self._service.refuse(Request(scope, _replay(body)), fault.status)
            answer.headers.update(fault.headers)
            self._frame.state.save(self._service.content)
        seen.status = answer.status_code
        await answer(scope, _replay(body), send)

    async def _pass_on(self, scope: Scope, body: bytes, seen: Seen, send: Send) -> None:
        for message in await self._work(scope, body):
            if message["type"] == "http.response.start":
                seen.status = message["status"]
            await send(message)

    async def _work(self, scope: Scope, body: bytes) -> list[Message]:
        """Let the service do everything, save the outcome, and hold its answer."""
        answer: list[Message] = []
        await self._service.app(scope, _replay(body), _collector(answer))
        if scope["method"] not in READ_ONLY:
            self._frame.state.save(self._service.content)
        return answer


def gated(service: ServiceApp, frame: Frame) -> ASGIApp:
    """The service behind its gate."""
    return Gate(service, frame)


async def _whole_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        chunks.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(chunks)


def _replay(body: bytes) -> Receive:
    sent = False

    async def receive() -> Message:
        nonlocal sent
        if sent:
            return {"type": "http.disconnect"}
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


def _collector(answer: list[Message]) -> Callable[[Message], Awaitable[None]]:
    async def collect(message: Message) -> None:
        answer.append(message)

    return collect
