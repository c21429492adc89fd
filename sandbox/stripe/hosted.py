"""The hosted Checkout page: what it sells, test cards to choose from, and the way back. Works without JavaScript."""

from collections.abc import Awaitable, Callable
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.pages import page
from sandbox.state import JsonObject
from sandbox.stripe import checkout, due
from sandbox.stripe.account import Account
from sandbox.stripe.errors import StripeError
from sandbox.stripe.method_choice import choices
from sandbox.stripe.money import shown

Commit = Callable[[], Awaitable[None]]
BUTTONS = {"payment": "Pay", "subscription": "Subscribe", "setup": "Save card"}


class HostedPage:
    """Serves `/c/pay/<session>`."""

    def __init__(self, account: Account, commit: Commit) -> None:
        self._account = account
        self._commit = commit

    def routes(self) -> list[BaseRoute]:
        """Show and pay."""
        return [
            Route("/c/pay/{id}", self.show, methods=["GET"]),
            Route("/c/pay/{id}", self.pay, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """The page for an open session, or what became of it."""
        due.catch_up(self._account)
        await self._commit()
        session = self._account.get("checkout.session", request.path_params["id"])
        return _gone() if session is None else self._render(session)

    async def pay(self, request: Request) -> Response:
        """Complete the session and send the buyer back; a refused card shows the page again with the reason (402)."""
        due.catch_up(self._account)
        session = self._account.get("checkout.session", request.path_params["id"])
        if session is None:
            return _gone()
        if session["status"] != "open":
            await self._commit()
            return self._render(session)
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        card, email = form.get("card", [""])[0], form.get("email", [""])[0].strip()
        try:
            checkout.complete(self._account, session, card, email or None)
        except StripeError as error:
            await self._commit()
            return self._render(session, error=error, chosen=card)
        await self._commit()
        target = str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])
        return RedirectResponse(target, status_code=303)

    def _render(self, session: JsonObject, error: StripeError | None = None, chosen: str = "") -> Response:
        if session["status"] != "open":
            return _ended(session)
        body = f"<section>{self._summary(session)}</section>{self._form(session, error, chosen or 'pm_card_visa')}"
        status = 200 if error is None else error.status
        return page(f"Pay {self._account.settings['business_name']}", body, width="split", status=status)

    def _summary(self, session: JsonObject) -> str:
        lines = self._account.note(session["id"])["line_items"]
        rows = "".join(_line_row(line) for line in lines)
        if session["total_details"]["amount_discount"]:
            off = shown(-session["total_details"]["amount_discount"], session["currency"])
            rows += f'<div><dt>Discount</dt><dd class="num">{escape(off)}</dd></div>'
        total = "Nothing to pay now" if not lines else shown(session["amount_total"], session["currency"])
        return (
            f'<div style="display:grid;gap:1.1rem">{_back_link(session)}'
            f'<p class="quiet">{escape(self._account.settings["business_name"])} <span class="tag">Test mode</span></p>'
            f'<h1 class="total num">{escape(total)}</h1><dl class="rows">{rows}</dl></div>'
        )

    def _form(self, session: JsonObject, error: StripeError | None, chosen: str) -> str:
        alert = f'<p class="alert" role="alert">{escape(str(error))}</p>' if error else ""
        amount = shown(session["amount_total"], session["currency"]) if session["amount_total"] else ""
        button = escape(f"{BUTTONS[session['mode']]} {amount}".strip())
        return (
            f'<form class="card" method="post" action="{escape(session["url"])}">{alert}{self._email_field(session)}'
            f"{choices(chosen, with_bank=session['mode'] != 'setup')}"
            f'<button class="go" type="submit">{button}</button>{_cancel_button(session)}'
            '<p class="quiet small">A stand-in for a payment page: no card number is asked for.</p></form>'
        )

    def _email_field(self, session: JsonObject) -> str:
        owner = self._account.get("customer", session["customer"])
        known = owner["email"] if owner else session["customer_email"]
        if known:
            return f'<dl class="rows"><div><dt class="quiet">E-mail</dt><dd>{escape(known)}</dd></div></dl>'
        if owner:
            return ""
        return (
            '<label for="email"><b>E-mail</b></label>'
            '<input id="email" name="email" type="email" autocomplete="email" placeholder="you@example.com">'
        )


def _line_row(line: JsonObject) -> str:
    quantity = f' <span class="quiet">× {line["quantity"]}</span>' if line["quantity"] > 1 else ""
    amount = escape(shown(line["amount_total"], line["currency"]) + _rhythm(line["price"]["recurring"]))
    return f'<div><dt>{escape(line["description"])}{quantity}</dt><dd class="num">{amount}</dd></div>'


def _rhythm(recurring: JsonObject | None) -> str:
    if recurring is None:
        return ""
    count, interval = recurring["interval_count"], recurring["interval"]
    return f" every {count} {interval}s" if count > 1 else f" per {interval}"


def _back_link(session: JsonObject) -> str:
    if not session["cancel_url"]:
        return ""
    return f'<a href="{escape(session["cancel_url"])}">← Back to the shop</a>'


def _cancel_button(session: JsonObject) -> str:
    if not session["cancel_url"]:
        return ""
    return f'<a class="btn" href="{escape(session["cancel_url"])}">Cancel</a>'


def _ended(session: JsonObject) -> Response:
    if session["status"] == "complete":
        text = "This payment is complete." if session["payment_status"] != "unpaid" else "This payment is under way."
        target = str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])
        link = f'<a class="btn" href="{escape(target)}">Continue to the shop</a>'
        return page("Complete", f'<div class="card"><h1>All done</h1><p>{text}</p>{link}</div>', width="narrow")
    text = "This checkout page has expired. Nothing was charged; start again from the shop."
    body = f'<div class="card"><h1>Page expired</h1><p>{text}</p>{_back_link(session)}</div>'
    return page("Expired", body, width="narrow", status=410)


def _gone() -> Response:
    body = '<div class="card"><h1>Nothing here</h1><p>This payment page does not exist.</p></div>'
    return page("Not found", body, width="narrow", status=404)
