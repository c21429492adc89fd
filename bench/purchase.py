"""From paid to running: whole purchases with real processes, less the time that the panel itself takes to install."""

import itertools
import statistics
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from accounts.models import Organization, User
from bench.dataset import open_payment, place_order
from bench.environment import WEBHOOK_SECRET, Environment
from bench.processes import running_web_and_worker
from bench.report import Row
from billing import checkout
from billing.models import GatewayEvent
from nodebyte.seeding import users
from orders.models import Order, OrderStatus
from servers.models import ProvisioningStep, Step

PURCHASES = 5
INSTALL_SECONDS = 4.0
MAX_SECONDS = 90
POLL_SECONDS = 0.02
# Without pauses each purchase would begin just after the end of the last, always in step with the scheduled tasks.
PAUSE_SECONDS = 0.7
# The panel's own limits: requests a minute for the application key and for the client key.
PANEL_LIMITS = {"application": 240, "client": 720}
INSTALLED = "install seen to have ended"


@dataclass(frozen=True)
class Purchase:
    """When each thing happened, and the order of those instants."""

    instants: dict[str, datetime]

    def steps(self) -> dict[str, float]:
        """Seconds of each step, by its end."""
        names = list(self.instants)
        return {
            name: (self.instants[name] - self.instants[before]).total_seconds()
            for before, name in itertools.pairwise(names)
        }

    def seconds(self) -> float:
        """Seconds from the first instant to the last."""
        instants = list(self.instants.values())
        return (instants[-1] - instants[0]).total_seconds()


def measure(environment: Environment) -> list[Row]:
    """Some purchases, one after another: the medians of their steps."""
    environment.sandbox.panel_settings(install_seconds=INSTALL_SECONDS, rate_limits=PANEL_LIMITS)
    with running_web_and_worker(environment):
        environment.sandbox.stripe_endpoint(f"{environment.shop_url}/webhooks/stripe/", WEBHOOK_SECRET)
        purchases = [_buy(environment, number) for number in range(PURCHASES)]
    whole = statistics.median(each.seconds() for each in purchases)
    ours = whole - INSTALL_SECONDS
    rows = [
        Row("paid to running", whole, "s", whole / INSTALL_SECONDS, "the panel's install"),
        Row("of that: the panel's install", INSTALL_SECONDS, "s"),
        Row("of that: ours", ours, "s", ours / INSTALL_SECONDS, "the panel's install"),
        Row("ours, the slowest purchase", max(each.seconds() for each in purchases) - INSTALL_SECONDS, "s"),
    ]
    for name in purchases[0].steps():
        seconds = statistics.median(each.steps()[name] for each in purchases)
        panels = INSTALL_SECONDS if name == INSTALLED else 0.0
        label = f"step: {name}" + (", beyond the install" if panels else "")
        rows.append(Row(label, seconds - panels, "s", (seconds - panels) / ours, "all of ours"))
    return rows


def _buy(environment: Environment, number: int) -> Purchase:
    time.sleep(PAUSE_SECONDS * number % 3)
    user = User.objects.get(email=users.CUSTOMER_EMAIL)
    organization = Organization.objects.get(owner=user, is_personal=True)
    order = place_order(organization, user, f"bench-{number}", timezone.now())
    back = f"{settings.SITE_URL}/orders/{order.pk}/"
    url = checkout.create_session(payment=open_payment(order), success_url=back, cancel_url=back, at=timezone.now())
    paid_at = timezone.now()
    environment.sandbox.pay(url)
    seen_at = _wait_until_active(order)
    return Purchase({"paid": paid_at, **_instants(order, paid_at), "running, to be seen by everyone": seen_at})


def _wait_until_active(order: Order) -> datetime:
    deadline = time.monotonic() + MAX_SECONDS
    while time.monotonic() < deadline:
        status = Order.objects.values_list("status", flat=True).get(pk=order.pk)
        if status == OrderStatus.ACTIVE:
            return timezone.now()
        if status == OrderStatus.FAILED:
            break
        time.sleep(POLL_SECONDS)
    raise RuntimeError(f"order {order.number} is {status} after {MAX_SECONDS} s")


def _instants(order: Order, paid_at: datetime) -> dict[str, datetime]:
    """From our own rows. A worker's step is dated when its attempt began, before the call to the panel."""
    item = order.items.select_related("server", "order").get()
    steps = dict(ProvisioningStep.objects.filter(server=item.server).values_list("step", "at"))
    received = GatewayEvent.objects.filter(
        received_at__gte=paid_at - timedelta(seconds=1), type__startswith="checkout."
    )
    assert item.server is not None
    return {
        "webhook received": received.earliest("received_at").received_at,
        "event claimed by the worker": Order.objects.get(pk=order.pk).paid_at or paid_at,
        "payment settled, server created": item.server.created_at,
        "panel account ready": steps[Step.ACCOUNT],
        "server created on the panel": steps[Step.CREATED],
        INSTALLED: steps[Step.INSTALLED],
        "running seen": steps[Step.RUNNING],
    }
