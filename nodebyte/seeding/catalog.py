"""The catalog of a new shop. Existing rows keep what staff changed; prices are set only for new plans and add-ons."""

from datetime import datetime

from catalog import services
from catalog.models import Addon, Kind, Plan, Product, Term
from core import tenancy
from core.formats import MIB_PER_GB
from core.money import Money
from nodebyte.seeding.games import ADDONS, GAMES, GameSeed

CURRENCY = "USD"  # of the demo; a shop of another currency gets the same amounts in its own, as examples
# What each term costs in percent of a month: a year costs ten months.
TERM_PERCENT = {Term.MONTHLY: 100, Term.QUARTERLY: 285, Term.YEARLY: 1000}


def seed_catalog(*, at: datetime, currency: str = CURRENCY) -> list[Product]:
    """Every game with its plans, prices and add-ons."""
    with tenancy.as_worker():
        products = [seed_product(game, position, currency, at) for position, game in enumerate(GAMES)]
        for position, seed in enumerate(ADDONS):
            addon, is_new = Addon.objects.get_or_create(
                code=seed.code,
                defaults={
                    "name": seed.name,
                    "description": seed.description,
                    "kind": seed.kind,
                    "quantity": seed.quantity,
                    "max_units": seed.max_units,
                    "position": position,
                },
            )
            if is_new:
                addon.products.set(products)
                _offer_every_term(addon, Money(seed.cents, currency), at)
    return products


def seed_product(game: GameSeed, position: int, currency: str, at: datetime) -> Product:
    """A game with a plan of each size."""
    product, _is_new = Product.objects.get_or_create(
        slug=game.slug,
        defaults={
            "kind": Kind.GAME,
            "name": game.name,
            "tagline": game.tagline,
            "description": game.description,
            "category": game.category,
            "position": position,
        },
    )
    for gb in game.sizes:
        plan, is_new = Plan.objects.get_or_create(
            code=f"{game.prefix}-{gb}gb",
            defaults={
                "product": product,
                "name": f"{gb} GB",
                "cpu_percent": max(100, game.cpu_percent_per_gb * gb),
                "memory_mib": gb * MIB_PER_GB,
                "disk_mib": gb * game.disk_gb_per_gb * MIB_PER_GB,
                "databases": 1 if gb < 4 else 2,
                "backups": 1 if gb < 4 else 3,
                "position": gb,
            },
        )
        if is_new:
            _offer_every_term(plan, Money(game.cents_per_gb * gb, currency), at)
    return product


def _offer_every_term(item: Plan | Addon, monthly: Money, at: datetime) -> None:
    for term, percent in TERM_PERCENT.items():
        amount = Money(monthly.minor * percent // 100, monthly.currency)
        services.offer_price(item=item, term=term, amount=amount, actor="seed", at=at)
