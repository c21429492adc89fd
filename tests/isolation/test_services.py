"""A service that works for customers refuses a row of another tenant, whoever looked it up."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from accounts import services as accounts
from accounts.models import Role
from billing import checkout, checkout_options, credit, customers
from billing.checkout_options import CheckoutOption
from billing.gateways.base import driver_for
from billing.models import GatewayAccount, Payment
from core import tenancy
from core.ids import uuid7
from core.money import Money
from orders import cancellation, placement
from orders.placement import ItemRequest, OrderRequest
from servers import services as servers
from servers.drivers.base import PowerAction
from servers.live import power
from tests.isolation import routes
from tests.isolation.members import make_member
from tests.isolation.tenants import Dataset, Tenant
from tests.isolation.test_routes import METHODS, Requester

pytestmark = pytest.mark.django_db
ZERO = Money(0, "USD")
# What works without a row of a tenant's in a customer's request: it reads or keeps what is the shop's.
OF_THE_SHOP = {
    "billing.gateway_accounts.accounts_for",
    "servers.capacity.availability.availability",
    "servers.queries.regions_of",
    "servers.builds.provider_kind",
}


def payment_of(tenant: Tenant) -> Payment:
    return Payment.objects.get(invoice=tenant.unpaid.invoice_id)


SERVICES: dict[str, Callable[[Tenant], object]] = {
    "rename": lambda of: servers.rename_server(server=of.server, name="x", actor=None, at=timezone.now()),
    "power": lambda of: power.request_power_action(
        server=of.server, action=PowerAction.STOP, actor=None, at=timezone.now()
    ),
    "cancel": lambda of: cancellation.cancel_unpaid(order=of.unpaid, reason="", at=timezone.now()),
    "pay": lambda of: placement.reopen_payment(order=of.unpaid, at=timezone.now()),
    "use credit": lambda of: credit.use_credit(payment=payment_of(of), at_most=ZERO, at=timezone.now()),
    "checkout": lambda of: checkout.create_session(
        payment=payment_of(of), success_url="x", cancel_url="x", at=timezone.now()
    ),
    "choose": lambda of: checkout_options.choose_option(
        payment=payment_of(of), option=CheckoutOption("stripe", "", "Card", ZERO)
    ),
    "profile": lambda of: accounts.change_profile(user=of.user, fields={"first_name": "x"}, actor=of.user),
    "destination": lambda of: accounts.take_destination(user=with_destination(of)),
}


def with_destination(tenant: Tenant) -> Any:
    tenant.user.preferences = {accounts.DESTINATION: "/"}
    return tenant.user


def request_of(tenant: Tenant) -> Any:
    """As in a request of the tenant's, between its transactions."""
    context = tenancy.TenantContext(tenancy.CUSTOMER, tenant.user.pk, (tenant.organization.pk,))
    return tenancy.in_request(context)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_refuses_a_row_of_another_tenant(ada: Tenant, bob: Tenant, name: str) -> None:
    with pytest.raises(tenancy.ForeignRow), request_of(ada):
        SERVICES[name](bob)


def test_a_service_refuses_to_order_for_another_tenant(ada: Tenant, bob: Tenant, dataset: Dataset) -> None:
    order_request = OrderRequest([ItemRequest(dataset.price, dataset.region, "x")])
    with pytest.raises(tenancy.ForeignRow), request_of(ada):
        placement.place_order(
            organization=bob.organization,
            user=ada.user,
            order_request=order_request,
            form_token=uuid7(),
            at=timezone.now(),
        )


def test_a_gateway_gets_no_customer_for_another_tenant(ada: Tenant, bob: Tenant) -> None:
    account = GatewayAccount.objects.get(code="stripe")
    with pytest.raises(tenancy.ForeignRow), request_of(ada):
        customers.ensure_customer(driver_for(account), organization=bob.organization, gateway="stripe")


def test_a_service_works_for_a_member_who_sees_single_servers_only(ada: Tenant) -> None:
    member = make_member(ada, Role.MEMBER, None)
    context = tenancy.TenantContext(tenancy.CUSTOMER, member.user.pk, partly=(ada.organization.pk,))
    with tenancy.in_request(context):
        servers.rename_server(server=ada.server, name="Renamed", actor=member.user, at=timezone.now())

    assert ada.server.reload().name == "Renamed"


def test_a_row_that_belongs_to_nobody_is_refused(ada: Tenant, dataset: Dataset) -> None:
    with pytest.raises(tenancy.ForeignRow), request_of(ada), tenancy.as_worker(dataset.product):
        pytest.fail("the block ran")


def test_what_customers_ask_for_elevates_only_with_a_row_of_theirs(
    ada: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Except where it works with what is the shop's: those are named above."""
    original, found = tenancy.as_worker, set[str]()

    def recording(*rows: Any) -> Any:
        context = tenancy.current()
        if not rows and (context is None or context.role == tenancy.CUSTOMER) and tenancy.context._request.get():
            frame = sys._getframe(1)
            while frame.f_globals["__name__"] in {"contextlib", "core.tenancy.context"} and frame.f_back:
                frame = frame.f_back
            found.add(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")
        return original(*rows)

    monkeypatch.setattr(tenancy, "as_worker", recording)
    requester = Requester(ada.user)
    for route in routes.routes():
        if not route.is_staff and not route.name.startswith(("account", "usersessions")):
            for url in route.urls(ada):
                for method in METHODS:
                    requester.request(method, url)

    assert found - OF_THE_SHOP == set()
