"""Reads about servers and their locations."""

from collections.abc import Iterable
from functools import cache
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, NullIf

from accounts.models import Organization
from accounts.permissions import PERMISSIONS, Access, Action
from catalog.models import Product
from core import tenancy
from servers import capacity
from servers.drivers import registry
from servers.models import Blueprint, Location, Node, Provider, Server, ServerAccess, ServerStatus


def servers_for(access: Access, action: Action) -> QuerySet[Server]:
    """The servers to which the user may do the action, with all that a page shows; a forgotten join raises.

    `access_level` is what a plain member was given of the server, empty for owners and admins, who may do everything.
    """
    may = Q(organization__in=access.organizations(action))
    level: Any = models.Value("")
    if access.is_limited:
        given = ServerAccess.objects.filter(server=models.OuterRef("pk"), user=access.user_id)
        may |= models.Exists(given.filter(level__in=PERMISSIONS[action]))
        level = Coalesce(models.Subquery(given.values("level")), level)
    return server_for_page().filter(may).annotate(access_level=level)


def listed_servers(access: Access, organization: Organization) -> QuerySet[Server]:
    """The current organization's servers that the user may see, and those of others that they were given access to."""
    here = Q(organization=organization)
    if access.is_limited:
        here |= ~Q(access_level="")
    return servers_for(access, Action.SERVER_VIEW).filter(here).order_by("name", "pk")


def server_for_page() -> QuerySet[Server]:
    """Servers with `location_name`, `node_name` and `plan_name`, for the caller to narrow; no deleted ones.

    `is_extended` says whether add-ons gave the server more than its plan.
    """
    location = Coalesce(NullIf(F("node__location__name"), models.Value("")), F("node__location__code"))
    is_extended = (
        Q(memory_mib__gt=F("plan__memory_mib"))
        | Q(disk_mib__gt=F("plan__disk_mib"))
        | Q(databases_limit__gt=F("plan__databases"))
        | Q(backups_limit__gt=F("plan__backups"))
        | Q(ports_limit__gt=F("plan__ports"))
    )
    return (
        Server.objects.exclude(status=ServerStatus.DELETED)
        .annotate(location_name=location, node_name=F("node__name"), plan_name=F("plan__name"))
        .annotate(is_extended=models.ExpressionWrapper(is_extended, models.BooleanField()))
        .fetch_mode(models.FETCH_RAISE)
    )


def purchase_steps(blueprint_id: UUID) -> dict[str, str]:
    """The steps from a paid order to its running server, in their order, as the provider's driver words them."""
    facts = registry.facts()[provider_kind(blueprint_id)]
    return {step: str(label) for step, label in facts.steps.items()}


@cache  # a blueprint's provider, and a provider's kind, never change
def provider_kind(blueprint_id: UUID) -> str:
    """The kind of the blueprint's provider, which customers may not read themselves."""
    with tenancy.as_worker():
        return Provider.objects.get(blueprints=blueprint_id).kind


def blueprints_of(product: Product) -> QuerySet[Blueprint]:
    """How the product's plans are built: one for all, and those for single plans, with their eggs."""
    return Blueprint.objects.filter(product=product, is_active=True).select_related("egg").order_by("name")


def locations_of(blueprints: Iterable[Blueprint]) -> list[Location]:
    """Where any of the blueprints may be placed, full or not."""
    allowed = Q(pk__in=[])
    for blueprint in blueprints:
        chosen = Blueprint.locations.through.objects.filter(blueprint_id=blueprint.pk)
        is_anywhere = Q(~models.Exists(chosen))
        allowed |= Q(provider_id=blueprint.provider_id) & (Q(pk__in=chosen.values("location_id")) | is_anywhere)
    return placeable_locations(allowed)


def locations_for_sale() -> list[Location]:
    """Every location that some active blueprint may be placed in."""
    chosen = Blueprint.locations.through.objects.filter(blueprint__is_active=True).values("location_id")
    anywhere = Blueprint.objects.filter(is_active=True, locations=None).values("provider_id")
    return placeable_locations(Q(pk__in=chosen) | Q(provider_id__in=anywhere))


def placeable_locations(allowed: Q) -> list[Location]:
    """Those of the allowed locations that have a node which may be sold."""
    nodes = capacity.placeable(Node.objects.all())
    with tenancy.as_worker():
        return list(Location.objects.filter(allowed, pk__in=nodes.values("location_id")))
