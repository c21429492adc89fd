"""A shop with two customers who bought the same product, made by the services without any network."""

from dataclasses import dataclass
from datetime import timedelta

from django.utils import timezone

from accounts.models import Organization, User
from billing import payments, top_ups
from billing.gateways.base import GatewayPayment
from billing.models import (
    AllocationReversal,
    BankTransfer,
    CreditNote,
    Invoice,
    Payment,
    PaymentAllocation,
    PaymentMethod,
)
from catalog.models import PlanPrice, Product
from core.ids import uuid7
from core.models import WorkState
from core.money import Money
from orders import placement
from orders.models import Order, PlanChange, ServerTransfer, WaitlistEntry
from servers.models import (
    Allocation,
    Blueprint,
    Egg,
    Listing,
    Location,
    Nest,
    Node,
    Operation,
    OperationOutcome,
    Provider,
    Region,
    Server,
    ServerStatus,
)
from tests.billing.sales import run_commit_triggers
from tests.builders import make_organization, make_plan, make_price, make_product, make_user

BACKUP = "5f0f7a52-6f0e-4c5e-9a53-6d1f0c2b7a11"


@dataclass(frozen=True)
class Dataset:
    """What is sold and where its servers are placed."""

    product: Product
    price: PlanPrice
    region: Region


@dataclass(frozen=True)
class Tenant:
    """A customer with a paid server and an unpaid order; every text of theirs contains `mark`."""

    mark: str
    user: User
    organization: Organization
    order: Order
    unpaid: Order
    server: Server
    invoice: Invoice
    payment_method: PaymentMethod
    plan_change: PlanChange
    top_up: Payment
    transfer: BankTransfer
    credit_note: CreditNote
    operation: Operation
    waitlist_entry: WaitlistEntry
    server_transfer: ServerTransfer


def make_dataset(*, ports: int = 20) -> Dataset:
    """A panel with one large node, and a game sold on it."""
    keys = {"application_key": "ptla_none", "client_key": "ptlc_none"}
    provider = Provider.objects.create(
        kind="pterodactyl", name="Panel", base_url="http://127.0.0.1:1", credentials=keys
    )
    region = Region.objects.create(code="eu-1", city="Helsinki")
    location = Location.objects.create(provider=provider, ref="1", code="eu-1", name="Helsinki", region=region)
    size = {"memory_mib": 65_536, "disk_mib": 655_360, "memory_sellable_mib": 65_536, "disk_sellable_mib": 655_360}
    node = Node.objects.create(provider=provider, location=location, ref="1", name="node1", **size)
    for port in range(ports):
        Allocation.objects.create(node=node, ref=str(port), ip="192.0.2.1", port=25_565 + port)
    nest = Nest.objects.create(provider=provider, ref="1", name="Minecraft")
    egg = Egg.objects.create(nest=nest, ref="1", name="Paper", docker_images={"Java": "java:21"}, startup="java")
    product = make_product(slug="minecraft", name="Minecraft")
    price = make_price(make_plan(product))
    Blueprint.objects.create(name="Minecraft", product=product, provider=provider, egg=egg)
    return Dataset(product, price, region)


