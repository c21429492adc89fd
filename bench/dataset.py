"""An organization with many rows: servers that run on the panel, orders, and a year of invoices."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Model
from django.utils import timezone

from accounts.models import Organization, User
from billing import invoicing, payments
from billing.gateways.base import GatewayPayment
from billing.models import Invoice, InvoiceState, ItemKind, Payment, PaymentAllocation, PaymentState
from catalog.models import PlanPrice, Term
from core import work
from core.ids import uuid7
from core.money import Money
from nodebyte.seeding import users
from orders import placement
from orders.models import Order
from sandbox.client import Sandbox
from servers.models import Region, Server, ServerStatus

SERVERS = 25
INVOICES = 60
PLAN = "mc-1gb"
STEP = timedelta(seconds=30)
MAX_STEPS = 40


@dataclass(frozen=True)
class Dataset:
    """The customer and what pages about the organization are opened with."""

    customer: User
    organization: Organization

    def example(self, route: str, parameter: str) -> str:
        """A value for a route's parameter. Raises KeyError where there is nothing of that kind."""
        if parameter == "slug":
            return "minecraft"
        space = route.partition(":")[0]
        model: type[Model] = {"servers": Server, "orders": Order, "billing": Invoice}[space]
        return str(
            model._default_manager.filter(organization=self.organization).order_by("pk").values_list("pk", flat=True)[0]
        )


def order_request(name: str) -> placement.OrderRequest:
    """One smallest Minecraft server by the month."""
    price = PlanPrice.objects.select_related("plan__product").get(
        plan__code=PLAN, term=Term.MONTHLY, superseded_at__isnull=True
    )
    return placement.OrderRequest([placement.ItemRequest(price, Region.objects.order_by("code")[0], name)])


def create_dataset(sandbox: Sandbox) -> Dataset:
    """25 paid orders whose servers run, and 60 invoices."""
    customer = User.objects.get(email=users.CUSTOMER_EMAIL)
    organization = customer.owned_organizations.get(is_personal=True)
    sandbox.panel_settings(install_seconds=0.0)
    at = timezone.now()
    for number in range(SERVERS):
        order = place_order(organization, customer, f"world-{number:02}", at)
        settle(open_payment(order), at)
    run_work_until_servers_run(sandbox, at)
    for number in range(INVOICES - SERVERS):  # of earlier days, beside those of the orders
        issued_at = at - timedelta(days=number + 1)
        line = invoicing.InvoiceLine(ItemKind.PLAN, "Minecraft 1 GB, one month", Money(800, "USD"))
        draft = invoicing.draft_invoice(organization=organization, currency="USD", lines=[line], at=issued_at)
        issued = invoicing.issue_invoice(invoice=draft, at=issued_at)
        PaymentAllocation.objects.create(
            organization=organization, invoice=issued, amount_minor=800, currency="USD", at=issued_at
        )
        Invoice.objects.filter(pk=issued.pk).update(state=InvoiceState.PAID, paid_at=issued_at)
    return Dataset(customer, organization)


def place_order(organization: Organization, user: User, server_name: str, at: datetime) -> Order:
    """An order that waits for its payment."""
    return placement.place_order(
        organization=organization, user=user, order_request=order_request(server_name), form_token=uuid7(), at=at
    )


def open_payment(order: Order) -> Payment:
    """The payment that the order waits for."""
    return Payment.objects.get(invoice_id=order.invoice_id, state=PaymentState.PENDING)


def settle(payment: Payment, at: datetime) -> None:
    """The gateway says that the payment was made."""
    payments.settle(payment_id=payment.pk, gateway_payment=arrival_of(payment), at=at)


def arrival_of(payment: Payment) -> GatewayPayment:
    """What the gateway says of the payment: it arrived as asked for."""
    return GatewayPayment(
        transaction_id=f"pi_{payment.pk}",
        amount=payment.amount,
        is_live=False,
        payment_id=payment.pk,
        organization_id=payment.organization_id,
        method_label="Visa ending 4242",
    )


def run_work_until_servers_run(sandbox: Sandbox, at: datetime) -> None:
    """Let convergence do its work, with the clock put forward so that nothing has to be waited for."""
    for _ in range(MAX_STEPS):
        work.run_due(at=at, limit=1000)
        if not Server.objects.exclude(status=ServerStatus.RUNNING).exists():
            sandbox.set_clock(None)
            return
        at += STEP
        sandbox.advance(STEP.total_seconds())
    raise RuntimeError("the panel's servers did not come to run")
