"""Reads about servers and the places they stand in."""

from collections.abc import Iterable
from uuid import UUID

from django.db import models
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, NullIf

from accounts.models import Organization
from catalog.models import Product
from core import tenancy
from servers.models import Blueprint, Location, Provider, Server, ServerStatus


def servers_of(organizations: Organization | Iterable[Organization | UUID]) -> QuerySet[Server]:
    """The servers of one or more organizations with all a list row shows; a forgotten join raises."""
    owners = [organizations] if isinstance(organizations, Organization) else list(organizations)
    return server_for_page().filter(organization__in=owners).order_by("name", "pk")


def server_for_page() -> QuerySet[Server]:
    """Servers with `location_name`, `node_name` and `plan_name`, for the caller to narrow; no deleted ones."""
    place = Coalesce(NullIf(F("node__location__name"), models.Value("")), F("node__location__code"))
    return (
        Server.objects.exclude(status=ServerStatus.DELETED)
        .annotate(location_name=place, node_name=F("node__name"), plan_name=F("plan__name"))
        .fetch_mode(models.FETCH_RAISE)
    )


def blueprints_of(product: Product) -> QuerySet[Blueprint]:
    """How the product's plans are built: one for all, and those for single plans, with their eggs."""
    return Blueprint.objects.filter(product=product, is_active=True).select_related("egg").order_by("name")


def locations_of(blueprints: Iterable[Blueprint]) -> list[Location]:
    """Where any of the blueprints may be placed, full or not."""
    wanted = Q(pk__in=[])
    for blueprint in blueprints:
        wanted |= _places_of(blueprint)
    return list(_open_locations().filter(wanted))


def locations_for_sale() -> list[Location]:
    """Every location that some active blueprint may be placed in."""
    chosen = Q(blueprints__is_active=True)
    anywhere = Blueprint.objects.filter(is_active=True, locations=None).values("provider_id")
    return list(_open_locations().filter(chosen | Q(provider_id__in=anywhere)).distinct())


def _places_of(blueprint: Blueprint) -> Q:
    chosen = Blueprint.locations.through.objects.filter(blueprint_id=blueprint.pk)
    is_anywhere = ~models.Exists(chosen)
    return Q(provider_id=blueprint.provider_id) & (Q(pk__in=chosen.values("location_id")) | Q(is_anywhere))


def _open_locations() -> QuerySet[Location]:
    """Active locations of active providers that have a node to place servers on."""
    with tenancy.as_worker():
        providers = list(Provider.objects.filter(is_active=True).values_list("pk", flat=True))
    nodes = Q(nodes__is_enabled=True, nodes__is_present=True, nodes__is_draining=False)
    return Location.objects.filter(nodes, is_active=True, is_present=True, provider_id__in=providers).distinct()
