"""A new shop: `manage.py setup`, and the list of what is left to do on the staff start page."""

import io
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts import permissions
from accounts.models import User
from billing.models import GatewayAccount
from catalog.models import PlanPrice, Product
from core import site_settings
from nodebyte import setup_steps
from orders.models import Order
from sandbox.client import Sandbox
from servers.models import Blueprint, Node, Provider
from tests.builders import make_plan, make_price, make_user
from tests.shop import make_shop, place_order

pytestmark = pytest.mark.django_db

FLAGS = ("--shop-name", "Lantern Hosting", "--currency", "EUR", "--staff-email", "owner@lantern.example")


def set_up(*arguments: str) -> str:
    """What the command prints, where nobody answers."""
    output = io.StringIO()
    call_command("setup", *arguments, "--no-input", stdout=output, stderr=output)
    return output.getvalue()


def test_flags_name_the_shop_and_make_a_staff_login_without_any_product() -> None:
    output = set_up(*FLAGS)

    assert site_settings.get("shop.name") == "Lantern Hosting"
    assert site_settings.get("shop.currency") == "EUR"
    staff = User.objects.get(email="owner@lantern.example")
    password = re.search(r"password: (\S+)", output)
    assert password
    assert staff.check_password(password[1])
    assert staff.groups.get().name == permissions.SUPERADMIN
    assert not Product.objects.exists()


def test_the_sample_catalog_has_prices_in_the_shops_currency() -> None:
    set_up(*FLAGS, "--sample-catalog")

    assert Product.objects.count() == 11
    assert set(PlanPrice.objects.values_list("currency", flat=True)) == {"EUR"}


def test_what_no_flag_gives_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"Name": "Asked", "Currency": "", "E-mail": "a@shop.example", "Sample": "n", "Address": ""}
    asked: list[str] = []

    def answer(question: str) -> str:
        asked.append(question)
        return next(text for word, text in answers.items() if question.startswith(word))

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", answer)

    call_command("setup", stdout=io.StringIO())

    assert len(asked) == 5
    assert site_settings.get("shop.name") == "Asked"
    assert site_settings.get("shop.currency") == "USD"
    assert User.objects.filter(email="a@shop.example", is_staff=True).exists()


def test_a_second_run_keeps_what_exists() -> None:
    set_up(*FLAGS)
    before = User.objects.get(email="owner@lantern.example").password

    output = set_up("--staff-email", "owner@lantern.example")

    assert "has an account already" in output
    assert User.objects.get(email="owner@lantern.example").password == before
    assert site_settings.get("shop.name") == "Lantern Hosting"


def test_a_customers_address_gets_no_rights() -> None:
    customer = make_user("owner@lantern.example")

    output = set_up(*FLAGS)

    customer.refresh_from_db()
    assert not customer.is_staff
    assert "run this again with --staff-email" in output


@pytest.mark.parametrize("wrong", [("--currency", "euro"), ("--staff-email", "nobody")])
def test_a_wrong_answer_changes_nothing(wrong: tuple[str, str]) -> None:
    with pytest.raises(CommandError):
        set_up("--shop-name", "Lantern", *wrong, "--sample-catalog")

    site_settings.clear_cache()
    assert site_settings.get("shop.name") == "NodeByte"
    assert not User.objects.exists()
    assert not Product.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_panel_is_connected_with_the_keys_from_the_environment(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sandbox.panel_keys()
    monkeypatch.setenv("PANEL_APPLICATION_KEY", keys["application"])
    monkeypatch.setenv("PANEL_CLIENT_KEY", keys["client"])

    set_up(*FLAGS, "--panel-url", keys["url"])

    assert Provider.objects.get().base_url == keys["url"]
    assert Node.objects.exists()


# -- the list on the start page ----------------------------------------------------------------------------------------


def done() -> dict[str, bool]:
    """The labels of the steps, and whether each is done."""
    site_settings.clear_cache()
    return {str(step.label): step.is_done for step in setup_steps.setup_steps(timezone.now())}


@pytest.mark.django_db(transaction=True)
def test_each_step_ticks_itself_and_the_first_sale_ends_the_list(stripe_sandbox: Any) -> None:
    assert {label for label, is_done in done().items() if is_done} <= {"Take payments", "Send e-mails (EMAIL_URL)"}
    site_settings.set_value("shop.name", "Lantern", actor="test")
    site_settings.set_value("shop.terms_url", "https://lantern.example/terms", actor="test")
    site_settings.set_value("shop.support_email", "help@lantern.example", actor="test")
    ticked = {"Name the shop", "Link your terms", "Say where customers can write"}
    assert {label for label, is_done in done().items() if is_done} >= ticked

    shop = make_shop(stripe_sandbox)

    assert [label for label, is_done in done().items() if not is_done] == ["Make the first sale"]
    order = place_order(shop)
    assert done()
    Order.objects.filter(pk=order.pk).update(paid_at=timezone.now())
    assert done() == {}


def test_emails_that_are_only_printed_are_not_sent(settings: Any) -> None:
    for backend, is_done in [("django.core.mail.backends.console", False), ("django.core.mail.backends.smtp", True)]:
        settings.MAILERS = settings.MAILERS | {"delivery": {"BACKEND": f"{backend}.EmailBackend"}}
        assert done()["Send e-mails (EMAIL_URL)"] == is_done


def test_payments_are_not_taken_by_an_account_without_keys(settings: Any) -> None:
    assert done()["Take payments"]
    settings.STRIPE_SECRET_KEY = settings.STRIPE_WEBHOOK_SECRET = ""
    assert not done()["Take payments"]
    GatewayAccount.objects.all().delete()
    assert not done()["Take payments"]


def test_a_plan_priced_in_another_currency_is_not_for_sale() -> None:
    make_price(make_plan(), currency="EUR")
    assert not done()["Offer a product with a plan and a price"]
    assert not Blueprint.objects.exists()
    make_price(make_plan(), currency="USD")
    assert done()["Offer a product with a plan and a price"]


@pytest.mark.parametrize(("role", "is_shown"), [(permissions.SUPERADMIN, True), (permissions.SUPPORT, False)])
def test_the_start_page_shows_the_list_to_who_may_change_settings(
    staff: Callable[[str], Client], role: str, is_shown: bool
) -> None:
    page = staff(role).get(reverse("admin:index")).content.decode()

    assert ("Set up your shop" in page) == is_shown
