"""Small pages that links of the API lead to: the bank's question, receipts, invoices and the latest payments."""

from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.pages import page
from sandbox.stripe import charging
from sandbox.stripe.account import Account
from sandbox.stripe.money import shown

LATEST = 25


class Documents:
    """Serves the pages of documents."""

    def __init__(self, account: Account, commit: Callable[[], Awaitable[None]]) -> None:
        self._account = account
        self._commit = commit

    def routes(self) -> list[BaseRoute]:
        """Overview, authentication, receipts and invoices."""
        return [
            Route("/", self.overview, methods=["GET"]),
            Route("/c/authenticate/{id}", self.ask, methods=["GET"]),
            Route("/c/authenticate/{id}", self.answer, methods=["POST"]),
            Route("/receipts/{id}", self.receipt, methods=["GET"]),
            Route("/i/{id}", self.invoice, methods=["GET"]),
        ]

    async def overview(self, _request: Request) -> Response:
        """The latest payments, for users of the demo."""
        rows = "".join(
            f"<tr><td>{escape(each['id'])}</td><td class=num>{escape(shown(each['amount'], each['currency']))}</td>"
            f"<td><span class=tag>{escape(each['status'])}</span></td></tr>"
            for each in self._account.all("payment_intent")[:LATEST]
        )
        table = f"<table><thead><tr><th>Payment<th>Amount<th>Status</thead><tbody>{rows}</tbody></table>"
        empty = '<p class="quiet">No payments yet.</p>'
        return page("Payments", f'<h1>Payments</h1><div class="card">{table if rows else empty}</div>')

    async def ask(self, request: Request) -> Response:
        """The bank's question."""
        intent = self._account.get("payment_intent", request.path_params["id"])
        if intent is None or intent["status"] != "requires_action":
            return page("Done", '<div class="card"><h1>Nothing to confirm</h1></div>', width="narrow", status=410)
        amount = escape(shown(intent["amount"], intent["currency"]))
        body = (
            f'<form class="card" method="post"><h1>Confirm {amount}</h1>'
            '<p class="quiet">Your test bank asks whether it is you.</p>'
            '<button class="go" name="outcome" value="pass">Confirm</button>'
            '<button name="outcome" value="fail">Refuse</button></form>'
        )
        return page("Confirm payment", body, width="narrow")

    async def answer(self, request: Request) -> Response:
        """Go back to the shop with the outcome."""
        intent = self._account.get("payment_intent", request.path_params["id"])
        if intent is None or intent["status"] != "requires_action":
            return await self.ask(request)
        is_passed = b"outcome=pass" in await request.body()
        charging.authenticate(self._account, intent, is_passed=is_passed)
        await self._commit()
        target = self._account.note(intent["id"]).get("return_url") or f"{self._account.base_url}/"
        result = {"payment_intent": intent["id"], "redirect_status": "succeeded" if is_passed else "failed"}
        glue = "&" if "?" in target else "?"
        return RedirectResponse(f"{target}{glue}{urlencode(result)}", status_code=303)

    async def receipt(self, request: Request) -> Response:
        """What a charge paid."""
        charge = self._account.get("charge", request.path_params["id"])
        if charge is None:
            return _document("Nothing here", {}, status=404)
        facts = {
            "Paid": shown(charge["amount_captured"], charge["currency"]),
            "Refunded": shown(charge["amount_refunded"], charge["currency"]),
            "Status": charge["status"],
        }
        return _document("Receipt", facts)

    async def invoice(self, request: Request) -> Response:
        """The lines and the total of an invoice."""
        invoice = self._account.get("invoice", request.path_params["id"])
        if invoice is None:
            return _document("Nothing here", {}, status=404)
        facts = {line["description"]: shown(line["amount"], line["currency"]) for line in invoice["lines"]["data"]}
        facts |= {"Total": shown(invoice["total"], invoice["currency"]), "Status": invoice["status"]}
        return _document(f"Invoice {invoice['number']}", facts)


def _document(title: str, facts: dict[str, str], status: int = 200) -> Response:
    rows = "".join(
        f"<div><dt>{escape(key)}</dt><dd class=num>{escape(value)}</dd></div>" for key, value in facts.items()
    )
    body = f'<div class="card"><h1>{escape(title)}</h1><dl class="rows">{rows}</dl></div>'
    return page(title, body, width="narrow", status=status)
