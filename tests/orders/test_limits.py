"""Who has not paid can reserve only so much: limits on unpaid orders, raced with real threads."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from billing.models import Payment, PaymentMethod, PaymentState
from core import site_settings
from core.ids import uuid7
from orders import paying, placement
from orders.limits import TooManyUnpaidOrders, network_of
from orders.models import Order
from servers.models import Node
from tests.orders.test_coupons import make_coupon, use_of
from tests.shop import Shop, form_data, make_customers, place_order


def attempt(shop: Shop, ip: str | None = None) -> str:
    """One order, in a thread with a connection of its own, and what came of it."""
    try:
        placement.place_order(
            organization=shop.organization,
            user=shop.customer,
            order_request=shop.order_request(),
            form_token=uuid7(),
            ip=ip,
            at=timezone.now(),
        )
    except TooManyUnpaidOrders:
        return "refused"
    finally:
        connection.close()
    return "placed"


def at_once(act: Callable[[int], str]) -> Counter[str]:
    with ThreadPoolExecutor(16) as threads:
        return Counter(threads.map(act, range(16)))


def save_card(shop: Shop) -> None:
    PaymentMethod.objects.create(organization=shop.organization, gateway="stripe", reference="pm_1")


def test_sixteen_orders_at_once_of_a_new_customer_reserve_no_more_than_two_servers(shop: Shop) -> None:
    assert at_once(lambda _: attempt(shop)) == {"placed": 2, "refused": 14}

    assert Order.objects.count() == Payment.objects.count() == 2
    assert sum(Node.objects.values_list("memory_reserved_mib", flat=True)) == 2 * 1024


def test_a_customer_with_a_saved_card_may_have_more_unpaid_orders(shop: Shop) -> None:
    save_card(shop)

    assert at_once(lambda _: attempt(shop)) == {"placed": 5, "refused": 11}


def test_members_of_one_organization_share_its_limit(shop: Shop) -> None:
    save_card(shop)
    site_settings.set_value("orders.max_unpaid_per_organization", 4)
    members = [replace(theirs, organization=shop.organization) for theirs in make_customers(shop, 4)]

    assert at_once(lambda number: attempt(members[number % 4])) == {"placed": 4, "refused": 12}


def test_many_accounts_behind_one_address_share_its_limit(shop: Shop) -> None:
    site_settings.set_value("orders.max_unpaid_per_network", 3)
    accounts = make_customers(shop, 16)

    outcome = at_once(lambda number: attempt(accounts[number], f"2001:db8::{number + 1:x}"))

    assert outcome == {"placed": 3, "refused": 13}
    assert attempt(accounts[0], "2001:db8:0:1::1") == "placed"


def test_an_order_whose_bank_debit_clears_does_not_count(shop: Shop) -> None:
    first = place_order(shop)
    Payment.objects.filter(invoice=first.invoice_id).update(state=PaymentState.PROCESSING)

    assert [attempt(shop) for _ in range(3)] == ["placed", "placed", "refused"]


def test_the_form_says_that_an_unpaid_order_must_be_paid_or_canceled_first(shop: Shop, client: Client) -> None:
    site_settings.set_value("orders.max_unpaid_of_new_customer", 1)
    place_order(shop)
    client.force_login(shop.customer)
    form = form_data(shop)

    answer = client.post("/products/minecraft/configure/", form)

    assert answer.status_code == 422
    assert "Pay or cancel one of them" in answer.content.decode()
    assert "lantern-smp" in answer.content.decode()
    assert Order.objects.count() == 1


def test_an_orders_reservation_is_extended_only_so_often(shop: Shop, client: Client) -> None:
    site_settings.set_value("orders.max_payments_per_order", 2)
    order = place_order(shop)
    Payment.objects.update(state=PaymentState.FAILED)
    assert paying.reopen_payment(order=order, at=timezone.now()).state == PaymentState.PENDING
    Payment.objects.update(state=PaymentState.FAILED)
    until = order.reload().expires_at

    with pytest.raises(paying.OrderClosed):
        paying.reopen_payment(order=order, at=timezone.now())

    assert order.reload().expires_at == until
    client.force_login(shop.customer)
    page = client.get(f"/orders/{order.pk}/").content.decode()
    assert 'id="pay"' not in page
    assert "The payment failed too often" in page


@pytest.mark.parametrize(
    ("ip", "network"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"), (None, None)],
)
def test_an_address_counts_as_the_network_of_one_customer(ip: str | None, network: str | None) -> None:
    assert network_of(ip) == network


def test_free_servers_of_who_never_paid_count_too(shop: Shop) -> None:
    make_coupon(percent=Decimal(100))
    use = use_of(shop)
    for _number in range(2):
        place_order(shop, coupon_use=use)

    with pytest.raises(TooManyUnpaidOrders, match="2 servers at a time until you have paid for one"):
        place_order(shop, coupon_use=use)
    save_card(shop)
    place_order(shop, coupon_use=use)
