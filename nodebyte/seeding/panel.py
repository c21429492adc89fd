"""Connecting a panel: the provider row, its inventory, and a blueprint for each game whose egg the panel has."""

from datetime import datetime

from catalog.models import Product
from core import tenancy
from nodebyte.seeding.games import GAMES
from servers import inventory
from servers.models import Blueprint, Egg, Provider, SyncState


class PanelUnready(Exception):
    """The panel's inventory could not be read; the message is that of the sync."""


def seed_panel(*, name: str, base_url: str, application_key: str, client_key: str, at: datetime) -> list[str]:
    """Create the provider with its inventory and blueprints; returns the games whose egg the panel does not have."""
    with tenancy.as_worker():
        provider, _is_new = Provider.objects.update_or_create(
            name=name,
            defaults={
                "kind": "pterodactyl",
                "base_url": base_url,
                "credentials": {"application_key": application_key, "client_key": client_key},
            },
        )
    run = inventory.sync(provider_id=provider.pk, at=at)
    if run.state != SyncState.COMPLETED:
        raise PanelUnready(run.error)
    missing = []
    with tenancy.as_worker():
        for game in GAMES:
            egg = Egg.objects.filter(nest__provider=provider, ref=game.egg, is_present=True).first()
            product = Product.objects.filter(slug=game.slug).first()
            if egg is None or product is None:
                missing.append(game.slug)
                continue
            Blueprint.objects.get_or_create(
                product=product,
                plan=None,
                is_active=True,
                defaults={
                    "name": f"{product.name} on {provider.name}",
                    "provider": provider,
                    "egg": egg,
                    "environment": dict(game.environment),
                },
            )
    return missing
