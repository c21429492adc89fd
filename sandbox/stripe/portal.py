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
from sandbox.stripe import errors, subscriptions
from sandbox.stripe.account import Account, changed_fields, new_id
from sandbox.stripe.cards import METHODS
from sandbox.stripe.customers import choose_default, living
from sandbox.stripe.endpoints import Call, Endpoint, write
from sandbox.stripe.events import emit
from sandbox.stripe.method_choice import choices
from sandbox.stripe.payment_methods import attach, make
from sandbox.stripe.schema import Choice, Group, Loose, Text, Url

LASTS_SECONDS = 3600
FLOWS = Choice(
    "payment_method_update",
    "customer_update",
    "subscription_cancel",
    "subscription_pause",
    "subscription_update",
    "subscription_update_confirm",
)


def create(call: Call) -> JsonObject:
    """A short-lived portal page for a customer."""
    account, given = call.account, call.params
    living(account, given["customer"])
    identity = new_id("bps_")
    return account.add(
        {
            "id": identity,
            "object": "billing_portal.session",
            "configuration": given.get("configuration", "bpc_sandbox_default"),
            "created": account.now(),
            "customer": given["customer"],
            "customer_account": None,
            "flow": given.get("flow_data"),
            "livemode": False,
            "locale": given.get("locale"),
            "on_behalf_of": None,
            "return_url": given.get("return_url"),
            "url": f"{account.base_url}/p/session/{identity}",
        }
    )


ENDPOINTS: list[Endpoint] = [
    write(
        "/v1/billing_portal/sessions",
        create,
        {
            "customer": Text(),
            "return_url": Url(),
            "configuration": Text(),
            "locale": Text(10),
            "flow_data": Group(
                {
                    "type": FLOWS,
                    "after_completion": Loose(),
                    "subscription_cancel": Loose(),
                    "subscription_update": Loose(),
                },
                ("type",),
            ),
        },
        "customer",
    ),
]


class Portal:
    """Serves `/p/session/<id>`."""

    def __init__(self, account: Account, commit: Callable[[], Awaitable[None]]) -> None:
        self._account = account
        self._commit = commit

    def routes(self) -> list[BaseRoute]:
        """Show and act."""
        path = "/p/session/{id}"
        return [Route(path, self.show, methods=["GET"]), Route(path, self.act, methods=["POST"])]

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
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        customer = self._account.find("customer", session["customer"])
        actions = {
            "add": self._add_card,
            "default": self._make_default,
            "remove": self._remove_card,
            "cancel": self._cancel,
            "keep": self._keep,
        }
        action = actions.get(form.get("action", [""])[0])
        if action is None:
            return await self.show(request)
        try:
            action(customer, form.get("id", form.get("card", [""]))[0])
        except errors.StripeError as error:
            return page("Billing", self._body(session, str(error)), width="narrow", status=error.status)
        await self._commit()
        return RedirectResponse(session["url"], status_code=303)

    def _open_session(self, request: Request) -> JsonObject | None:
        session = self._account.get("billing_portal.session", request.path_params["id"])
        is_open = session is not None and session["created"] + LASTS_SECONDS > self._account.now()
        return session if is_open else None

    def _add_card(self, customer: JsonObject, token: str) -> None:
        test = METHODS.get(token)
        if test is None or test.is_bank:
            raise errors.invalid("Choose a card.", param="card")
        if test.now is not None:
            raise errors.card(test.now.message, code=test.now.code, decline_code=test.now.decline_code)
        method = make(self._account, test)
        attach(self._account, method, customer["id"])
        self._account.note(method["id"])["is_set_up"] = True
        self._make_default(customer, method["id"])

    def _make_default(self, customer: JsonObject, method: str) -> None:
        before = {**customer, "invoice_settings": dict(customer["invoice_settings"])}
        choose_default(self._account, customer, method)
        emit(self._account, "customer.updated", customer, changed_fields(before, customer))

    def _remove_card(self, customer: JsonObject, method_id: str) -> None:
        method = self._account.find("payment_method", method_id, "id")
        if method["customer"] != customer["id"]:
            raise errors.missing_resource("PaymentMethod", method_id, "id")
        if customer["invoice_settings"]["default_payment_method"] == method_id:
            choose_default(self._account, customer, None)
        method["customer"] = None
        emit(self._account, "payment_method.detached", method, {"customer": customer["id"]})

    def _cancel(self, customer: JsonObject, subscription: str) -> None:
        self._schedule(customer, subscription, is_ending=True)

    def _keep(self, customer: JsonObject, subscription: str) -> None:
        self._schedule(customer, subscription, is_ending=False)

    def _schedule(self, customer: JsonObject, identity: str, *, is_ending: bool) -> None:
        subscription = self._account.find("subscription", identity, "id")
        if subscription["customer"] != customer["id"] or subscription["status"] in subscriptions.ENDED:
            raise errors.missing_resource("subscription", identity, "id")
        before = {**subscription, "cancellation_details": dict(subscription["cancellation_details"])}
        subscriptions.schedule_end(self._account, subscription, is_ending=is_ending)
        emit(self._account, "customer.subscription.updated", subscription, changed_fields(before, subscription))

    def _body(self, session: JsonObject, problem: str = "") -> str:
        customer = self._account.find("customer", session["customer"])
        back = f'<a href="{escape(session["return_url"])}">← Back to the shop</a>' if session["return_url"] else ""
        alert = f'<p class="alert" role="alert">{escape(problem)}</p>' if problem else ""
        return (
            f'{back}<h1>Billing <span class="tag">Test mode</span></h1>'
            f'<p class="quiet">{escape(customer["email"] or "")}</p>'
            f"{alert}{self._subscriptions(customer)}{self._cards(customer)}"
            f'<form class="card" method="post"><h2>Add a card</h2>{choices("pm_card_visa", with_bank=False)}'
            '<button class="go" name="action" value="add">Save card</button></form>'
        )

    def _cards(self, customer: JsonObject) -> str:
        default = customer["invoice_settings"]["default_payment_method"]
        owned = [each for each in self._account.all("payment_method") if each["customer"] == customer["id"]]
        rows = "".join(_card_row(method, is_default=method["id"] == default) for method in owned)
        return f'<section class="card"><h2>Saved cards</h2>{rows or "<p class=quiet>None yet.</p>"}</section>'

    def _subscriptions(self, customer: JsonObject) -> str:
        owned = [each for each in self._account.all("subscription") if each["customer"] == customer["id"]]
        rows = "".join(_subscription_row(each) for each in owned if each["status"] not in subscriptions.ENDED)
        return f'<section class="card"><h2>Subscriptions</h2>{rows}</section>' if rows else ""


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
