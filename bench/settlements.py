"""Payments settled a second, with orders that are paid at the same time, beside bare SQL that writes the same rows.

One by one, and as a worker settles what is due: up to sixteen in one transaction. Bare SQL has one for each.
"""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import batched
from typing import Any
from uuid import UUID

from django.db import connection, connections
from django.utils import timezone

from accounts.models import User
from bench.dataset import arrival_of, open_payment, place_order, settle
from bench.environment import Environment
from bench.report import Row, slower
from billing import payments
from billing.models import InvoiceItem, Payment
from core import site_settings, work
from core.ids import uuid7
from nodebyte.seeding import users
from orders.models import Order
from servers.models import Allocation, Node

CONCURRENT = (1, 4, 16)
ORDERS = 64  # of each measurement
WRITES = ("INSERT", "UPDATE", "DELETE")
UUID_TEXT = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


type Write = tuple[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Recorded:
    """The statements of one settlement that changed rows, and what of their parameters was its own."""

    writes: list[Write]
    ids: list[str]
    first_new_id: str


def measure(environment: Environment) -> Iterator[Row]:
    """Settle some orders with 1, 4 and 16 connections; the bare statements are those of one recorded settlement."""
    _make_capacity(ORDERS * 3 * len(CONCURRENT) + 10)
    template = _place(2)
    settle(template[0], timezone.now())  # a first one creates the ledger's accounts
    recorded = _record(template[1])
    for count in CONCURRENT:
        bare = _rate(
            partial(_replay, environment), [_writes_for(recorded, payment) for payment in _place(ORDERS)], count
        )
        single = _rate(_settle_each, _place(ORDERS), count)
        ours = _rate(_settle_batches, list(batched(_place(ORDERS), work.BATCH)), count) * work.BATCH
        yield Row(f"settlements, bare SQL, {count} at once", bare, "/s")
        yield slower(f"settlements, one by one, {count} at once", single, "/s", bare, "bare SQL")
        yield slower(f"settlements of what is due, {count} at once", ours, "/s", bare, "bare SQL")


def _make_capacity(servers: int) -> None:
    """Nodes and ports for every order."""
    large = dict.fromkeys(("memory_mib", "disk_mib", "memory_sellable_mib", "disk_sellable_mib"), 100_000_000)
    Node.objects.update(**large)
    for node in Node.objects.all():
        Allocation.objects.bulk_create(
            Allocation(node=node, ref=f"bench-{port}", ip="192.0.2.9", port=1024 + port) for port in range(servers)
        )


def _place(count: int) -> list[Payment]:
    """Orders that wait for their payment."""
    customer = User.objects.get(email=users.CUSTOMER_EMAIL)
    organization = customer.owned_organizations.get(is_personal=True)
    at = timezone.now()
    for name in ("per_user", "per_organization", "of_new_customer"):
        site_settings.set_value(f"orders.max_unpaid_{name}", 100_000)
    return [open_payment(place_order(organization, customer, f"bench-{number}", at)) for number in range(count)]


def _settle_each(share: Sequence[Payment]) -> None:
    for payment in share:
        settle(payment, timezone.now())
    connections.close_all()


def _settle_batches(share: Sequence[Sequence[Payment]]) -> None:
    """Batches as workers claim them: the first to come take what is due, and with few batches the others wait."""
    for batch in share:
        arrived = {payment.pk: arrival_of(payment) for payment in batch}
        assert len(payments.settle_expected(arrived, at=timezone.now())) == len(arrived)
    connections.close_all()


def _record(payment: Payment) -> Recorded:
    """What one settlement writes."""
    writes: list[Write] = []
    ids, first_new_id = _ids(payment), str(uuid7())

    def keep(execute: Any, sql: str, params: Any, *rest: Any) -> Any:
        if sql.startswith(WRITES):
            writes.append((sql, tuple(params or ())))
        return execute(sql, params, *rest)

    with connection.execute_wrapper(keep):
        settle(payment, timezone.now())
    return Recorded(writes, ids, first_new_id)


def _ids(payment: Payment) -> list[str]:
    """The rows of an order that its settlement changes."""
    order = Order.objects.get(invoice=payment.invoice_id)
    item = order.items.get()
    subscription_items = item.subscription.items.values_list("pk", flat=True)
    invoice_items = InvoiceItem.objects.filter(invoice=payment.invoice_id).values_list("pk", flat=True)
    own = [payment.pk, payment.invoice_id, order.pk, item.pk, item.reservation_id, item.subscription_id]
    return [str(pk) for pk in (*own, *subscription_items, *invoice_items)]


def _writes_for(recorded: Recorded, payment: Payment) -> list[Write]:
    """The same writes for another order: its ids for the rows that exist, new ids for those that are inserted."""
    ids = dict(zip(recorded.ids, _ids(payment), strict=True))

    def own_id(found: re.Match[str]) -> str:
        return ids.setdefault(found[0], str(uuid7()) if found[0] > recorded.first_new_id else found[0])

    def own(value: Any) -> Any:
        if isinstance(value, list):  # a bulk insert has a list for each column
            return [own(one) for one in value]
        if isinstance(value, UUID):
            return UUID(UUID_TEXT.sub(own_id, str(value)))
        return UUID_TEXT.sub(own_id, value) if isinstance(value, str) else value

    return [(sql, tuple(own(value) for value in params)) for sql, params in recorded.writes]


def _replay(environment: Environment, share: Sequence[list[Write]]) -> None:
    with environment.bare_connection() as bare:
        for writes in share:
            with bare.transaction():
                for sql, params in writes:
                    bare.execute(sql, params)


def _rate[Job](perform: Callable[[Sequence[Job]], None], jobs: Sequence[Job], count: int) -> float:
    """Jobs a second, shared by as many threads."""
    begin = time.perf_counter()
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(perform, [jobs[number::count] for number in range(count)]))
    return len(jobs) / (time.perf_counter() - begin)
