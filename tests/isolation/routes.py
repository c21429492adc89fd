"""Every route of the product, read from the URL configuration, with URLs that name rows of the first tenant."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.contrib import admin
from django.db import models
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from core.ids import uuid7
from tests.isolation import tenants
from tests.isolation.tenants import Tenant


class Unclassified(Exception):
    """A route has a parameter that `_values` does not know: add it there."""


@dataclass(frozen=True)
class Route:
    """One route: its full name, and the parameters of its URL."""

    name: str
    parameters: frozenset[str]

    @property
    def is_staff(self) -> bool:
        """Whether it belongs to the admin."""
        return self.name.startswith("admin:")

    @property
    def names_a_row(self) -> bool:
        """Whether the URL names a row that belongs to a tenant."""
        return "pk" in self.parameters

    def urls(self, tenant: Tenant) -> list[str]:
        """The route's URLs for every row of the tenant that it can name."""
        choices: list[dict[str, Any]] = [{}]
        for parameter in sorted(self.parameters):
            values = _values(self, parameter, tenant)
            choices = [chosen | {parameter: value} for chosen in choices for value in values]
        return [reverse(self.name, kwargs=chosen) for chosen in choices]


def routes() -> list[Route]:
    """Every named route, those of allauth and of the admin included."""
    found = set(_walk(get_resolver().url_patterns, "", frozenset()))
    return sorted(found, key=lambda route: route.name)


def _walk(patterns: list[Any], namespace: str, above: frozenset[str]) -> Iterator[Route]:
    for each in patterns:
        parameters = above | frozenset(each.pattern.regex.groupindex)
        if isinstance(each, URLResolver):
            inner = f"{namespace}{each.namespace}:" if each.namespace else namespace
            yield from _walk(each.url_patterns, inner, parameters)
        elif isinstance(each, URLPattern) and not _is_unnamed_in_admin(each):
            if not each.name:
                raise Unclassified(f"the route {each.pattern} has no name")
            yield Route(f"{namespace}{each.name}", parameters)


def _is_unnamed_in_admin(pattern: URLPattern) -> bool:
    """Django's own two: the catch-all for unknown pages, and the old URL of a row, which redirects to its page."""
    return pattern.name is None and str(pattern.pattern) in {"(?P<url>.*)$", "<path:object_id>/"}


def _values(route: Route, parameter: str, tenant: Tenant) -> list[Any]:
    area = route.name.partition(":")[0]
    of_tenant = {
        "orders": [tenant.order.pk, tenant.unpaid.pk],
        "servers": [tenant.server.pk],
        "wallet": [tenant.top_up.pk],
        "subscriptions": [tenant.server.order_item.subscription_id],
        "billing": [tenant.invoice.pk, tenant.unpaid.invoice_id],
    }
    if parameter == "pk" and route.name.startswith("billing:method_"):
        return [tenant.payment_method.pk]
    if parameter == "pk" and route.name in {"orders:transfer", "orders:answer_transfer", "orders:cancel_transfer"}:
        return [tenant.server_transfer.pk]
    if parameter == "pk" and route.name in {"orders:choose_plan", "orders:offer_server"}:
        return [tenant.server.pk]
    if parameter == "pk" and route.name == "orders:leave_waitlist":
        return [tenant.waitlist_entry.pk]
    if parameter == "pk" and "plan_change" in route.name:
        return [tenant.plan_change.pk]
    if parameter == "pk" and route.name == "billing:credit_note_pdf":
        return [tenant.credit_note.pk]
    if parameter == "pk" and route.name == "billing:transfer":
        return [tenant.transfer.payment_id]
    if parameter == "pk" and area in of_tenant:
        return of_tenant[area]
    if route.is_staff and parameter in {"object_id", "pk", "content_type_id"}:
        return [_row_of_admin(route, tenant)] if parameter != "content_type_id" else [1]
    known: dict[str, list[Any]] = {
        "slug": ["minecraft"],
        "gateway": ["stripe"],
        "key": ["1-made-up"],
        "uidb36": ["1"],
        "app_label": ["orders"],
        "code": ["tax"],
        "act": ["delete"],
        "ref": [tenants.BACKUP],
        "operation": [tenant.operation.pk],
    }
    if parameter not in known:
        raise Unclassified(f"{route.name} has the parameter {parameter}")
    return known[parameter]


def _row_of_admin(route: Route, tenant: Tenant) -> str:
    """The key of a row for an admin page, the tenant's own if the table has one."""
    name = route.name.removeprefix("admin:")
    for model in admin.site._registry:
        if name.startswith(f"{model._meta.app_label}_{model._meta.model_name}_"):
            return str(_row(model, tenant) or uuid7())
    return str(tenant.user.pk)


def _row(model: type[models.Model], tenant: Tenant) -> Any:
    rows = model._base_manager.order_by("pk")
    names = {field.name for field in model._meta.get_fields()}
    if "organization" in names:
        rows = rows.filter(organization=tenant.organization)
    elif model is apps.get_model("accounts.User"):
        return tenant.user.pk
    return rows.values_list("pk", flat=True).first()
