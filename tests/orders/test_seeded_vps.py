"""`manage.py seed --vps`: the plans, images, coupons and users of the source, once however often it runs."""

from io import StringIO

import pytest
from django.core.management import call_command

from accounts.models import User
from catalog.models import Coupon, Image, Plan, PlanPrice
from core.money import Money
from orders.quote import CouponUse, quote

pytestmark = pytest.mark.django_db


def seed() -> str:
    shown = StringIO()
    call_command("seed", "--vps", stdout=shown)
    return shown.getvalue()


def test_the_vps_catalog_is_that_of_its_source_and_seeding_again_adds_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUPER_ADMIN_PASSWORD", "from the environment 1")

    first, second = seed(), seed()

    plans = PlanPrice.objects.filter(plan__product__slug="vps").order_by("amount_minor").select_related("plan__product")
    assert [(row.plan.name, str(row.unit_price), row.term, row.plan.memory_mib) for row in plans] == [
        ("Basic", "Rp\xa050.000", "monthly", 1024),
        ("Standard", "Rp\xa0100.000", "monthly", 2048),
        ("Pro", "Rp\xa0400.000", "monthly", 8192),
    ]
    images = ["Ubuntu 22.04 LTS", "Ubuntu 24.04 LTS", "Debian 12", "CentOS Stream 9"]
    assert [str(image) for image in Image.objects.all()] == images
    assert all(image.plans.count() == 3 for image in Image.objects.all())
    pro = plans[2]
    off = {row.code: quote(plan_price=pro, coupon_use=CouponUse(row)).due_today for row in Coupon.objects.all()}
    assert off == {"WELCOME10": Money.parse("360000", "IDR"), "FLAT25K": Money.parse("375000", "IDR")}
    assert Coupon.objects.get(code="WELCOME10").cap == Money.parse("100000", "IDR")
    assert Coupon.objects.get(code="FLAT25K").minimum == Money.parse("100000", "IDR")

    found = {user.email: user for user in User.objects.filter(email__endswith="@webrana.cloud")}
    assert {email.partition("@")[0]: user.is_superuser for email, user in found.items()} == {
        "superadmin": True,
        "admin": False,
        "customer": False,
    }
    assert found["superadmin@webrana.cloud"].check_password("from the environment 1")
    assert "from the environment 1" not in first
    assert "password:" not in second
    assert Plan.objects.filter(product__slug="vps").count() == 3
