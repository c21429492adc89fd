"""The calls below `/api` and `/api-sandbox`: key, body, work, envelope."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.state import JsonObject
from sandbox.tripay.channels import CHANNELS
from sandbox.tripay.delivery import CallbackSender
from sandbox.tripay.merchant import LIVE_KEY, TEST_KEY, Merchant, Refused

INTERNAL = {"changed_at", "status_before"}
ITEM = re.compile(r"order_items\[(\d+)\]\[(\w+)\]")
NUMBERS = ("amount", "expired_time", "price", "quantity")
MAX_PER_PAGE = 50


@dataclass(frozen=True)
class Call:
    """A call whose key was right: its form or query, and under which of the two base paths it came."""

    params: JsonObject
    is_live: bool


type Work = Callable[[Call], JsonObject]


class Api:
    """Tripay's calls against one merchant."""

    def __init__(self, merchant: Merchant, sender: CallbackSender, commit: Callable[[], None]) -> None:
        self._merchant, self._sender, self._commit = merchant, sender, commit

    def routes(self) -> list[BaseRoute]:
        """Every call under both base paths."""
        calls: list[tuple[str, str, Work]] = [
            ("POST", "transaction/create", self.create),
            ("GET", "transaction/detail", self.detail),
            ("GET", "transaction/check-status", self.check_status),
            ("GET", "merchant/transactions", self.transactions),
            ("GET", "merchant/payment-channel", self.channels),
        ]

        def serving(work: Work, *, is_live: bool) -> Callable[[Request], Awaitable[Response]]:
            async def serve(request: Request) -> Response:
                return await self._serve(work, request, is_live=is_live)

            return serve

        return [
            Route(f"/{base}/{path}", serving(work, is_live=base == "api"), methods=[method])
            for base in ("api", "api-sandbox")
            for method, path, work in calls
        ]

    async def refuse(self, _request: Request, status: int) -> Response:
        """An armed status fault."""
        return JSONResponse({"success": False, "message": "Server sibuk"}, status_code=status)

    async def _serve(self, work: Work, request: Request, *, is_live: bool) -> Response:
        try:
            if request.headers.get("authorization") != f"Bearer {LIVE_KEY if is_live else TEST_KEY}":
                return JSONResponse({"success": False, "message": "Invalid API Key"}, status_code=401)
            params = await _form(request) if request.method == "POST" else dict(request.query_params)
            self._merchant.expire_due()
            answer = {"success": True, "message": "", **work(Call(params, is_live))}
        except Refused as error:
            return JSONResponse({"success": False, "message": str(error)}, status_code=400)
        finally:
            self._commit()
        if "before_answer" in self._merchant.switches:
            await self._sender.flush()
        return JSONResponse(answer)

    def create(self, call: Call) -> JsonObject:
        """A new transaction. `before_answer`: it is paid, and its callback sent, before this is answered."""
        row = self._merchant.create(call.params, is_live=call.is_live)
        if "before_answer" in self._merchant.switches:
            self._merchant.pay(row["reference"])
            return {"data": _shown(row) | {"status": "UNPAID"}}
        return {"data": _shown(row)}

    def detail(self, call: Call) -> JsonObject:
        """A transaction: `paid_at` is text here, and without a QR code its two fields are absent."""
        row = _shown(self._merchant.visible(self._merchant.find(str(call.params.get("reference")))))
        row["paid_at"] = row["paid_at"] and str(row["paid_at"])
        return {
            "data": {
                name: value for name, value in row.items() if value is not None or name not in {"qr_string", "qr_url"}
            }
        }

    def check_status(self, call: Call) -> JsonObject:
        """The status in words, without data."""
        status = self._merchant.check(self._merchant.find(str(call.params.get("reference"))))
        return {"message": f"Status transaksi saat ini {status}"}

    def transactions(self, call: Call) -> JsonObject:
        """A page of the list, newest first: `pay_code` is a number here, and its leading zeros are lost."""
        rows = [self._merchant.visible(row) for row in reversed(self._merchant.transactions.values())]
        for name in ("merchant_ref", "reference", "status"):
            rows = [row for row in rows if name not in call.params or row[name] == call.params[name]]
        per_page, page = min(int(call.params.get("per_page", 25)), MAX_PER_PAGE), int(call.params.get("page", 1))
        last = max(1, -(-len(rows) // per_page))
        listed = []
        for row in rows[(page - 1) * per_page : page * per_page]:
            hidden = {"expired_time", "instructions", "qr_string", "qr_url"}
            kept = {name: value for name, value in _shown(row).items() if name not in hidden}
            code = row["pay_code"] and int(row["pay_code"])
            listed.append(kept | {"pay_code": code, "expired_at": row["expired_time"], "note": None})
        pagination = {"current_page": page, "next_page": page + 1 if page < last else None, "last_page": last}
        return {"data": listed, "pagination": pagination | {"per_page": per_page, "total_records": len(rows)}}

    def channels(self, _call: Call) -> JsonObject:
        """The channels."""
        return {"data": [channel.listed() for channel in CHANNELS.values()]}


def _shown(row: JsonObject) -> JsonObject:
    return {name: value for name, value in row.items() if name not in INTERNAL}


async def _form(request: Request) -> JsonObject:
    """A JSON body, or a form with brackets. Raises Refused."""
    if "json" in request.headers.get("content-type", ""):
        body = await request.json()
        if not isinstance(body, dict):
            raise Refused("Parameter tidak lengkap")
        return body
    form: JsonObject = {}
    items: dict[str, JsonObject] = {}
    for name, text in parse_qsl((await request.body()).decode(), keep_blank_values=True):
        match = ITEM.fullmatch(name)
        field = match[2] if match else name
        value = int(text) if field in NUMBERS and text.isascii() and text.isdigit() else text
        (items.setdefault(match[1], {}) if match else form)[field] = value
    return form | ({"order_items": list(items.values())} if items else {})
