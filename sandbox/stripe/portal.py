"""The billing portal: a customer looks after saved cards and subscriptions. Works without JavaScript."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from html import escape
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from sandbox.pages import page
from sandbox.state import JsonObject
from sandbox.stripe import errors, payment_methods, subscriptions
from sandbox.stripe.account import Account, new_id, null_fields
from sandbox.stripe.cards import METHODS
from sandbox.stripe.customers import choose_default
from sandbox.stripe.endpoints import Call
from sandbox.stripe.events import updating
from sandbox.stripe.method_choice import choices

LIFETIME_SECONDS = 3600


def create(call: Call) -> JsonObject:
    """A short-lived portal page for a customer."""
    account, given = call.account, call.params
    account.find("customer", given["customer"], "customer")
    identity = new_id("bps_")
    return account.add(
        {
            **null_fields("customer_account flow locale on_behalf_of"),
            "id": identity,
            "object": "billing_portal.session",
            "configuration": "bpc_sandbox_default",
            "created": account.now(),
            "customer": given["customer"],
            "livemode": False,
            "return_url": given.get("return_url"),
            "url": f"{account.base_url}/p/session/{identity}",
        }
    )


class PortalPage:
    """Serves `/p/session/<id>`."""

    def __init__(self, account: Account, commit: Callable[[], Awaitable[None]]) -> None:
        self._account = account
        self._commit = commit

    def routes(self) -> list[BaseRoute]:
        """Show and act."""
        return [
            Route("/p/session/{id}", self.show, methods=["GET"]),
            Route("/p/session/{id}", self.act, methods=["POST"]),
        ]

    async def show(self, request: Request) -> Response:
        """Saved cards and subscriptions."""
        session = self._open_session(request)
        if session is None:
            body = '<div class="card"><h1>Page expired</h1><p>Open the portal again from the shop.</p></div>'
            return page("Expired", body, width="narrow", status=410)
        return page("Billing", self._body(session), width="narrow")

    async def act(self, request: Request) -> Response:
        """Do what a button asked, then show the page again."""
        session = self._open_session(request)
        if session is None:
            return await self.show(request)
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode("utf-8", "replace")).items()}
        customer = self._account.find("customer", session["customer"])
        action, identity = form.get("action"), form.get("id", "")
        try:
            if action == "add":
                self._add_card(customer, form.get("card", ""))
            elif action == "default":
                with updating(self._account, "customer.updated", customer):
                    choose_default(self._account, customer, identity)
            elif action == "remove":
                method = self._account.find("payment_method", identity, "id")
                if method["customer"] != customer["id"]:
                    raise errors.missing_resource("PaymentMethod", identity, "id")
                payment_methods.detach(self._account, method)
            elif action in {"cancel", "keep"}:
                self._schedule_end(customer, identity, is_ending=action == "cancel")
        except errors.StripeError as error:
            return page("Billing", self._body(session, str(error)), width="narrow", status=error.status)
        await self._commit()
        return RedirectResponse(session["url"], status_code=303)

    def _open_session(self, request: Request) -> JsonObject | None:
        session = self._account.get("billing_portal.session", request.path_params["id"])
        is_open = session is not None and session["created"] + LIFETIME_SECONDS > self._account.now()
        return session if is_open else None

    def _add_card(self, customer: JsonObject, token: str) -> None:
        """Save a card and make it the default."""
        test = METHODS.get(token)
        if test is None or test.is_bank:
            raise errors.invalid("Choose a card.", param="card")
        if test.now is not None:
            raise errors.card(test.now.message, code=test.now.code, decline_code=test.now.decline_code)
        method = payment_methods.make(self._account, test)
        payment_methods.attach(self._account, method, customer["id"])
        self._account.note(method["id"])["is_set_up"] = True
        with updating(self._account, "customer.updated", customer):
            choose_default(self._account, customer, method["id"])

    def _schedule_end(self, customer: JsonObject, identity: str, *, is_ending: bool) -> None:
        subscription = self._account.find("subscription", identity, "id")
        if subscription["customer"] != customer["id"] or subscription["status"] in subscriptions.ENDED:
            raise errors.missing_resource("subscription", identity, "id")
        with updating(self._account, "customer.subscription.updated", subscription):
            subscriptions.schedule_end(self._account, subscription, is_ending=is_ending)

    def _body(self, session: JsonObject, problem: str = "") -> str:
        customer = self._account.find("customer", session["customer"])
        cards = [each for each in self._account.all("payment_method") if each["customer"] == customer["id"]]
        default = customer["invoice_settings"]["default_payment_method"]
        card_rows = "".join(_card_row(each, is_default=each["id"] == default) for each in cards)
        owned = [each for each in self._account.all("subscription") if each["customer"] == customer["id"]]
        rows = "".join(_subscription_row(each) for each in owned if each["status"] not in subscriptions.ENDED)
        back = f'<a href="{escape(session["return_url"])}">← Back to the shop</a>' if session["return_url"] else ""
        return (
            f'{back}<h1>Billing <span class="tag">Test mode</span></h1>'
            f'<p class="quiet">{escape(customer["email"] or "")}</p>'
            + (f'<p class="alert" role="alert">{escape(problem)}</p>' if problem else "")
            + (f'<section class="card"><h2>Subscriptions</h2>{rows}</section>' if rows else "")
            + f'<section class="card"><h2>Saved cards</h2>{card_rows or "<p class=quiet>None yet.</p>"}</section>'
            f'<form class="card" method="post"><h2>Add a card</h2>{choices("pm_card_visa", with_bank=False)}'
            '<button class="go" name="action" value="add">Save card</button></form>'
        )


def _card_row(method: JsonObject, *, is_default: bool) -> str:
    facts = method[method["type"]]
    name = f"{facts.get('brand', facts.get('bank_name')).title()} ···· {facts['last4']}"
    tag = '<span class="tag good">Default</span>' if is_default else _button("default", method["id"], "Make default")
    buttons = f'<div class="acts">{tag}{_button("remove", method["id"], "Remove")}</div>'
    return f"<div><p>{escape(name)}</p>{buttons}</div>"


def _subscription_row(subscription: JsonObject) -> str:
    until = datetime.fromtimestamp(subscriptions.current_period_end(subscription), UTC).strftime("%d %B %Y")
    if subscription["cancel_at_period_end"]:
        return f"<div><p>Ends on {until}</p>{_button('keep', subscription['id'], 'Keep it')}</div>"
    return f"<div><p>Renews on {until}</p>{_button('cancel', subscription['id'], 'Cancel at period end')}</div>"


def _button(action: str, identity: str, label: str) -> str:
    return (
        f'<form method="post"><input type="hidden" name="id" value="{escape(identity)}">'
        f'<button name="action" value="{action}">{escape(label)}</button></form>'
    )
