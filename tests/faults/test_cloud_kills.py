"""A process is killed at each point of a cloud server's creation, from paid to running: it ends with one machine.

A cloud has no idempotency keys: whether a machine was created before the kill is only found by looking.
"""

from datetime import timedelta

import pytest

from billing import payments
from billing.gateways.base import GatewayPayment
from billing.models import Payment
from core.ids import uuid7
from orders import placement
from orders.models import Order
from sandbox.client import Sandbox
from servers import inventory
from servers.drivers.digitalocean import driver
from servers.models import Location, Reservation, Server, ServerStatus
from tests.builders import make_organization, make_price, make_user
from tests.drivers.adapters import Cloud, cloud_provider
from tests.faults import forks
from tests.faults.purchase import RESTART_AFTER
from tests.servers.actions import run_until_quiet
from tests.servers.builders import AT, assign_regions, make_blueprint, make_plan, region_of

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]


def deliver(order: Order, *, after: timedelta = timedelta(0)) -> None:
    """The money arrives, and workers work until nothing is left; a repetition finishes what was begun."""
    payment = Payment.objects.get(invoice_id=order.invoice_id)
    arrived = GatewayPayment(
        transaction_id=f"pi_{payment.pk}",
        amount=payment.amount,
        is_live=False,
        payment_id=payment.pk,
        organization_id=order.organization_id,
        method_label="visa",
    )
    payments.settle(payment_id=payment.pk, gateway_payment=arrived, at=AT)
    run_until_quiet(AT + after)


@pytest.mark.timeout(300)  # a few seconds on an idle machine
def test_killed_anywhere_between_paid_and_running_a_cloud_server_ends_as_one_machine(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "LOOK_AGAIN_SECONDS", 0)
    cloud = Cloud(sandbox)
    cloud.set(droplet_limit=1000)
    provider = cloud_provider(sandbox)
    provider.save()
    inventory.sync(provider_id=provider.pk, at=AT)
    assign_regions(provider)
    price = make_price(make_plan(memory_mib=2048, disk_mib=40960, ports=0))
    make_blueprint(provider, price.plan, plan_ref="s-1vcpu-1gb", image="debian-12-x64")
    region = region_of(Location.objects.filter(provider=provider).order_by("code")[0])

    def order() -> Order:
        customer = make_user()
        return placement.place_order(
            organization=make_organization(customer),
            user=customer,
            order_request=placement.OrderRequest([placement.ItemRequest(price, region, "Castle")]),
            form_token=uuid7(),
            at=AT,
        )

    deliver(order())  # those forked from this process inherit its imports, which are half of what each does
    undisturbed = order()
    points = forks.kill_points_of(lambda: deliver(undisturbed))
    assert [point for point in points if point.startswith("POST /digitalocean/v2/droplets in")], points
    ends = {}
    for point in points:
        placed = order()
        assert forks.run_and_kill_at(point, lambda placed=placed: deliver(placed)).was_killed, point  # type: ignore[misc]
        deliver(placed, after=RESTART_AFTER)
        server = Server.objects.get(order_item__order=placed)
        droplets = [each for each in cloud.droplets() if f"svc-{server.pk}" in each["_tags"]]
        ends[point] = (server.status, len(droplets), server.ref == str(droplets[0]["id"]))

    assert ends == dict.fromkeys(points, (ServerStatus.RUNNING, 1, True))
    assert len(cloud.droplets()) == Server.objects.count() == Reservation.objects.count() == len(points) + 2
