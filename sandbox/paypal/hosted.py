"""The approval page: approve and return, approve and close the tab, or cancel. Works without JavaScript."""

from collections.abc import Callable
from html import escape

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.pages import page
from sandbox.paypal import payments
from sandbox.paypal.account import CLIENT_ID, CLIENT_SECRET, WEBHOOK_ID, Account, PayPalError


class ApprovalPage:
    """Serves `/checkoutnow/<order>`."""

    def __init__(self, account: Account, commit: Callable[[], None]) -> None:
        self._account, self._commit = account, commit

    def routes(self) -> list[BaseRoute]:
        """Every order, and one."""
        return [Route("/", self.index), Route("/checkoutnow/{id}", self.serve, methods=["GET", "POST"])]

    async def index(self, _request: Request) -> Response:
        """Every order, newest first."""
        rows = "".join(
            f'<div><dt><a href="{self._account.base_url}/checkoutnow/{number}">{number}</a></dt>'
            f"<dd>{order['status'].lower()}</dd></div>"
            for number, order in reversed(self._account.orders.items())
        )
        return page("PayPal", f'<div class="card"><h1>Orders</h1><dl class="rows">{rows}</dl></div>{_keys()}')

    async def serve(self, request: Request) -> Response:
        """The page of an order. A POST approves it; with `close` the buyer never comes back."""
        number = request.path_params["id"]
        try:
            order = payments.find_order(self._account, number)
        except PayPalError:
            return page("Nothing here", '<div class="card"><h1>This order has expired.</h1></div>', status=404)
        if request.method == "POST" and payments.approve(self._account, number):
            self._commit()
            if not request.query_params.get("close"):
                joint = "&" if "?" in order["return_url"] else "?"
                payer = order["payer"]["payer_id"]
                return RedirectResponse(f"{order['return_url']}{joint}token={number}&PayerID={payer}", status_code=303)
        amount = order["purchase_units"][0]["amount"]
        text = escape(f"{amount['value']} {amount['currency_code']}")
        if order["status"] in {"APPROVED", "COMPLETED"}:
            return page("Approved", f'<div class="card"><h1>{text} is approved.</h1></div>', width="narrow")
        joint = "&" if "?" in order["cancel_url"] else "?"
        cancel = escape(f"{order['cancel_url']}{joint}token={number}")
        return page(
            "Pay with PayPal",
            '<form class="card" method="post"><p class="quiet">PayPal <span class="tag">Test mode</span></p>'
            f'<h1 class="total num">{text}</h1><button class="go" type="submit">Approve</button>'
            f'<a class="btn" href="{cancel}">Cancel</a></form>',
            width="narrow",
        )


def _keys() -> str:
    keys = {"Client ID": CLIENT_ID, "Client secret": CLIENT_SECRET, "Webhook ID": WEBHOOK_ID, "Environment": "sandbox"}
    rows = "".join(f'<div><dt>{label}</dt><dd class="num">{value}</dd></div>' for label, value in keys.items())
    return f'<div class="card"><h2>Keys</h2><dl class="rows">{rows}</dl></div>'
