"""A small shop over the stand-ins and its customer: what tests of whole purchases begin with."""

import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from allauth.account.models import EmailAddress
from django.test import Client
from django.utils import timezone

from accounts import services as accounts
from accounts.models import Organization, User, UserStatus
from billing import checkout, payment_sync
from billing.models import GatewayEvent, Payment, PaymentState
from catalog import services as catalog
from catalog.models import AddonPrice, Kind, Plan, PlanPrice, Product, Term
from core import site_settings, work
from core.ids import uuid7
from core.models import first_due
from core.money import Money
from orders import cancellation, fulfilment, placement
from orders.changes import applying, ending
from orders.models import Order
from sandbox.client import Sandbox
from sandbox.stripe.delivery import signature
from servers import inventory
from servers.models import Blueprint, Egg, Location, Provider, Region
from tests.sandbox_fixtures import WEBHOOK_SECRET

STEP = timedelta(seconds=5)
WEBHOOK = "/webhooks/stripe/"
PAID = ("is_auto_renewed", "uses_credit", "coupon_use", "affiliate_code")  # what an order has beside its items
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Shop:
    """One product, sold at one price, in one region, and the customer who orders it."""

    sandbox: Sandbox
    provider: Provider
    price: PlanPrice
    region: Region
    customer: User
    organization: Organization

    def item_request(self, **fields: Any) -> placement.ItemRequest:
        """The server that the customer orders, unless the test says otherwise."""
        chosen: dict[str, Any] = {"plan_price": self.price, "region": self.region, "server_name": "lantern-smp"}
        return placement.ItemRequest(**(chosen | fields))

    def order_request(self, **fields: Any) -> placement.OrderRequest:
        """One such server, or `items`."""
        paid = {name: fields.pop(name) for name in PAID if name in fields}
        items = fields.pop("items", None) or [self.item_request(**fields)]
        return placement.OrderRequest(items, **paid)


def make_customer(email: str = "ada@example.test", **fields: Any) -> User:
    """A user with a verified address and a personal organization."""
    user = User.objects.create_user(email, PASSWORD, status=UserStatus.ACTIVE, **fields)
    EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
    accounts.ensure_personal_organization(user=user)
    return user


def make_priced_plan(
    *, code: str = "mc-1gb", memory_mib: int = 1024, minor: int = 800, currency: str = "USD", **fields: Any
) -> PlanPrice:
    """A product with one plan at one monthly price."""
    product, _is_new = Product.objects.get_or_create(
        slug="minecraft", defaults={"kind": Kind.GAME, "name": "Minecraft", "category": "Sandbox"}
    )
    plan = Plan.objects.create(
        product=product,
        code=code,
        name=f"{memory_mib // 1024} GB",
        cpu_percent=100,
        memory_mib=memory_mib,
        disk_mib=memory_mib * 5,
        **fields,
    )
    catalog.offer_price(item=plan, term=Term.MONTHLY, amount=Money(minor, currency), actor="test", at=timezone.now())
    return PlanPrice.objects.select_related("plan__product").get(plan=plan)


def make_panel(sandbox: Sandbox) -> Provider:
    """The stand-in panel as a provider, with its inventory pulled."""
    keys = sandbox.panel_keys()
    provider = Provider.objects.create(
        kind="pterodactyl",
        name="Panel",
        base_url=keys["url"],
        credentials={"application_key": keys["application"], "client_key": keys["client"]},
    )
    inventory.sync(provider_id=provider.pk, at=timezone.now())
    for location in Location.objects.filter(provider=provider):
        region, _is_new = Region.objects.get_or_create(code=location.code, defaults={"city": location.name})
        Location.objects.filter(pk=location.pk).update(region=region)
    return provider


def make_shop(sandbox: Sandbox, **plan: Any) -> Shop:
    """A shop that sells one Minecraft plan in the stand-in panel's first region."""
    price = make_priced_plan(**plan)
    provider = make_panel(sandbox)
    egg = Egg.objects.get(nest__provider=provider, ref="39")
    Blueprint.objects.create(name="Minecraft", product=price.plan.product, provider=provider, egg=egg)
    customer = make_customer()
    return Shop(
        sandbox=sandbox,
        provider=provider,
        price=price,
        region=Region.objects.order_by("code")[0],
        customer=customer,
        organization=customer.owned_organizations.get(),
    )


def make_customers(shop: Shop, count: int) -> list[Shop]:
    """The same shop, each time with another new customer."""
    users = [make_customer(f"buyer{number}@example.test") for number in range(count)]
    return [replace(shop, customer=user, organization=user.owned_organizations.get()) for user in users]


