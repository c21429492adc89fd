"""The ASGI layer before a stand-in: logs the request, plays the armed fault, saves before the answer leaves."""

import asyncio

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.connections import cut
from sandbox.faults import Fault
from sandbox.frame import Frame, ServiceApp
from sandbox.requestlog import LoggedRequest, readable_body

HUGE_BYTES = 10 * 1024 * 1024
PROXY_PAGE = "<!doctype html><title>Just a moment</title><h1>Checking your browser</h1><p>Please wait.</p>"
READ_ONLY = {"GET", "HEAD", "OPTIONS"}


class FaultMiddleware:
    """Wraps one service. Answers are held back until the work is done and saved, so a lost answer loses only itself."""

    def __init__(self, service: ServiceApp, frame: Frame) -> None:
        self._service = service
        self._frame = frame

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; sockets pass straight through."""
        app: ASGIApp = self._service.app
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        request = Request(scope, receive)
        body = await request.body()
        logged = LoggedRequest(
            service=self._service.name,
            method=request.method,
            path=scope["path"].removeprefix(scope.get("root_path", "")),
            query=request.url.query,
            idempotency_key=request.headers.get("idempotency-key"),
            at=self._frame.clock.now(),
            body=readable_body(request.headers.get("content-type", ""), body),
        )
        self._frame.requests.entries.append(logged)
        fault = self._frame.faults.take(self._service.name, logged.method, logged.path)
        if fault is None:
            await self._answer(scope, body, logged, send)
            return
        logged.fault = fault.kind
        if fault.kind == "delay":
            resets = self._frame.resets
            await asyncio.sleep(fault.seconds)
            if self._frame.resets != resets:  # a request from before a reset must change nothing after it
                await cut(scope)
            else:
                await self._answer(scope, body, logged, send)
        elif fault.kind in {"lose_answer", "hang"}:
            await self._work(scope, body)
            await asyncio.sleep(fault.seconds if fault.kind == "hang" else 0)
            await cut(scope)
        elif fault.kind == "drop":
            await cut(scope)
        else:
            if fault.kind == "late_status":
                await self._work(scope, body)
            answer = await self._wrong_answer(fault, request)
            logged.status = answer.status_code
            await answer(scope, receive, send)

    async def _wrong_answer(self, fault: Fault, request: Request) -> Response:
        if fault.kind == "html":
            return HTMLResponse(PROXY_PAGE)
        if fault.kind == "huge":
            return Response(b'{"filler":"' + b"x" * HUGE_BYTES + b'"}', media_type="application/json")
        answer = await self._service.refuse(request, fault.status)
        answer.headers.update(fault.headers)
        self._frame.state.save(self._service.content)
        return answer

    async def _answer(self, scope: Scope, body: bytes, logged: LoggedRequest, send: Send) -> None:
        async def send_logged(message: Message) -> None:
            if message["type"] == "http.response.start":
                logged.status = message["status"]
            await send(message)

        for message in await self._work(scope, body, send_logged):
            await send_logged(message)

    async def _work(self, scope: Scope, body: bytes, stream: Send | None = None) -> list[Message]:
        """Let the service do everything, save the outcome, and hold its answer; all but the end of one in parts."""
        incoming: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        answer: list[Message] = []

        async def receive() -> Message:
            return incoming.pop() if incoming else await asyncio.get_running_loop().create_future()  # the client stays

        async def collect(message: Message) -> None:
            answer.append(message)
            if stream is not None and message.get("more_body"):
                for each in answer:
                    await stream(each)
                answer.clear()

        await self._service.app(scope, receive, collect)
        if scope["method"] not in READ_ONLY:
            self._frame.state.save(self._service.content)
        return answer