def make_tenant(dataset: Dataset, mark: str) -> Tenant:
    """A customer with a running server and an unpaid order for another one."""
    user = make_user(f"{mark}@example.com", first_name=f"{mark}-first", last_name=f"{mark}-last", phone=f"{mark}-phone")
    organization = make_organization(user)
    Organization.objects.filter(pk=organization.pk).update(
        billing_name=f"{mark}-billing", address_line=f"{mark}-street"
    )
    organization = organization.reload()
    order, unpaid = (_order(dataset, user, organization, f"{mark}-{name}") for name in ("paid", "unpaid"))
    _pay(order, mark)
    server = Server.objects.get(order_item__order=order)
    now = timezone.now()
    Server.objects.filter(pk=server.pk).update(status=ServerStatus.RUNNING, identifier=f"{mark}-id", running_at=now)
    method = PaymentMethod.objects.create(
        organization=organization, gateway="stripe", reference=f"{mark}-method", brand=f"{mark}-brand", last4="4242"
    )
    change = PlanChange.objects.create(
        organization=organization,
        item=server.order_item,
        subscription=server.order_item.subscription,
        requested_by=user,
        old_plan_price=dataset.price,
        old_term=dataset.price.term,
        plan_price=dataset.price,
        lines=[{"kind": "plan", "description": f"{mark}-plan", "amount_minor": 0}],
        currency=dataset.price.currency,
        due_minor=0,
        recurring_minor=800,
        quoted_at=now,
        effective_at=now,
        expires_at=now + timedelta(minutes=30),
    )
    top_up = top_ups.open_top_up(
        organization=organization, amount=Money(1000, "USD"), form_token=uuid7(), at=timezone.now()
    )
    transfer = BankTransfer.objects.create(
        organization=organization,
        payment=Payment.objects.get(invoice=unpaid.invoice_id),
        reference=f"{mark}-transfer"[:16],
        details={"account_holder": f"{mark}-holder"},
        expires_at=now,
    )
    run_commit_triggers()  # documents have pages once they are numbered
    returned = {"amount_minor": 1, "currency": order.invoice.currency, "at": now, "undone_at": now}
    allocation = PaymentAllocation.objects.filter(invoice=order.invoice)[0]
    credit_note = CreditNote.objects.create(
        organization=organization,
        invoice=order.invoice,
        reversal=AllocationReversal.objects.create(organization=organization, allocation=allocation, **returned),
        series_id=str(order.invoice.series.credit_note_series_id),
        reason=f"{mark}-reason",
        net_minor=1,
        total_minor=1,
        currency=order.invoice.currency,
        issued_at=timezone.now(),
        seller=order.invoice.reload().seller,
        billing_address=order.invoice.billing_address,
    )
    run_commit_triggers()
    operation = _contents(server.reload(), mark)
    paid = (order.reload(), unpaid, server.reload(), order.invoice.reload())
    entry = WaitlistEntry.objects.create(
        organization=organization,
        joined_by=user,
        plan=dataset.price.plan,
        region=dataset.region,
        joined_at=now,
        status="left",
    )
    transfer_of_server = ServerTransfer.objects.create(
        organization=organization,
        item=server.order_item,
        recipient=user,
        recipient_email=f"{mark}@example.com",
        offered_by=user,
        offerer_name=f"{mark}-offerer",
        server_name=f"{mark}-server",
        description=f"{mark}-plan",
        recurring_minor=800,
        currency="USD",
        term=dataset.price.term,
        paid_until=now,
        status="canceled",
        offered_at=now,
        expires_at=now,
        ended_at=now,
    )
    others = (credit_note, operation, entry, transfer_of_server)
    return Tenant(mark, user, organization, *paid, method, change, top_up, transfer, *others)


def _contents(server: Server, mark: str) -> Operation:
    """A backup, a database and a schedule that a worker has read, and the link to the backup."""
    at = timezone.now()
    owner = {"organization": server.organization, "server": server, "provider": server.blueprint.provider, "run_at": at}
    backup = {"ref": BACKUP, "name": f"{mark}-backup", "size_bytes": 1, "created_at": at.isoformat()}
    state = {"completed_at": at.isoformat(), "is_successful": True, "is_locked": False}
    database = {"ref": BACKUP, "name": f"{mark}-database", "username": mark, "host": mark, "port": 1, "remote": "%"}
    schedule = {"ref": BACKUP, "name": f"{mark}-schedule", "cron": "0 4 * * *", "next_at": "", "last_at": ""}
    read = {"backups": backup | state, "databases": database, "schedules": schedule | {"is_active": True, "tasks": []}}
    for kind, row in read.items():
        Listing.objects.create(**owner, kind=kind, state=WorkState.DONE, read_at=at, result=[row])
    return Operation.objects.create(
        **owner,
        kind="backup.download",
        target=BACKUP,
        state=WorkState.DONE,
        requested_at=at,
        outcome=OperationOutcome.DONE,
        result={"url": f"https://node.example/{mark}-link"},
    )


def _order(dataset: Dataset, user: User, organization: Organization, name: str) -> Order:
    order_request = placement.OrderRequest([placement.ItemRequest(dataset.price, dataset.region, name)])
    return placement.place_order(
        organization=organization, user=user, order_request=order_request, form_token=uuid7(), at=timezone.now()
    )


def _pay(order: Order, mark: str) -> None:
    payment = Payment.objects.get(invoice_id=order.invoice_id)
    gateway_payment = GatewayPayment(
        transaction_id=f"{mark}-transaction",
        amount=Money(payment.amount_minor, payment.currency),
        is_live=False,
        payment_id=payment.pk,
        organization_id=order.organization_id,
        method_label=f"{mark}-visa",
    )
    payments.settle(payment_id=payment.pk, gateway_payment=gateway_payment, at=timezone.now())
