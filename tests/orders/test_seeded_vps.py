"""`manage.py seed --vps`: the plans, images, coupons and users of the source, once however often it runs."""

from io import StringIO

import pytest
from django.core.management import call_command

from accounts.models import User
from catalog.models import Coupon, Image, Plan, PlanPrice
from core import clock
from core.money import Money, total
from orders import coupons
from orders.quote import CouponUse, PricedItem, quote, quotes

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
    assert [
        (row.plan.name, str(row.unit_price), row.term, row.plan.cpu_percent, row.plan.memory_mib, row.plan.disk_mib)
        for row in plans
    ] == [
        ("Basic", "Rp\xa050.000", "monthly", 100, 1024, 25 * 1024),
        ("Standard", "Rp\xa0100.000", "monthly", 200, 2048, 50 * 1024),
        ("Pro", "Rp\xa0400.000", "monthly", 400, 8192, 160 * 1024),
    ]
    images = ["Ubuntu 22.04 LTS", "Ubuntu 24.04 LTS", "Debian 12", "CentOS Stream 9"]
    assert [str(image) for image in Image.objects.all()] == images
    assert all(image.plans.count() == 3 for image in Image.objects.all())
    basic, standard, pro = plans
    off = {row.code: quote(plan_price=pro, coupon_use=CouponUse(row)).due_today for row in Coupon.objects.all()}
    assert off == {"WELCOME10": Money.parse("360000", "IDR"), "FLAT25K": Money.parse("375000", "IDR")}
    welcome, flat = (CouponUse(Coupon.objects.get(code=code)) for code in ("WELCOME10", "FLAT25K"))
    refused = coupons.refusal_reason(flat, [PricedItem(basic)], clock.now())
    assert refused == "This coupon is for orders of at least Rp\xa0100.000."
    for enough in ([PricedItem(standard)], 2 * [PricedItem(basic)]):
        assert coupons.refusal_reason(flat, enough, clock.now()) == ""
    three = quotes(3 * [PricedItem(pro)], welcome)  # a tenth would be Rp 120.000
    assert total((row.due_today for row in three), "IDR") == Money.parse("1100000", "IDR")

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
