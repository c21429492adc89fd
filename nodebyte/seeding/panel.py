"""Connecting a panel: the provider row, its inventory, and a blueprint for each game whose egg the panel has."""

from dataclasses import dataclass
from datetime import datetime

from catalog.models import Product
from core import tenancy
from nodebyte.seeding.games import GAMES, GameSeed
from nodebyte.seeding.regions import REGIONS
from servers import builds, inventory
from servers.live.players import suggested_query
from servers.models import Blueprint, Egg, Location, Provider, Region, SyncState


class PanelUnready(Exception):
    """The panel's inventory could not be read; the message is that of the sync."""


@dataclass(frozen=True)
class Match:
    """A game and the panel's eggs that are it by name: one, or it is not known which."""

    game: GameSeed
    eggs: list[Egg]

    @property
    def egg(self) -> Egg | None:
        """The only egg that it can be."""
        return self.eggs[0] if len(self.eggs) == 1 else None


def connect_panel(*, name: str, base_url: str, application_key: str, client_key: str, at: datetime) -> Provider:
    """The provider with its inventory. Raises PanelUnready."""
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
    return provider


def match_eggs(provider: Provider) -> list[Match]:
    """Which of the panel's eggs each game is, by nest and name or by author and name; an egg's number says nothing."""
    eggs = list(Egg.objects.filter(nest__provider=provider, is_present=True).select_related("nest").order_by("name"))
    matches = []
    for game in GAMES:
        names = {(group.casefold(), name.casefold()) for group, name in game.eggs}
        found = [
            egg
            for egg in eggs
            if names
            & {(group.strip().casefold(), egg.name.strip().casefold()) for group in (egg.nest.name, egg.author)}
        ]
        matches.append(Match(game, found))
    return matches


def seed_blueprints(provider: Provider, matches: list[Match], *, is_accepted: bool) -> list[Blueprint]:
    """A blueprint for each game with one egg; those of them that nothing can be built from.

    They are sold only once the match is accepted, here or by activating them in the admin.
    """
    with tenancy.as_worker():
        for match in matches:
            product = Product.objects.filter(slug=match.game.slug).first()
            if match.egg is None or product is None:
                continue
            protocol, query_port = suggested_query(match.egg)
            blueprint, _is_new = Blueprint.objects.get_or_create(
                product=product,
                plan=None,
                provider=provider,
                defaults={
                    "name": f"{product.name} on {provider.name}",
                    "egg": match.egg,
                    "environment": dict(match.game.environment),
                    "query_protocol": protocol,
                    "query_port": query_port,
                    "is_active": is_accepted,
                },
            )
            if is_accepted and blueprint.egg == match.egg:
                Blueprint.objects.filter(pk=blueprint.pk).update(is_active=True)
        return builds.check_blueprints(provider.pk)


def seed_regions(provider: Provider) -> None:
    """The regions of a demo; the provider's locations with their codes are in them."""
    with tenancy.as_worker():
        for position, seed in enumerate(REGIONS):
            region, _is_new = Region.objects.get_or_create(
                code=seed.code,
                defaults={
                    "city": seed.city,
                    "country": seed.country,
                    "latitude": seed.latitude,
                    "longitude": seed.longitude,
                    "position": position,
                },
            )
            Location.objects.filter(provider=provider, code=seed.code, region=None).update(region=region)
