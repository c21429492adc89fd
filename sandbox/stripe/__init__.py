"""A stand-in for Stripe's API, hosted payment page and webhooks, at API version 2026-10-28.endive."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.frame import Frame, ServiceApp


class _C:
    name = "stripe"
    def snapshot(self): return {}
    def restore(self, saved): pass
    def reset(self): pass


def build(frame: Frame) -> ServiceApp:
    async def hi(r): return JSONResponse({})
    async def refuse(r: Request, status: int) -> Response: return JSONResponse({"error":{}}, status_code=status)
    return ServiceApp(app=Starlette(routes=[Route("/v1/x", hi, methods=["GET","POST"])]), content=_C(), refuse=refuse, title="Stripe")
