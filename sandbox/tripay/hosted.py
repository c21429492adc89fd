"""The checkout page: what is to be paid, a button that pays it, and the way back. Works without JavaScript."""

from collections.abc import Callable
from html import escape

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.pages import page
from sandbox.state import JsonObject
from sandbox.tripay.merchant import MERCHANT, PRIVATE_KEY, TEST_KEY, Merchant


class CheckoutPage:
    """Serves `/checkout/<reference>`."""

    def __init__(self, merchant: Merchant, commit: Callable[[], None]) -> None:
        self._merchant, self._commit = merchant, commit

    def routes(self) -> list[BaseRoute]:
        """Show and pay."""
        return [Route("/", self.index), Route("/checkout/{reference}", self.serve, methods=["GET", "POST"])]

    async def index(self, _request: Request) -> Response:
        """Every transaction, newest first."""
        self._merchant.expire_due()
        rows = "".join(
            f'<div><dt><a href="{escape(row["checkout_url"])}">{escape(row["reference"])}</a></dt>'
            f"<dd>{row['status'].lower()}, {_rupiah(row['amount'])}</dd></div>"
            for row in reversed(self._merchant.transactions.values())
        )
        return page("Tripay", f'<div class="card"><h1>Transactions</h1><dl class="rows">{rows}</dl></div>{_keys()}')

    async def serve(self, request: Request) -> Response:
        """The page of a transaction; a POST pays it and goes back to the shop."""
        self._merchant.expire_due()
        row = self._merchant.transactions.get(request.path_params["reference"])
        if row is None:
            return _notice("Nothing here", "This payment page does not exist.", status=404)
        if row["status"] != "UNPAID":
            self._commit()
            return _notice(f"Payment {row['status'].lower()}", "There is nothing to pay here.", back=row["return_url"])
        if request.method == "POST":
            self._merchant.pay(row["reference"])
            self._commit()
            return RedirectResponse(row["return_url"] or request.url.path, status_code=303)
        return _open(row)


def _keys() -> str:
    keys = {"Merchant code": MERCHANT, "API key": TEST_KEY, "Private key": PRIVATE_KEY}
    rows = "".join(f'<div><dt>{label}</dt><dd class="num">{value}</dd></div>' for label, value in keys.items())
    return f'<div class="card"><h2>Keys</h2><dl class="rows">{rows}</dl></div>'


def _open(row: JsonObject) -> Response:
    total = _rupiah(row["amount_received"] + row["total_fee"])
    code = f'<div><dt>Pay code</dt><dd class="num">{escape(row["pay_code"])}</dd></div>' if row["pay_code"] else ""
    fee = f'<div><dt>Fee</dt><dd class="num">{_rupiah(row["fee_customer"])}</dd></div>' if row["fee_customer"] else ""
    back = f'<a class="btn" href="{escape(row["return_url"])}">Back to the shop</a>' if row["return_url"] else ""
    return page(
        "Pay with Tripay",
        f'<form class="card" method="post"><p class="quiet">{escape(row["payment_name"])} '
        f'<span class="tag">Test mode</span></p><h1 class="total num">{total}</h1><dl class="rows">{code}{fee}</dl>'
        f'<button class="go" type="submit">Pay {total}</button>{back}</form>',
        width="narrow",
    )


def _notice(title: str, text: str, *, back: str | None = None, status: int = 200) -> Response:
    link = f'<a class="btn" href="{escape(back)}">Continue to the shop</a>' if back else ""
    return page(title, f'<div class="card"><h1>{title}</h1><p>{text}</p>{link}</div>', width="narrow", status=status)


def _rupiah(amount: int) -> str:
    return f"Rp {amount:,}".replace(",", ".")
