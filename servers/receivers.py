"""What happens in servers on the signals of lower apps."""

from collections.abc import Collection
from typing import Any

from allauth.account import signals
from django.core.exceptions import ValidationError
from django.dispatch import receiver
from django.utils.translation import gettext

from catalog import events as catalog_events
from catalog.models import Plan, Product
from core import clock, tenancy
from servers import builds, queries
from servers.convergence import request_convergence
from servers.models import Blueprint, Server, ServerStatus


@receiver(signals.email_changed)
def converge_accounts(user: Any, **_: Any) -> None:
    """The panel's account gets the user's new address with the next round of any of their servers."""
    with tenancy.as_worker():
        servers = Server.objects.filter(owner_id=user.pk).exclude(status=ServerStatus.DELETED)
        request_convergence(server_ids=list(servers.values_list("pk", flat=True)), at=clock.now())


@receiver(catalog_events.plan_entered)
def refuse_unbuildable_plan(plan: Plan, **_: Any) -> None:
    """A plan that none of its blueprints can build would not be sold: staff read why next to the field."""
    blueprints = {blueprint: builds.build_facts(blueprint) for blueprint in queries.blueprints_of_plan(plan)}
    if problems := builds.unbuildable(plan, blueprints):
        raise ValidationError(problems)


@receiver(catalog_events.addon_entered)
def refuse_undeliverable_addon(kind: str, products: Collection[Product], **_: Any) -> None:
    """An add-on that would not reach the servers of a product is not offered with it."""
    blueprints = Blueprint.objects.filter(product__in=products, is_active=True).select_related("product")
    if refused := {each.product: each for each in blueprints if kind not in builds.build_facts(each).addons}:
        text = gettext("{product}: the servers of {blueprint} cannot have this add-on.")
        raise ValidationError(
            [text.format(product=product, blueprint=blueprint) for product, blueprint in refused.items()]
        )
