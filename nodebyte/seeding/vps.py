"""The VPS catalog in rupiah: plans, images and coupons, and its first users. Safe to run again.

Existing rows keep what staff changed; prices are set only for new plans.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from accounts import permissions
from catalog import services
from catalog.models import Coupon, Image, Kind, Plan, Product, Term
from core import tenancy
from core.formats import MIB_PER_GB
from core.money import Money
from nodebyte.seeding import users

CURRENCY = "IDR"


@dataclass(frozen=True)
class VpsSeed:
    """A plan: cores, GB of memory and disk, and whole rupiah a month."""

    code: str
    name: str
    cores: int
    memory_gb: int
    disk_gb: int
    rupiah: int


PLANS = (
    VpsSeed("vps-basic", "Basic", 1, 1, 25, 50_000),
    VpsSeed("vps-standard", "Standard", 2, 2, 50, 100_000),
    VpsSeed("vps-pro", "Pro", 4, 8, 160, 400_000),
)
IMAGES = (
    ("ubuntu-22-04", "Ubuntu 22.04 LTS"),
    ("ubuntu-24-04", "Ubuntu 24.04 LTS"),
    ("debian-12", "Debian 12"),
    ("centos-stream-9", "CentOS Stream 9"),
)
UNLIMITED: dict[str, Any] = {"max_redemptions": None, "max_per_customer": None, "currency": CURRENCY}
COUPONS: Mapping[str, dict[str, Any]] = {
    "WELCOME10": {"percent": Decimal(10), "cap_minor": Money.parse("100000", CURRENCY).minor},
    "FLAT25K": {
        "amount_minor": Money.parse("25000", CURRENCY).minor,
        "minimum_minor": Money.parse("100000", CURRENCY).minor,
    },
}
# By email: the staff role, or none for a customer, and the variable of the environment with the password.
USERS = {
    "superadmin@webrana.cloud": (permissions.SUPERADMIN, "SUPER_ADMIN_PASSWORD"),
    "admin@webrana.cloud": (permissions.ADMIN, "ADMIN_PASSWORD"),
    "customer@webrana.cloud": (None, "CUSTOMER_PASSWORD"),
}


def seed_catalog(*, at: datetime) -> Product:
    """The product with its plans, their images, and the coupons."""
    with tenancy.as_worker():
        product, _is_new = Product.objects.get_or_create(
            slug="vps", defaults={"kind": Kind.VPS, "name": "VPS", "category": "VPS", "position": 100}
        )
        plans = [seed_plan(product, seed, position, at) for position, seed in enumerate(PLANS)]
        for position, (code, name) in enumerate(IMAGES):
            image, is_new = Image.objects.get_or_create(code=code, defaults={"name": name, "position": position})
            if is_new:
                image.plans.set(plans)
        for code, rules in COUPONS.items():
            if not Coupon.objects.filter(code__iexact=code).exists():
                Coupon.objects.create(code=code, **UNLIMITED, **rules)
    return product


def seed_plan(product: Product, seed: VpsSeed, position: int, at: datetime) -> Plan:
    """A plan with its monthly price."""
    plan, is_new = Plan.objects.get_or_create(
        code=seed.code,
        defaults={
            "product": product,
            "name": seed.name,
            "cpu_percent": 100 * seed.cores,
            "memory_mib": seed.memory_gb * MIB_PER_GB,
            "disk_mib": seed.disk_gb * MIB_PER_GB,
            "ports": 0,
            "position": position,
        },
    )
    if is_new:
        amount = Money.parse(str(seed.rupiah), CURRENCY)
        services.offer_price(item=plan, term=Term.MONTHLY, amount=amount, actor="seed", at=at)
    return plan


def seed_users(environ: Mapping[str, str], *, has_customer: bool) -> list[users.Login]:
    """Those who are missing, with their passwords from the environment, or generated ones."""
    logins = []
    for email, (role, variable) in USERS.items():
        if role is not None or has_customer:
            password = environ.get(variable)
            login = users.seed_user(email=email, password=password, staff_role=role)
            if login is not None:
                logins.append(replace(login, password=f"that of {variable}") if password else login)
    return logins
