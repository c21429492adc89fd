"""No row of an order or a server can name another organization's, whatever the code does: tried as the worker."""

import pytest
from django.db import IntegrityError
from django.utils import timezone

from core import tenancy
from orders.models import OrderItemAddon
from servers import services
from servers.models import HoldKind, ServerVariable
from tests.billing.sales import Sale, make_sale
from tests.billing.test_same_owner import execute_and_check
from tests.builders import make_addon_price
from tests.shop import Shop, place_order

# Each statement changes or adds rows of the only order; `other` is of another organization.
FORBIDDEN = [
    "UPDATE orders_order SET invoice_id = %(other_invoice)s",
    "UPDATE orders_order SET currency = 'EUR'",
    "UPDATE orders_orderitem SET subscription_id = %(other_subscription)s",
    "INSERT INTO orders_orderstatuschange (id, order_id, organization_id, old, new, reason, at)"
    " SELECT uuidv7(), id, %(other)s, '', 'paid', '', now() FROM orders_order",
    "INSERT INTO servers_provisioningstep (id, server_id, organization_id, step, note, at)"
    " SELECT uuidv7(), id, %(other)s, 'created', '', now() FROM servers_server",
    "UPDATE servers_server SET organization_id = %(other)s",
    "UPDATE servers_reservation SET organization_id = %(other)s",
    "UPDATE servers_serverhold SET organization_id = %(other)s",
    "UPDATE servers_servervariable SET organization_id = %(other)s",
    "UPDATE servers_provisioningtask SET organization_id = %(other)s",
    "UPDATE orders_order SET organization_id = %(other)s",
    "UPDATE orders_orderitem SET organization_id = %(other)s",
    "UPDATE orders_orderitemaddon SET organization_id = %(other)s",
]


def test_a_row_that_names_a_stranger_or_another_currency_is_refused(shop: Shop) -> None:
    at, order, other = timezone.now(), place_order(shop), make_sale()
    item = order.items.get()
    Sale(order.organization, item.subscription, order.invoice, order.invoice.payments.get()).settle(at=at)
    server = order.items.get().server
    assert server is not None
    OrderItemAddon.objects.create(item=item, organization=order.organization, addon_price=make_addon_price())
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.MANUAL, reason="x", actor=None, at=at)
    ServerVariable.objects.create(server=server, organization=order.organization, env_variable="X")
    ids = {
        "other": other.organization.pk,
        "other_invoice": other.invoice.pk,
        "other_subscription": other.subscription.pk,
    }
    for statement in FORBIDDEN:
        with pytest.raises(IntegrityError, match="same_owner"), tenancy.as_role(role=tenancy.WORKER):
            execute_and_check(statement, ids)
