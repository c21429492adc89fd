"""A shop with something in every state, and two users: what the screenshots are taken of."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from allauth.account.forms import default_token_generator
from allauth.account.models import EmailAddress, EmailConfirmationHMAC
from allauth.account.utils import user_pk_to_url_str
from allauth.usersessions.models import UserSession
from django.test import Client
from django.urls import reverse

from accounts.models import Organization, User
from billing import invoicing
from billing.invoicing import InvoiceLine
from billing.models import Invoice, ItemKind, Payment, PaymentState
from catalog.models import PlanPrice, Term
from core.money import Money
from nodebyte.seeding import catalog, panel
from orders import cancellation
from orders.models import Order
from sandbox.client import Sandbox
from servers import services as servers
from servers.live import power
from servers.models import Blueprint, HoldKind, Location, Node, Provider, Server
from tests.shop import (
    Clock,
    Shop,
    allow_unpaid_orders,
    create_session,
    deliver_webhooks,
    make_customer,
    place_order,
    run_once,
    run_until_idle,
)

AGENT, HERE = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    "203.0.113.7",
)
LONG_NAME = "Die wunderbare Welt der außergewöhnlich langen Servernamen Nr. 7"


@dataclass(frozen=True)
class Gallery:
    """Addresses of pages by name, and the sessions of `owner`, who has everything, and of `newcomer`."""

    addresses: dict[str, str]
    sessions: dict[str, str]


def seed(sandbox: Sandbox) -> None:
    """The catalog and the panel of `manage.py seed`."""
    at = datetime.now(tz=UTC)
    catalog.seed_catalog(at=at)
    keys = sandbox.panel_keys()
    panel.seed_panel(
        name="Panel", base_url=keys["url"], application_key=keys["application"], client_key=keys["client"], at=at
    )


def make_gallery(sandbox: Sandbox) -> Gallery:
    """Buy servers and orders into each state. Wants Stripe's settings to point at the stand-in."""
    seed(sandbox)
    owner = make_customer("ada@example.test", first_name="Ada", last_name="Lovelace")
    newcomer = make_customer("grace@example.test")
    allow_unpaid_orders()
    clock = Clock(sandbox)
    sandbox.panel_settings(rate_limits={"application": 100_000, "client": 100_000})
    made = _servers(sandbox, owner, clock) | _orders(sandbox, owner, clock)
    sessions = {"owner": _session(owner), "newcomer": _session(newcomer)}
    return Gallery(made | _email_links(newcomer), sessions)


def _servers(sandbox: Sandbox, owner: User, clock: Clock) -> dict[str, str]:
    names = {"running": "lantern-smp", "stopped": "Night shift", "suspended": LONG_NAME, "installing": "atlas"}
    plans = {"running": "mc-4gb", "stopped": "terraria-2gb", "suspended": "palworld-16gb", "installing": "factorio-4gb"}
    bought = {state: _bought(_shop(sandbox, owner, plans[state]), names[state], clock) for state in names}
    sandbox.panel_settings(install_seconds=5.0)
    for state in ("running", "stopped", "suspended"):
        _pay(sandbox, bought[state], clock)
    run_until_idle(clock)
    found = {
        state: Server.objects.get(order_item__order=bought[state]) for state in ("running", "stopped", "suspended")
    }
    power.send_power_action(server_id=found["stopped"].pk, action="stop", actor=owner, at=clock.now)
    servers.hold_servers(
        server_ids=[found["suspended"].pk], kind=HoldKind.BILLING, reason="unpaid", actor=None, at=clock.now
    )
    run_until_idle(clock)
    sandbox.panel_settings(install_seconds=100_000.0)
    _pay(sandbox, bought["installing"], clock)
    run_until_idle(clock, steps=8, step=timedelta(seconds=2))
    found["installing"] = _server(bought["installing"])
    addresses = {f"server {state}": _page("servers:detail", server.pk) for state, server in found.items()}
    return addresses | {
        "order active": _page("orders:progress", bought["running"].pk),
        "order provisioning": _page("orders:progress", bought["installing"].pk),
        "invoice paid": _page("billing:invoice", bought["running"].invoice_id),
        "invoice due": _page("billing:invoice", _left_open(owner, clock.now).pk),
    }


