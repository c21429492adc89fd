"""Plain functions that make the rows tests begin with; what a test cares about it passes in."""

from datetime import UTC, datetime
from itertools import count
from typing import Any, cast

from allauth.account.models import EmailAddress

from accounts import services as accounts
from accounts.models import Organization, User, UserStatus
from catalog import services as catalog
from catalog.models import Addon, AddonKind, AddonPrice, Kind, Plan, PlanPrice, Product, Term
from core.money import Money

PASSWORD = "correct horse battery staple"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
_numbers = count(1)


def make_user(email: str = "", *, password: str | None = PASSWORD, is_verified: bool = True, **fields: Any) -> User:
    """A user with a personal organization, signed up and confirmed by default."""
    address = email or f"user{next(_numbers)}@example.com"
    status = UserStatus.ACTIVE if is_verified else UserStatus.PENDING_VERIFICATION
    user = User.objects.create_user(address, password, **{"status": status, **fields})
    EmailAddress.objects.create(user=user, email=user.email, verified=is_verified, primary=True)
    accounts.ensure_personal_organization(user=user)
    return user


def make_staff(email: str = "", **fields: Any) -> User:
    """A member of staff without any right of their own."""
    return make_user(email, is_staff=True, **fields)


def make_organization(owner: User | None = None) -> Organization:
    """The personal organization of a new user, or of the owner given."""
    return (owner or make_user()).owned_organizations.get(is_personal=True)


def make_product(**fields: Any) -> Product:
    """A game that is for sale."""
    number = next(_numbers)
    return Product.objects.create(**{"kind": Kind.GAME, "slug": f"game-{number}", "name": f"Game {number}", **fields})


def make_plan(product: Product | None = None, **fields: Any) -> Plan:
    """A plan of the product: one core, 1 GB of memory, 5 GB of disk."""
    sizes = {"cpu_percent": 100, "memory_mib": 1024, "disk_mib": 5120}
    named = {"code": f"plan-{next(_numbers)}", "name": "1 GB"}
    return Plan.objects.create(product=product or make_product(), **(sizes | named | fields))


def make_price(plan: Plan | None = None, *, minor: int = 800, currency: str = "USD", **fields: Any) -> PlanPrice:
    """The plan's current monthly price."""
    offer: dict[str, Any] = {"term": Term.MONTHLY, "actor": "test", "at": NOON} | fields
    price = catalog.offer_price(item=plan or make_plan(), amount=Money(minor, currency), **offer)
    return cast("PlanPrice", price)


def make_addon(product: Product | None = None, **fields: Any) -> Addon:
    """One more GB of memory, for the product if one is given."""
    named = {"code": f"addon-{next(_numbers)}", "name": "1 GB more", "kind": AddonKind.MEMORY, "quantity": 1024}
    addon = Addon.objects.create(**(named | fields))
    if product is not None:
        addon.products.add(product)
    return addon


def make_addon_price(
    addon: Addon | None = None, *, minor: int = 250, currency: str = "USD", **fields: Any
) -> AddonPrice:
    """The add-on's current monthly price."""
    offer: dict[str, Any] = {"term": Term.MONTHLY, "actor": "test", "at": NOON} | fields
    price = catalog.offer_price(item=addon or make_addon(), amount=Money(minor, currency), **offer)
    return cast("AddonPrice", price)
