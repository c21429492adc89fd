"""A page that forgets its filter still shows no other tenant's rows: PostgreSQL refuses them."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from django.db import connection, models
from django.test import Client
from django.urls import reverse

from accounts import middleware
from accounts.models import Membership, Organization, User
from billing import queries as billing
from billing.models import Invoice, InvoiceItem, InvoiceState, LedgerAccount, Payment, Posting, Subscription
from core import schema, tenancy
from core.tenancy.declarations import tenancy_of
from orders import queries as orders
from orders.models import Order, OrderItem, OrderStatusChange
from servers import queries as servers
from servers.models import ProvisioningStep, ProvisioningTask, Reservation, Server
from tests.isolation.tenants import Tenant

pytestmark = pytest.mark.django_db
OWNED = [
    Order,
    OrderItem,
    OrderStatusChange,
    Server,
    Reservation,
    ProvisioningTask,
    ProvisioningStep,
    Invoice,
    InvoiceItem,
]
OWNED += [Payment, Subscription, LedgerAccount, Posting]
PAGES = [
    "dashboard",
    "servers:list",
    "billing:invoices",
    "subscriptions:list",
    "accounts:profile",
    "accounts:billing_address",
    "home",
    "storefront:products",
    "storefront:cart",
]


def as_tenant(tenant: Tenant) -> Any:
    return tenancy.as_role(role=tenancy.CUSTOMER, user_id=tenant.user.pk, organizations=[tenant.organization.pk])


def test_a_query_for_all_rows_finds_the_tenants_own(ada: Tenant, bob: Tenant) -> None:
    for model in OWNED:
        rows: Any = model._base_manager.all()
        mine = set(rows.filter(organization=ada.organization).values_list("pk", flat=True))
        theirs = set(rows.filter(organization=bob.organization).values_list("pk", flat=True))
        assert mine, model
        assert theirs, model

        with as_tenant(ada):
            assert set(rows.all().values_list("pk", flat=True)) == mine, model
            assert not rows.filter(pk__in=theirs).exists(), model
            assert not rows.filter(organization=bob.organization).exists(), model
            assert rows.aggregate(rows=models.Count("pk"))["rows"] == len(mine), model


def test_the_queries_of_pages_find_a_tenants_own_rows_without_a_filter(ada: Tenant, bob: Tenant) -> None:
    for rows in (
        servers.server_for_page(),
        orders.order_for_page(Order.objects.all()),
        billing.invoice_for_page(Invoice.objects.exclude(state=InvoiceState.DRAFT)),
        User.objects.all(),
        Organization.objects.all(),
        Membership.objects.all(),
    ):
        everything = rows.count()
        with as_tenant(ada):
            mine = rows.all().count()
        with as_tenant(bob):
            theirs = rows.all().count()

        assert 0 < mine < everything, rows.model
        assert mine + theirs == everything, rows.model


@contextmanager
def filters_forgotten(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Drop every condition on an organization or a user that code passes to a query."""
    original = models.QuerySet._filter_or_exclude  # type: ignore[attr-defined]

    def without_filters(self: Any, negate: bool, args: Any, kwargs: dict[str, Any]) -> Any:
        kept = {
            name: value
            for name, value in kwargs.items()
            if not re.match(r"(organization|user|owner)(_id)?(__in)?$", name)
        }
        return original(self, negate, args, kept)

    with monkeypatch.context() as patch:
        patch.setattr(models.QuerySet, "_filter_or_exclude", without_filters)
        yield


def test_a_page_without_its_filter_shows_no_other_tenants_rows(
    client: Client, monkeypatch: pytest.MonkeyPatch, ada: Tenant, bob: Tenant
) -> None:
    client.force_login(ada.user)
    set_tenant = middleware.set_tenant
    for name in PAGES:
        with ExitStack() as forgetting:

            def set_tenant_then_forget(request: Any, match: Any, forgetting: ExitStack = forgetting) -> None:
                set_tenant(request, match)
                forgetting.enter_context(filters_forgotten(monkeypatch))

            # only the page itself forgets its filters
            monkeypatch.setattr(middleware, "set_tenant", set_tenant_then_forget)
            response = client.get(reverse(name))

        assert response.status_code == 200, name
        assert bob.mark not in response.content.decode(), name


def test_without_row_level_security_the_missing_filter_would_show(
    monkeypatch: pytest.MonkeyPatch, ada: Tenant, bob: Tenant
) -> None:
    with filters_forgotten(monkeypatch):
        seen = {order.organization_id for order in Order.objects.filter(organization=ada.organization)}
    assert seen == {ada.organization.pk, bob.organization.pk}


def pages_of(tenant: Tenant) -> list[str]:
    """Every page that shows something of the tenant's."""
    return [reverse(name) for name in PAGES] + [
        reverse("servers:detail", args=[tenant.server.pk]),
        reverse("orders:progress", args=[tenant.order.pk]),
        reverse("orders:progress", args=[tenant.unpaid.pk]),
        reverse("billing:invoice", args=[tenant.invoice.pk]),
        reverse("storefront:configure", args=["minecraft"]),
    ]


@pytest.mark.django_db(transaction=True)  # the panel is called outside any transaction
def test_a_tenants_own_pages_show_its_rows(client: Client, ada: Tenant) -> None:
    client.force_login(ada.user)
    for path in pages_of(ada):
        assert client.get(path).status_code == 200, path
    for path in pages_of(ada)[-5:-1]:
        assert ada.mark in client.get(path).content.decode(), path


@pytest.mark.django_db(transaction=True)  # the panel is called outside any transaction
def test_no_page_reads_a_tenants_table_outside_a_tenant_transaction(client: Client, ada: Tenant) -> None:
    """A view that calls other systems opens its own transactions; what it reads outside them it reads as the worker."""
    client.force_login(ada.user)
    tables = [model._meta.db_table for model in schema.own_models() if getattr(tenancy_of(model), "condition", None)]
    known = {
        "accounts_user",
        "accounts_membership",
        "accounts_organization",
    }  # the middleware reads these before it sets the role
    pattern = re.compile("|".join(rf'"{table}"' for table in tables if table not in known))
    unprotected: list[str] = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if tenancy.current() is None and pattern.search(sql):
            unprotected.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        for path in pages_of(ada):
            client.get(path)
        for path in ("servers:power", "servers:rename"):
            client.post(reverse(path, args=[ada.server.pk]), {"action": "bogus", "name": ""})

    assert unprotected == []
