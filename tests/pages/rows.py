"""A customer with as many of everything as a page's test asks for; no stand-in is needed to read pages."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

from django.core import signing
from django.utils import timezone

from accounts.models import User
from billing import invoicing, subscriptions, top_ups
from billing.invoicing import InvoiceLine
from billing.models import BankTransfer, GatewayAccount, Invoice, ItemKind, Payment, PaymentMethod, Subscription
from catalog.models import Kind, Plan, Product, Term
from core import site_settings
from core.ids import uuid7
from core.models import WorkState
from core.money import Money
from orders import placement
from orders.affiliates import commissions
from orders.models import Order, OrderItem, OrderStatus
from orders.storefront import cart as carts
from servers import capacity
from servers import services as servers
from servers.capacity import Size
from servers.models import Blueprint, Build, Listing, Region, Server, ServerStatus
from tests.billing.sales import accept, make_sale
from tests.billing.test_grants import give
from tests.builders import (
    make_addon,
    make_addon_price,
    make_organization,
    make_plan,
    make_price,
    make_product,
    make_user,
)
from tests.servers.builders import make_blueprint, make_location, make_node, make_provider, region_of
from tests.shop import allow_unpaid_orders

SIZE = Size(memory_mib=1024, disk_mib=5120, cpu_percent=100)
HOUR = timedelta(hours=1)
PRICE = Money(800, "USD")


@dataclass(frozen=True)
class Dataset:
    """A customer, what is for sale, and the newest of what they have."""

    customer: User
    product: Product
    order: Order
    server: Server
    subscription: Subscription
    top_up: Payment
    invoice: Invoice
    transfer: BankTransfer
    cart: str
    container: Server


def make_dataset(number: int) -> Dataset:
    """`number` products, plans, add-ons, regions, gateways, open orders, servers, subscriptions and unpaid invoices."""
    customer = make_user()
    for count in range(number):
        make_gateway_account(count)
    site_settings.set_value("affiliates.are_enabled", True)
    commissions.join(organization=customer.owned_organizations.get(), actor=customer)
    product, region = make_catalog(number)
    blueprint = Blueprint.objects.get(product=product)
    make_wallet(customer, number)
    allow_unpaid_orders()
    placed = [make_order(customer, blueprint, region, f"order {count}") for count in range(number)]
    running = [make_server(customer, blueprint, region, f"server {count}") for count in range(number)]
    paid_for = [make_subscription(customer, server, region) for server in running]
    issued = [make_invoice(customer, f"line {count}") for count in range(number)]
    bought = (placed[-1], running[-1], paid_for[-1], make_top_up(customer), issued[-1])
    make_contents(running[-1], number)
    container = make_container(customer, number)
    return Dataset(customer, product, *bought, make_transfer(placed[-1]), make_cart(number), container)


def make_contents(server: Server, number: int) -> None:
    """What a worker read last of each section of the server, with so many of everything."""
    at = timezone.now()
    since = at.isoformat()
    state = {"created_at": since, "completed_at": since, "is_successful": True, "is_locked": False, "size_bytes": 9**9}
    schedule = {"cron": "0 4 * * *", "is_active": True, "next_at": since, "last_at": since, "tasks": []}
    variable = {"description": "What it is for. " * 5, "value": "x" * 40, "is_editable": True, "rules": "string|max:99"}
    port = {"host": "play.example.com", "note": "for the map", "is_main": False}
    found: dict[str, Any] = {
        "backups": [{"ref": str(uuid4()), "name": f"backup {each}", **state} for each in range(number)],
        "databases": [
            {"ref": str(each), "name": f"s1_{each}", "username": "u", "host": "db", "port": 3306, "remote": "%"}
            for each in range(number)
        ],
        "schedules": [{"ref": str(each), "name": f"schedule {each}", **schedule} for each in range(number)],
        "startup": {
            "variables": [
                {"name": f"Setting {each}", "env_variable": f"V_{each}", **variable} for each in range(number)
            ],
            "image": "java:21",
            "images": {f"Java {each}": f"java:{each}" for each in range(8, 25)},
        },
        "network": [{"ref": str(each), "port": 25000 + each, **port} for each in range(number)],
        "files": [
            {"ref": f"file number {each}.properties", "size_bytes": each, "is_file": True, "modified_at": since}
            for each in range(40 * number)
        ],
        "logs": "<b>a line of the output</b>\n" * (480 * number // 25),
    }
    whose = {"organization_id": server.organization_id, "provider_id": server.blueprint.provider_id}
    for kind, result in found.items():
        Listing.objects.create(
            **whose, server=server, kind=kind, result=result, read_at=at, run_at=at, state=WorkState.DONE
        )


def make_container(customer: User, number: int) -> Server:
    """A container of the customer, with so many variables."""
    host = {"name": "one", "address": "tcp://127.0.0.1:9", "location": "here", "memory_mib": 9**6, "disk_mib": 9**6}
    hosts = [host | {"ip": "192.0.2.9", "ports": "25000-25999"}]
    provider = make_provider("", kind="docker", configuration={"hosts": hosts, "images": ["redis:7", "redis:8"]})
    location = make_location(provider, code="region-0")
    make_node(location, memory_mib=9**6, disk_mib=9**6, ports=4)
    environment = {f"VARIABLE_{each}": "{{secret}}" for each in range(number)}
    parts = {"build": Build.CONTAINER, "egg": None, "image": "redis:7", "environment": environment}
    blueprint = make_blueprint(provider, make_plan(make_product(kind=Kind.CONTAINER), is_active=False), **parts)
    server = make_server(customer, blueprint, region_of(location), "container")
    Server.objects.filter(pk=server.pk).update(identifier="one/nb")
    make_contents(server, number)
    return server.reload()


def make_cart(number: int) -> str:
    """The cookie of a cart with so many products, as far as it holds them."""
    lines = [
        (f"line-{count}", plan.product.slug, f"plan={plan.code}&region=region-0&term=monthly&server_name=smp", 1)
        for count, plan in enumerate(Plan.objects.select_related("product")[: min(number, carts.MAX_LINES)])
    ]
    return signing.dumps([uuid4().hex, *lines], salt=carts.COOKIE, compress=True)


def make_transfer(order: Order) -> BankTransfer:
    """The order is to be paid by bank transfer."""
    payment = Payment.objects.get(invoice=order.invoice_id)
    return BankTransfer.objects.create(
        organization=payment.organization,
        payment=payment,
        reference="K7QM4XPABC",
        details={"account_holder": "NodeByte", "account_number": "DE02"},
        expires_at=timezone.now() + timedelta(days=7),
    )


def make_gateway_account(count: int) -> GatewayAccount:
    """An account beside the first, so that customers choose how to pay."""
    keys = {"secret_key": "sk_test_rows", "webhook_secret": "whsec_rows"}
    return GatewayAccount.objects.create(
        code=f"cards-{count}", kind="stripe", name=f"Cards {count}", credentials=keys, position=count + 1
    )


def make_catalog(number: int) -> tuple[Product, Region]:
    """Products with one plan, the first with `number` plans and add-ons, in `number` regions with capacity."""
    provider = make_provider("http://127.0.0.1:9")
    locations = [make_location(provider, code=f"region-{count}") for count in range(number)]
    for location in locations:
        make_node(location, memory_mib=262_144, disk_mib=2_621_440, ports=3 * number)
    first = make_product(slug="minecraft", name="Minecraft", tagline="Your world.", category="Sandbox")
    for product in [
        first,
        *(make_product(kind=Kind.GAME, category=f"Category {count}") for count in range(number - 1)),
    ]:
        make_price(make_plan(product))
        make_blueprint(provider, product.plans.get(), name=product.name)
    for count in range(number - 1):
        make_price(make_plan(first, name=f"{count} GB"))
    for _count in range(number):
        make_addon_price(make_addon(first))
    return first, region_of(locations[0])


def make_order(customer: User, blueprint: Blueprint, region: Region, name: str) -> Order:
    price = make_price(make_plan(blueprint.product, is_active=False), term=Term.MONTHLY)
    order_request = placement.OrderRequest([placement.ItemRequest(price, region, name)])
    organization = make_organization(customer)
    return placement.place_order(
        organization=organization, user=customer, order_request=order_request, form_token=uuid7(), at=timezone.now()
    )


def make_server(customer: User, blueprint: Blueprint, region: Region, name: str) -> Server:
    at, organization = timezone.now(), make_organization(customer)
    reservation = capacity.reserve(
        organization=organization, blueprints=[blueprint], region=region, size=SIZE, at=at, expires_at=at + HOUR
    )
    capacity.confirm(reservation_ids=[reservation.pk])
    server = servers.create_servers(
        [
            servers.NewServer(
                organization=organization,
                owner=customer,
                name=name,
                plan=make_plan(blueprint.product, is_active=False),
                size=SIZE,
                reservation=reservation,
                databases=1,
                backups=1,
                variables={},
            )
        ],
        at=at,
    )[reservation.pk]
    Server.objects.filter(pk=server.pk).update(status=ServerStatus.RUNNING, address="192.0.2.1:25565")
    return server


def make_subscription(customer: User, server: Server, region: Region) -> Subscription:
    """What pays for a server: set to renew, with a card that was saved."""
    at, organization = timezone.now(), make_organization(customer)
    price = make_price(make_plan(server.blueprint.product, is_active=False))
    row = subscriptions.open_subscription(organization=organization, plan_price=price, is_auto_renewed=True, at=at)
    subscriptions.activate({row: None}, at=at)
    PaymentMethod.objects.get_or_create(
        gateway="stripe", reference="pm_rows", defaults={"organization": organization, "is_default": True}
    )
    order = Order.objects.create(
        organization=organization,
        placed_by=customer,
        status=OrderStatus.CANCELED,
        currency="USD",
        total_minor=800,
        invoice=make_invoice(customer, "ordered"),
        placed_at=at,
        expires_at=at,
    )
    OrderItem.objects.create(
        order=order,
        organization=organization,
        plan_price=price,
        region=region,
        server_name=server.name,
        subscription=row,
        server=server,
    )
    return row.reload()


def make_top_up(customer: User) -> Payment:
    """One that is open."""
    return top_ups.open_top_up(
        organization=make_organization(customer), amount=Money(1000, "USD"), form_token=uuid7(), at=timezone.now()
    )


def make_wallet(customer: User, number: int) -> None:
    """A wallet with so many payments that were accepted after review."""
    for _count in range(number):
        accept(make_sale(organization=make_organization(customer), minor=9900).settle(amount=PRICE))
        give(make_organization(customer), 100)


def make_invoice(customer: User, description: str) -> Invoice:
    """An issued invoice that is not paid."""
    line = InvoiceLine(kind=ItemKind.PLAN, description=description, unit=PRICE)
    organization, at = make_organization(customer), timezone.now()
    draft = invoicing.draft_invoice(organization=organization, currency="USD", lines=[line], at=at)
    return invoicing.issue_invoice(invoice=draft, at=at)