def _orders(sandbox: Sandbox, owner: User, clock: Clock) -> dict[str, str]:
    shop = _shop(sandbox, owner, "mc-2gb")
    failed = _bought(shop, "broken-egg", clock)
    sandbox.panel_settings(install_outcome="fail", install_seconds=3.0)
    _pay(sandbox, failed, clock)
    run_until_idle(clock, steps=10)
    canceled, waiting = _bought(shop, "second-thoughts", clock), _bought(shop, "late-payer", clock)
    pages = {waiting.pk: create_session(waiting, at=clock.now)}
    for order, actor in ((canceled, owner), (waiting, None)):
        cancellation.cancel_unpaid(order_id=order.pk, reason="not wanted", actor=actor, at=clock.now)
    Node.objects.update(is_enabled=False)
    sandbox.pay(pages[waiting.pk])
    deliver_webhooks(sandbox)
    for _round in range(4):
        run_once(clock.pass_by())
    Node.objects.update(is_enabled=True)
    pending = place_order(shop, at=datetime.now(tz=UTC), server_name="saturday")
    placed = {
        "failed": failed,
        "canceled": canceled,
        "waiting": waiting,
        "pending": pending,
        "under-review": _under_review(shop, clock),
        "processing": _processing(shop, clock),
    }
    pages_of = {f"order {state}": _page("orders:progress", order.pk) for state, order in placed.items()}
    return pages_of | {"server failed": _page("servers:detail", _server(failed).pk)}


def _shop(sandbox: Sandbox, owner: User, code: str) -> Shop:
    price = PlanPrice.objects.select_related("plan__product").get(plan__code=code, term=Term.MONTHLY)
    organization: Organization = owner.owned_organizations.get()
    return Shop(
        sandbox=sandbox,
        provider=Provider.objects.get(),
        price=price,
        blueprint=Blueprint.objects.get(product=price.plan.product),
        location=Location.objects.get(code="eu"),
        customer=owner,
        organization=organization,
    )


def _bought(shop: Shop, name: str, clock: Clock) -> Order:
    return place_order(shop, at=clock.now, server_name=name)


def _processing(shop: Shop, clock: Clock) -> Order:
    """An order whose bank debit clears."""
    order = _bought(shop, "by-bank-debit", clock)
    Payment.objects.filter(invoice=order.invoice).update(state=PaymentState.PROCESSING, poll_at=None)
    return order


def _under_review(shop: Shop, clock: Clock) -> Order:
    """An order whose payment arrived a cent short."""
    order = _bought(shop, "one-cent-short", clock)
    Payment.objects.filter(invoice=order.invoice).update(
        state=PaymentState.UNDER_REVIEW,
        transaction_id="pi_short",
        received_minor=399,
        received_currency="USD",
        poll_at=None,
    )
    return order


def _server(order: Order) -> Server:
    return Server.objects.get(order_item__order=order)


def _pay(sandbox: Sandbox, order: Order, clock: Clock) -> None:
    sandbox.pay(create_session(order, at=clock.now))
    deliver_webhooks(sandbox)


def _left_open(owner: User, at: datetime) -> Invoice:
    """An unpaid invoice."""
    organization = owner.owned_organizations.get()
    line = InvoiceLine(kind=ItemKind.PLAN, description="Palworld 16 GB, monthly", quantity=1, unit=Money(3360, "USD"))
    invoice = invoicing.draft_invoice(organization=organization, currency="USD", lines=[line], at=at)
    return invoicing.issue_invoice(invoice=invoice, at=at)


def _email_links(user: User) -> dict[str, str]:
    """The links in e-mails."""
    fresh = EmailAddress.objects.create(user=user, email="grace.hopper@example.test", verified=False)
    token = default_token_generator.make_token(user)
    uid = user_pk_to_url_str(user)
    return {
        "confirm": reverse("account_confirm_email", args=[EmailConfirmationHMAC(fresh).key]),
        "confirm broken": reverse("account_confirm_email", args=["no-such-key"]),
        "new password": reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": token}),
    }


def _session(user: User) -> str:
    """Sign in a phone and then this browser; the browser's session key."""
    keys = []
    for agent, ip in (
        ("Mozilla/5.0 (Android 16; Mobile) Firefox/152.0", "2001:db8:85a3::8a2e:370:7334"),
        (AGENT, HERE),
    ):
        client = Client()
        client.force_login(user)
        keys.append(str(client.session.session_key))
        UserSession.objects.create(user=user, session_key=keys[-1], user_agent=agent, ip=ip)
    return keys[-1]


def _page(name: str, pk: object) -> str:
    return reverse(name, kwargs={"pk": pk})
