"""A service that works for customers refuses a row of another tenant, whoever looked it up."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import services as accounts
from accounts.models import Role
from billing import cancellations, checkout, checkout_options, credit, customers, saved_charges, top_ups
from billing.checkout_options import CheckoutOption
from billing.gateways.base import driver_for
from billing.models import CancellationReason, GatewayAccount, Payment, Subscription
from core import tenancy
from core.ids import uuid7
from core.money import Money
from orders import cancellation, paying, placement
from orders.placement import ItemRequest, OrderRequest
from sandbox.client import Sandbox
from servers import builds
from servers import services as servers
from servers.drivers.base import PowerAction
from servers.live import power
from tests.billing.sales import accept, make_sale, usd
from tests.isolation import routes
from tests.isolation.members import make_member
from tests.isolation.tenants import Dataset, Tenant
from tests.isolation.test_routes import DATA, METHODS, POWER

pytestmark = pytest.mark.django_db
ZERO = Money(0, "USD")
# What works without a row of a tenant's in a customer's request: it reads what is the shop's.
OF_THE_SHOP = {
    "billing.gateway_accounts.accounts_for",
    "orders.storefront.published.public_version",
    "orders.waitlist.entries.positions",
    "orders.waitlist.entries.taken_up",
    "servers.capacity.availability.availability",
    "servers.queries.regions_of",
    "servers.self_service.sections._sections_of",
    "servers.builds.provider_kind",
}


def payment_of(tenant: Tenant) -> Payment:
    return Payment.objects.get(invoice=tenant.unpaid.invoice_id)


def subscription_of(tenant: Tenant) -> Subscription:
    return Subscription.objects.get(order_item__server=tenant.server)


SERVICES: dict[str, Callable[[Tenant], object]] = {
    "rename": lambda of: servers.rename_server(server=of.server, name="x", actor=None, at=timezone.now()),
    "power": lambda of: power.request_power_action(
        server=of.server, action=PowerAction.STOP, actor=None, at=timezone.now()
    ),
    "cancel": lambda of: cancellation.cancel_unpaid(order=of.unpaid, reason="", at=timezone.now()),
    "pay": lambda of: paying.reopen_payment(order=of.unpaid, at=timezone.now()),
    "use credit": lambda of: credit.use_credit(payment=payment_of(of), at_most=ZERO, at=timezone.now()),
    "checkout": lambda of: checkout.create_session(
        payment=payment_of(of), success_url="x", cancel_url="x", at=timezone.now()
    ),
    "choose": lambda of: checkout_options.choose_option(
        payment=payment_of(of), option=CheckoutOption("stripe", "", "Card", ZERO)
    ),
    "charge": lambda of: saved_charges.charge_payment(
        payment=payment_of(of), method=of.payment_method, at=timezone.now()
    ),
    "cancel subscription": lambda of: cancellations.cancel(
        subscription=subscription_of(of), reason=CancellationReason.OTHER, actor=None, at=timezone.now()
    ),
    "undo cancellation": lambda of: cancellations.undo(subscription=subscription_of(of), actor=None, at=timezone.now()),
    "auto renewal": lambda of: cancellations.set_auto_renewal(
        subscription=subscription_of(of), is_auto_renewed=True, actor=None, at=timezone.now()
    ),
    "top up": lambda of: top_ups.open_top_up(
        organization=of.organization, amount=Money(1000, "USD"), form_token=uuid7(), at=timezone.now()
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


def test_an_act_names_its_row_once_and_nothing_elevates_before_that(ada: Tenant) -> None:
    with request_of(ada):
        with pytest.raises(tenancy.NoRowNamed), tenancy.as_worker_without_row(), tenancy.as_worker():
            pytest.fail("the block ran")
        with pytest.raises(tenancy.NoRowNamed), tenancy.within_worker():
            pytest.fail("the block ran")
        with tenancy.acts_on(ada.server), tenancy.as_worker(), tenancy.as_worker():
            assert tenancy.current() is not None
        with pytest.raises(tenancy.NoRowNamed), tenancy.as_worker():
            pytest.fail("the block ran")


@pytest.mark.django_db(transaction=True)
def test_what_customers_ask_for_elevates_only_with_a_row_of_theirs(
    ada: Tenant, dataset: Dataset, stripe_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every page and form of theirs, and an order with its payment session; NoRowNamed would be raised here."""
    original, found = tenancy.as_worker_without_row, set[str]()

    def recording() -> Any:
        frame = sys._getframe(1)
        found.add(f"{frame.f_globals['__name__']}.{frame.f_code.co_qualname}")
        return original()

    monkeypatch.setattr(tenancy, "as_worker_without_row", recording)
    accept(make_sale(minor=9900, organization=ada.organization).settle(amount=usd(300)))
    builds._kinds.clear()
    client, form = Client(), {"plan": dataset.price.plan.code, "region": dataset.region.code, "term": "monthly"}
    form |= {"server_name": "lantern", "form_token": str(uuid7()), "shown_prices": str(dataset.price.pk)}
    form |= {"uses_credit": "on", "shown_credit": "300"}
    client.force_login(ada.user)
    choices = [client.post(url, form) for url in ("/products/minecraft/configure/", f"/orders/{ada.unpaid.pk}/pay/")]
    ordered, paid = [client.post(choice["Location"], {"option": "stripe:"}) for choice in choices]
    for route in routes.routes():
        if not route.is_staff and not route.name.startswith(("account", "usersessions")):
            for url in route.urls(ada):
                for method in METHODS:
                    getattr(client, method)(url, DATA | POWER if method == "post" else {})

    assert [ordered.status_code, paid.status_code] == [303, 303], [ordered, paid]
    assert {payment.credit_minor for payment in Payment.objects.exclude(session_id=None)} == {0, 300}
    assert found == OF_THE_SHOP
