"""The lock order where an act is about servers on several nodes, and where a sync writes the nodes of a provider."""

from collections.abc import Callable

import pytest
from django.db import connection
from django.db.models import F
from django.utils import timezone

from billing.ledger_audit import broken_rules
from core import tenancy
from orders import cancellation, fulfilment
from orders.models import Order, OrderItem, OrderStatus
from servers import convergence, services
from servers.inventory.staging import staging_tables
from servers.inventory.sync import merge_lists
from servers.models import HoldKind, Location, Node, Provider, Region, Server
from tests.faults.test_lock_order import Acts, deadlocks, run_at_once, settle
from tests.shop import Shop, allow_unpaid_orders, place_order

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
ROUNDS, AT_ONCE, SYNCS = 2, 4, 6
NODE_COLUMNS = ("ref", "name", "memory_mib", "disk_mib", "is_in_maintenance", "is_elastic")


def orders_on_two_nodes(shop: Shop) -> list[Order]:
    """Unpaid orders of two servers each, on two nodes; half of them name the nodes the other way round."""
    allow_unpaid_orders()
    nodes = list(Node.objects.filter(provider=shop.provider).order_by("pk"))[:2]
    regions = [Region.objects.get_or_create(code=f"lock{n}", defaults={"city": f"Lock {n}"})[0] for n in range(2)]
    for node, region in zip(nodes, regions, strict=True):
        Location.objects.filter(pk=node.location_id).update(region=region)
        Node.objects.filter(pk=node.pk).update(memory_sellable_mib=10**7, memory_mib=10**7)
    orders = []
    for number in range(AT_ONCE):
        items = [shop.item_request(server_name=region.code, region=region) for region in regions]
        orders.append(place_order(shop, items=items[:: -1 if number % 2 else 1]))
    for order in orders:
        assert set(order.items.values_list("reservation__node", flat=True)) == {node.pk for node in nodes}
    return orders


def merge_repeatedly(provider: Provider) -> None:
    """What syncs write of two nodes: first the second, which was renamed, then what the first one can sell."""
    for _ in range(SYNCS):
        merge_nodes(provider)


def merge_nodes(provider: Provider) -> None:
    """See `merge_repeatedly`."""
    first, second = Node.objects.filter(provider=provider).order_by("pk")[:2]
    Node.objects.filter(pk=first.pk).update(memory_headroom_mib=F("memory_headroom_mib") + 1)
    with staging_tables(["nodes", "servers"]), tenancy.as_worker():
        with connection.cursor() as cursor:
            columns = ", ".join(f"node.{name}" for name in NODE_COLUMNS if name != "name")
            cursor.execute(
                f"""INSERT INTO sync_nodes ({columns.replace("node.", "")}, name, location_ref, is_public,
                        memory_overcommit_percent, disk_overcommit_percent)
                    SELECT {columns}, node.name || CASE WHEN node.id = %s THEN '+' ELSE '' END, location.ref,
                        node.is_enabled, 0, 0
                    FROM servers_node AS node JOIN servers_location AS location ON location.id = node.location_id
                    WHERE node.provider_id = %s""",
                [second.pk, provider.pk],
            )
        merge_lists(provider.pk, ["nodes", "servers"], read_from=timezone.now())


def merges(shop: Shop) -> Acts:
    """Two processes that sync again and again."""
    return [lambda: merge_repeatedly(shop.provider)] * 2


def late_money_and_syncs(shop: Shop) -> Acts:
    """Money for canceled orders arrives, which reserves on several nodes again, while syncs write these nodes."""
    late = orders_on_two_nodes(shop)
    for order in late:
        assert cancellation.cancel_unpaid(order=order, reason="too slow", at=timezone.now())
    return [*[lambda order=order: settle(order.invoice_id) for order in late], *merges(shop)]


def cancellations_and_syncs(shop: Shop) -> Acts:
    """Unpaid orders are canceled, which releases on several nodes, while syncs write these nodes."""
    cancel = cancellation.cancel_unpaid
    acts: Acts = [
        lambda order=order: cancel(order=order, reason="asked", at=timezone.now())  # type: ignore[misc]
        for order in orders_on_two_nodes(shop)
    ]
    return acts + merges(shop)


def deletions_holds_and_syncs(shop: Shop) -> Acts:
    """Orders that were not delivered are canceled, which deletes servers, while these are suspended and rechecked."""
    orders = orders_on_two_nodes(shop)
    for order in orders:
        settle(order.invoice_id)
    Order.objects.filter(pk__in=[order.pk for order in orders]).update(status=OrderStatus.FAILED)
    ids = list(Server.objects.filter(order_item__order__in=orders).order_by("-pk").values_list("pk", flat=True))
    now, hold = timezone.now(), {"kind": HoldKind.MANUAL, "reason": "test", "actor": None}
    acts: Acts = [
        lambda order=order: cancellation.cancel_paid(  # type: ignore[misc]
            order_id=order.pk, reason="asked", actor=None, at=now
        )
        for order in orders
    ]
    return [
        *acts,
        lambda: services.hold_servers(server_ids=ids, at=now, **hold),  # type: ignore[arg-type]
        lambda: convergence.request_recheck(at=now),
        *merges(shop),
    ]


def retries_of_waiting_orders(shop: Shop) -> Acts:
    """Orders that wait for capacity on several nodes are tried by two workers at once, while syncs write the nodes."""
    waiting = orders_on_two_nodes(shop)
    for order in waiting:
        cancellation.cancel_unpaid(order=order, reason="too slow", at=timezone.now())
    Node.objects.update(is_enabled=False)
    for order in waiting:
        settle(order.invoice_id)
    assert Order.objects.filter(status=OrderStatus.WAITING_CAPACITY).count() == len(waiting)
    Node.objects.update(is_enabled=True)
    return [lambda: fulfilment.retry_waiting(at=timezone.now())] * 2 + merges(shop)


@pytest.mark.parametrize(
    "prepare",
    [late_money_and_syncs, cancellations_and_syncs, deletions_holds_and_syncs, retries_of_waiting_orders],
)
def test_acts_on_several_nodes_never_deadlock(shop: Shop, prepare: Callable[[Shop], Acts]) -> None:
    before, errors = deadlocks(), list[BaseException]()
    for _ in range(ROUNDS):
        errors += run_at_once(prepare(shop), hold_seconds=0.02)

    assert errors == []
    assert deadlocks() == before
    assert broken_rules() == {}
    undelivered = Order.objects.filter(status__in=[OrderStatus.PAID, OrderStatus.WAITING_CAPACITY])
    assert not undelivered.exists()
    assert not OrderItem.objects.filter(order__status=OrderStatus.PROVISIONING, server=None).exists()
