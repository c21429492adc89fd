"""The catalog of a new shop, by upsert: what staff changed by hand stays, prices are superseded and never edited."""

from datetime import datetime

from catalog import services
from catalog.models import Addon, Kind, Plan, Product, Term
from core import tenancy
from core.money import Money
from nodebyte.seeding.games import EXTRAS, GAMES, Extra, Game

CURRENCY = "USD"
# Months paid at once, and how many of them are charged: a year costs ten months.
TERMS = {Term.MONTHLY: 100, Term.QUARTERLY: 285, Term.YEARLY: 1000}


def seed_catalog(*, at: datetime) -> list[Product]:
    """Every game with its plans, prices and add-ons; rows that exist keep what staff made of them."""
    with tenancy.as_worker():
        products = [_product(game, position, at) for position, game in enumerate(GAMES)]
        for position, extra in enumerate(EXTRAS):
            _addon(extra, position, products, at)
    return products


def _product(game: Game, position: int, at: datetime) -> Product:
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
    for gib in game.sizes:
        _plan(product, game, gib, at)
    return product


def _plan(product: Product, game: Game, gib: int, at: datetime) -> None:
    plan, is_new = Plan.objects.get_or_create(
        code=f"{game.prefix}-{gib}gb",
        defaults={
            "product": product,
            "name": f"{gib} GB",
            "cpu_percent": max(100, game.cpu_percent_per_gib * gib),
            "memory_mib": gib * 1024,
            "disk_mib": gib * game.disk_gib_per_gib * 1024,
            "databases": 1 if gib < 4 else 2,
            "backups": 1 if gib < 4 else 3,
            "position": gib,
        },
    )
    if is_new:
        for term, percent in TERMS.items():
            amount = Money(game.cents_per_gib * gib * percent // 100, CURRENCY)
            services.offer_plan_price(plan=plan, term=term, amount=amount, actor="seed", at=at)


def _addon(extra: Extra, position: int, products: list[Product], at: datetime) -> None:
    addon, is_new = Addon.objects.get_or_create(
        code=extra.code,
        defaults={
            "name": extra.name,
            "description": extra.description,
            "kind": extra.kind,
            "quantity": extra.quantity,
            "position": position,
        },
    )
    if is_new:
        addon.products.set(products)
        for term, percent in TERMS.items():
            amount = Money(extra.cents * percent // 100, CURRENCY)
            services.offer_addon_price(addon=addon, term=term, amount=amount, actor="seed", at=at)
