"""Reads about servers, and where they can be built."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from django.db import models
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce

from accounts.models import CAN_SIGN_IN, Membership, Organization, Role, User
from accounts.permissions import PERMISSIONS, Access, Action
from catalog.models import Image, Plan, Product
from core import tenancy
from servers import builds, capacity
from servers.drivers import registry
from servers.models import Blueprint, BlueprintImage, Build, Node, Region, Server, ServerAccess, ServerStatus


def servers_for(access: Access, action: Action) -> QuerySet[Server]:
    """The servers to which the user may do the action, with all that a page shows; a forgotten join raises.

    `access_level` is what a plain member was given of the server, empty for owners and admins, who may do everything.
    """
    may: Any = Q(organization__in=access.organizations(action))
    level: Any = models.Value("")
    if access.is_limited:
        given = ServerAccess.objects.filter(server=models.OuterRef("pk"), user=access.user_id)
        may |= models.Exists(given.filter(level__in=PERMISSIONS[action]))
        level = Coalesce(models.Subquery(given.values("level")), level)
    return server_for_page().filter(may).annotate(access_level=level)


def may_still(user: User | None, action: Action, server: Server) -> bool:
    """Whether the user may do the action to the server now, looked up anew; without a user it is ours to do.

    For a worker, which acts later than the user was asked.
    """
    if user is None:
        return True
    rows = Membership.objects.filter(user=user.pk, user__status__in=CAN_SIGN_IN)
    roles = {row.organization_id: Role(row.role) for row in rows}
    return servers_for(Access(user.pk, roles), action).filter(pk=server.pk).exists()


def listed_servers(access: Access, organization: Organization) -> QuerySet[Server]:
    """The current organization's servers that the user may see, and those of others that they were given access to."""
    here = Q(organization=organization)
    if access.is_limited:
        here |= ~Q(access_level="")
    return servers_for(access, Action.SERVER_VIEW).filter(here).order_by("name", "pk")


def server_for_page() -> QuerySet[Server]:
    """Servers for the caller to narrow, with `region_name`, `node_name`, `product_name`, `product_slug`, `plan_name`,
    `query_protocol`, `query_port`.

    Deleted ones are left out. `is_extended` says whether add-ons gave the server more than its plan,
    `unreachable_since` when what runs it stopped answering.
    """
    is_extended = (
        Q(memory_mib__gt=F("plan__memory_mib"))
        | Q(disk_mib__gt=F("plan__disk_mib"))
        | Q(databases_limit__gt=F("plan__databases"))
        | Q(backups_limit__gt=F("plan__backups"))
        | Q(ports_limit__gt=F("plan__ports"))
    )
    return (
        Server.objects.exclude(status=ServerStatus.DELETED)
        .annotate(region_name=F("node__location__region__city"), node_name=F("node__name"))
        .annotate(unreachable_since=F("node__unreachable_since"))
        .annotate(product_name=F("plan__product__name"), product_slug=F("plan__product__slug"))
        .annotate(plan_name=F("plan__name"))
        .annotate(query_protocol=F("blueprint__query_protocol"), query_port=F("blueprint__query_port"))
        .annotate(is_extended=models.ExpressionWrapper(is_extended, models.BooleanField()))
        .fetch_mode(models.FETCH_RAISE)
    )


def purchase_steps(blueprint_id: UUID) -> dict[str, str]:
    """The steps from a paid order to its running server, in their order, as the provider's driver words them."""
    facts = registry.facts()[builds.provider_kind(blueprint_id)]
    return {step: str(label) for step, label in facts.steps.items()}


def blueprints_of(*products: Product) -> QuerySet[Blueprint]:
    """How the products' plans are built: for all of them, and for single plans. Some may have a problem."""
    return Blueprint.objects.filter(product__in=products, is_active=True).prefetch_related("regions").order_by("name")


def blueprints_for(plan: Plan, blueprints: Iterable[Blueprint]) -> list[Blueprint]:
    """Those of the blueprints that build the plan: of each provider the plan's own, or else its product's."""
    chosen: dict[UUID, Blueprint] = {}
    for blueprint in (each for each in blueprints if each.product_id == plan.product_id):
        if blueprint.plan_id == plan.pk or (blueprint.plan_id is None and blueprint.provider_id not in chosen):
            chosen[blueprint.provider_id] = blueprint
    return sorted(chosen.values(), key=lambda blueprint: (blueprint.position, blueprint.name))


def blueprints_of_plan(plan: Plan, image: Image | None = None) -> list[Blueprint]:
    """The candidates for a server of the plan that begins with the image, the first to try first."""
    rows = blueprints_for(plan, blueprints_of(plan.product))
    if image is None:
        return rows
    having = set(BlueprintImage.objects.filter(image=image).values_list("blueprint_id", flat=True))
    return [row for row in rows if row.pk in having]


def images_for(blueprints: Mapping[Plan, Collection[Blueprint]]) -> dict[UUID, list[Image]]:
    """The images that machines of each plan may begin with, by the plan's id. One query."""
    pairs = {(plan.pk, row.pk) for plan, rows in blueprints.items() for row in rows if row.build == Build.MACHINE}
    if not pairs:
        return {}
    offered = BlueprintImage.objects.filter(image__is_active=True, image__plans__in=blueprints)
    found: dict[UUID, list[Image]] = defaultdict(list)
    for row in offered.annotate(plan_id=F("image__plans")).select_related("image").order_by("image__position", "pk"):
        if (row.plan_id, row.blueprint_id) in pairs and row.image not in found[row.plan_id]:
            found[row.plan_id].append(row.image)
    return dict(found)


def regions_of(blueprints: QuerySet[Blueprint]) -> list[Region]:
    """Where any of the blueprints can be used, full or not: regions with a node of its provider that may be sold."""
    usable = blueprints.filter(provider=models.OuterRef("provider"), problem="").order_by()
    here = usable.filter(Q(regions=None) | Q(regions=models.OuterRef("location__region")))
    nodes = capacity.placeable(Node.objects.filter(models.Exists(here)))
    with tenancy.as_worker_without_row():
        return list(Region.objects.filter(pk__in=nodes.values("location__region")))


def regions_for_sale() -> list[Region]:
    """Every region where something can be built."""
    return regions_of(Blueprint.objects.filter(is_active=True, product__is_active=True))