def allow_unpaid_orders() -> None:
    """Lift the limits on unpaid orders, for a test that places many."""
    for name in ("per_user", "per_organization", "per_network", "of_new_customer"):
        site_settings.set_value(f"orders.max_unpaid_{name}", 100_000)


@dataclass
class Clock:
    """The test's own time: everything timed gets it as `at`, and the stand-ins follow it."""

    sandbox: Sandbox
    now: datetime = field(default_factory=lambda: datetime.now(tz=UTC))

    def pass_by(self, step: timedelta = STEP) -> datetime:
        """Advance the time."""
        self.now += step
        self.sandbox.advance(step.total_seconds())
        return self.now


def place_order(shop: Shop, *, token: UUID | None = None, at: datetime | None = None, **fields: Any) -> Order:
    """The customer's order."""
    return placement.place_order(
        organization=shop.organization,
        user=shop.customer,
        order_request=shop.order_request(**fields),
        form_token=token or uuid7(),
        at=at or timezone.now(),
    )


def form_data(shop: Shop, **changes: Any) -> dict[str, Any]:
    """What the configurator's form sends."""
    chosen = {
        "plan": shop.price.plan.code,
        "region": shop.region.code,
        "term": Term.MONTHLY,
        "server_name": "lantern-smp",
        "form_token": str(uuid7()),
        "shown_credit": "1000000",
        "shown_prices": " ".join(str(row.pk) for row in (*PlanPrice.objects.all(), *AddonPrice.objects.all())),
    }
    return chosen | changes


def create_session(order: Order, *, at: datetime | None = None) -> str:
    """The address of the hosted page for the order's open payment."""
    payment = Payment.objects.get(invoice_id=order.invoice_id, state=PaymentState.PENDING)
    return checkout.create_session(
        payment=payment,
        success_url="http://127.0.0.1:8000/thanks/",
        cancel_url="http://127.0.0.1:8000/back/",
        at=at or timezone.now(),
    )


def deliver_webhooks(sandbox: Sandbox, client: Client | None = None, *, is_repeating: bool = True) -> list[int]:
    """Deliver to our webhook, through the real view, every event that Stripe has; the statuses answered.

    Those that it has already are delivered again, as Stripe may, unless that would only take time.
    """
    known = set() if is_repeating else set(GatewayEvent.objects.values_list("event_id", flat=True))
    deliveries = signed_events(sandbox, without=known)
    return [(client or Client()).post(WEBHOOK, **delivery).status_code for delivery in deliveries]


def signed_events(sandbox: Sandbox, *, without: Collection[str] = ()) -> list[dict[str, Any]]:
    """Each event of the stand-in as a signed request: arguments of the test client's `post`."""
    return [signed(event) for event in sandbox.stripe_state().get("event", []) if event["id"] not in without]


def signed(event: Mapping[str, Any]) -> dict[str, Any]:
    """One event as Stripe would send it now."""
    body = json.dumps(event)
    header = signature(body, WEBHOOK_SECRET, int(time.time()))
    return {"data": body, "content_type": "application/json", "headers": {"Stripe-Signature": header}}


def run_until_idle(clock: Clock, *, steps: int = 60, step: timedelta = STEP) -> None:
    """Run workers and scheduled jobs until nothing is left to do, as time passes."""
    for _ in range(steps):
        if not run_once(clock.pass_by(step)) and not is_anything_waiting(clock.now):
            return


def run_once(at: datetime) -> int:
    """One round of workers and scheduled jobs; how many things were done."""
    done = work.run_due(at=at) + payment_sync.poll_open_payments(at=at)
    done += cancellation.cancel_expired(at=at) + cancellation.refund_overdue(at=at)
    done += applying.apply_due(at=at) + ending.expire_due(at=at)
    return done + fulfilment.fail_overdue(at=at) + fulfilment.retry_waiting(at=at)


def is_anything_waiting(at: datetime) -> bool:
    """Whether workers or scheduled jobs will still do something: work soon due, open payments, refunds due."""
    return (
        first_due(work.registered(), at=at + timedelta(minutes=10)) is not None
        or Payment.objects.filter(state__in=Payment.OPEN, poll_at__isnull=False).exists()
        or Order.objects.filter(refund_due_at__isnull=False).exists()
    )


def panel_servers(sandbox: Sandbox) -> list[dict[str, Any]]:
    """What the panel has."""
    return list(sandbox.panel_state()["servers"])


def path_of(url: str) -> str:
    """A URL's path and query, for the test client."""
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")
