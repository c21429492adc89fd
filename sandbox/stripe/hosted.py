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
from sandbox.stripe.account import BUSINESS_NAME, Account
from sandbox.stripe.errors import StripeError
from sandbox.stripe.method_choice import choices
from sandbox.stripe.money import shown

BUTTONS = {"payment": "Pay", "subscription": "Subscribe", "setup": "Save card"}


class HostedPage:
    """Serves `/c/pay/<session>`."""

    def __init__(self, account: Account, commit: Callable[[], Awaitable[None]]) -> None:
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
        return self._open(session) if session and session["status"] == "open" else _closed(session)

    async def pay(self, request: Request) -> Response:
        """Complete the session and send the buyer back; a refused card shows the page again with the reason (402)."""
        due.catch_up(self._account)
        session = self._account.get("checkout.session", request.path_params["id"])
        if session is None or session["status"] != "open":
            await self._commit()
            return _closed(session)
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        card, email = form.get("card", [""])[0], form.get("email", [""])[0].strip()
        try:
            checkout.complete(self._account, session, card, email or None)
        except StripeError as error:
            await self._commit()
            return self._open(session, error=error, chosen=card) if session["status"] == "open" else _closed(session)
        await self._commit()
        return RedirectResponse(_success_url(session), status_code=303)

    def _open(self, session: JsonObject, error: StripeError | None = None, chosen: str = "") -> Response:
        lines = self._account.note(session["id"])["line_items"]
        amount = shown(session["amount_total"], session["currency"]) if lines else "Nothing to pay now"
        owner = self._account.get("customer", session["customer"])
        email = owner["email"] if owner else session["customer_email"]
        email_field = (
            '<label for="email"><b>E-mail</b></label>'
            '<input id="email" name="email" type="email" autocomplete="email" placeholder="you@example.com">'
        )
        if email:
            email_field = f'<dl class="rows"><div><dt class="quiet">E-mail</dt><dd>{escape(email)}</dd></div></dl>'
        elif owner:
            email_field = ""
        alert = f'<p class="alert" role="alert">{escape(str(error))}</p>' if error else ""
        button = f"{BUTTONS[session['mode']]} {amount if session['amount_total'] else ''}".strip()
        cancel = f'<a class="btn" href="{escape(session["cancel_url"])}">Cancel</a>' if session["cancel_url"] else ""
        body = (
            f'<section><div style="display:grid;gap:1.1rem">{_back_link(session)}'
            f'<p class="quiet">{BUSINESS_NAME} <span class="tag">Test mode</span></p>'
            f'<h1 class="total num">{escape(amount)}</h1>'
            f'<dl class="rows">{"".join(_line_row(line) for line in lines)}</dl></div></section>'
            f'<form class="card" method="post" action="{escape(session["url"])}">{alert}{email_field}'
            f"{choices(chosen or 'pm_card_visa', with_bank=session['mode'] != 'setup')}"
            f'<button class="go" type="submit">{escape(button)}</button>{cancel}'
            '<p class="quiet small">A stand-in for a payment page: no card number is asked for.</p></form>'
        )
        return page(f"Pay {BUSINESS_NAME}", body, width="split", status=error.status if error else 200)


def _line_row(line: JsonObject) -> str:
    quantity = f' <span class="quiet">× {line["quantity"]}</span>' if line["quantity"] > 1 else ""
    rhythm, recurring = "", line["price"]["recurring"]
    if recurring:
        count, interval = recurring["interval_count"], recurring["interval"]
        rhythm = f" every {count} {interval}s" if count > 1 else f" per {interval}"
    amount = escape(shown(line["amount_total"], line["currency"]) + rhythm)
    return f'<div><dt>{escape(line["description"])}{quantity}</dt><dd class="num">{amount}</dd></div>'


def _back_link(session: JsonObject) -> str:
    url = session["cancel_url"]
    return f'<a href="{escape(url)}">← Back to the shop</a>' if url else ""


def _success_url(session: JsonObject) -> str:
    return str(session["success_url"]).replace("{CHECKOUT_SESSION_ID}", session["id"])


def _closed(session: JsonObject | None) -> Response:
    """The page of a session that is complete, has expired or does not exist."""
    title, status, text, link = "Nothing here", 404, "This payment page does not exist.", ""
    if session is not None and session["status"] == "complete":
        title, status, text = "All done", 200, "This payment is complete."
        if session["payment_status"] == "unpaid":
            text = "This payment is under way."
        link = f'<a class="btn" href="{escape(_success_url(session))}">Continue to the shop</a>'
    elif session is not None:
        title, status = "Page expired", 410
        text = "This checkout page has expired. Nothing was charged; start again from the shop."
        link = _back_link(session)
    return page(title, f'<div class="card"><h1>{title}</h1><p>{text}</p>{link}</div>', width="narrow", status=status)
