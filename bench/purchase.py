"""From paid to running: whole purchases with real processes, less the time that the panel itself takes to install."""

import itertools
import statistics
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from accounts.models import Organization, User
from bench.ground import WEBHOOK_SECRET, Ground
from bench.house import goods, open_payment, place
from bench.report import Row
from bench.shop import at_work
from billing import checkout
from billing.models import GatewayEvent
from nodebyte.seeding import users
from orders.models import Order, OrderStatus
from servers.models import ProvisioningStep, Step

PURCHASES = 5
INSTALL_SECONDS = 4.0
PATIENCE_SECONDS = 90
LOOK_SECONDS = 0.02
# Buyers do not come when the clock's own jobs do; without this each would begin just after the end of the last.
PAUSE_SECONDS = 0.7
# The panel's own limits: requests a minute for the application key and for the client key.
PANEL_LIMITS = {"application": 240, "client": 720}
INSTALLED = "install seen to have ended"


@dataclass(frozen=True)
class Bought:
    """When each thing happened, and the order of those instants."""

    instants: dict[str, datetime]

    def steps(self) -> dict[str, float]:
        """Seconds of each step, by its end."""
        names = list(self.instants)
        return {
            name: (self.instants[name] - self.instants[before]).total_seconds()
            for before, name in itertools.pairwise(names)
        }

    def whole(self) -> float:
        """Seconds from the first instant to the last."""
        instants = list(self.instants.values())
        return (instants[-1] - instants[0]).total_seconds()


def measure(ground: Ground) -> list[Row]:
    """Some purchases, one after another: the medians of their steps."""
    ground.sandbox.panel_settings(install_seconds=INSTALL_SECONDS, rate_limits=PANEL_LIMITS)
    with at_work(ground):
        ground.sandbox.stripe_endpoint(f"{ground.shop}/webhooks/stripe/", WEBHOOK_SECRET)
        bought = [_buy(ground, number) for number in range(PURCHASES)]
    whole = statistics.median(each.whole() for each in bought)
    ours = whole - INSTALL_SECONDS
    rows = [
        Row("paid to running", whole, "s", whole / INSTALL_SECONDS, "the panel's install"),
        Row("of that: the panel's install", INSTALL_SECONDS, "s"),
        Row("of that: ours", ours, "s", ours / INSTALL_SECONDS, "the panel's install"),
        Row("ours, the slowest purchase", max(each.whole() for each in bought) - INSTALL_SECONDS, "s"),
    ]
    for name in bought[0].steps():
        seconds = statistics.median(each.steps()[name] for each in bought)
        panels = INSTALL_SECONDS if name == INSTALLED else 0.0
        label = f"step: {name}" + (", beyond the install" if panels else "")
        rows.append(Row(label, seconds - panels, "s", (seconds - panels) / ours, "all of ours"))
    return rows


def _buy(ground: Ground, number: int) -> Bought:
    time.sleep(PAUSE_SECONDS * number % 3)
    user = User.objects.get(email=users.CUSTOMER_EMAIL)
    organization = Organization.objects.get(owner=user, is_personal=True)
    order = place(organization, user, goods().choice(f"bench-{number}"), timezone.now())
    back = f"{settings.SITE_URL}/orders/{order.pk}/"
    page = checkout.create_session(
        payment_id=open_payment(order).pk, success_url=back, cancel_url=back, at=timezone.now()
    )
    paid_at = timezone.now()
    ground.sandbox.pay(page)
    seen_at = _wait_until_active(order)
    return Bought({"paid": paid_at, **_instants(order, paid_at), "running, to be seen by everyone": seen_at})


def _wait_until_active(order: Order) -> datetime:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        status = Order.objects.values_list("status", flat=True).get(pk=order.pk)
        if status == OrderStatus.ACTIVE:
            return timezone.now()
        if status == OrderStatus.FAILED:
            break
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"order {order.number} is {status} after {PATIENCE_SECONDS} s")


def _instants(order: Order, paid_at: datetime) -> dict[str, datetime]:
    """From our own rows. A worker's step is dated at the look that took it, before the call to the panel."""
    item = order.items.select_related("server", "order").get()
    steps = dict(ProvisioningStep.objects.filter(server=item.server).values_list("step", "at"))
    heard = GatewayEvent.objects.filter(received_at__gte=paid_at - timedelta(seconds=1), type__startswith="checkout.")
    assert item.server is not None
    return {
        "webhook heard": heard.earliest("received_at").received_at,
        "event taken up by the worker": Order.objects.get(pk=order.pk).paid_at or paid_at,
        "settled, server wanted": item.server.created_at,
        "panel account ready": steps[Step.ACCOUNT],
        "creation asked": steps[Step.CREATED],
        INSTALLED: steps[Step.INSTALLED],
        "running seen": steps[Step.RUNNING],
    }
