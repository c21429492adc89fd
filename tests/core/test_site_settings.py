"""Site settings: a typed registry, values in force, and the brand colour as a stylesheet."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction
from django.template import engines
from django.test import Client, RequestFactory

from core import context_processors, site_settings, tenancy, views
from core.models import AuditEntry, Setting, SettingType
from core.site_settings import Definition

pytestmark = pytest.mark.django_db


class Clock:
    """Monotonic seconds that only a test changes."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    stopped = Clock()
    monkeypatch.setattr(site_settings, "_cache", site_settings.SettingsCache(stopped))
    return stopped


@pytest.fixture(autouse=True)
def _own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_settings, "_definitions", dict(site_settings._definitions))
    for definition in (
        Definition("test.days", SettingType.INTEGER, 7, "Test", "", min=1, max=60),
        Definition("test.is_open", SettingType.BOOLEAN, True, "Test", ""),
        Definition("test.rate", SettingType.DECIMAL, Decimal("0.5"), "Test", "", min=0, max=1),
        Definition("test.mode", SettingType.CHOICE, "a", "Test", "", choices=("a", "b")),
        Definition("test.grace", SettingType.DURATION, timedelta(days=3), "Test", "", min=timedelta(hours=1)),
        Definition("test.note", SettingType.TEXT, "", "Test", ""),
    ):
        site_settings.register(definition)


def test_without_a_stored_value_the_default_is_in_force() -> None:
    assert site_settings.get("shop.name") == "NodeByte"
    assert site_settings.get("test.grace") == timedelta(days=3)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shop.name", "Blöcke & Söhne"),
        ("shop.brand_hue", 0),
        ("test.days", 60),
        ("test.is_open", False),
        ("test.rate", Decimal("0.25")),
        ("test.mode", "b"),
        ("test.grace", timedelta(hours=36)),
        ("test.note", "two\nlines"),
        ("shop.terms_url", "https://example.com/terms"),
        ("shop.support_email", "help@example.com"),
    ],
)
def test_a_value_comes_back_in_its_type(key: str, value: Any) -> None:
    assert site_settings.set_value(key, value) == value
    site_settings.clear_cache()
    assert site_settings.get(key) == value
    assert type(site_settings.get(key)) is type(value)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("shop.name", 5),
        ("shop.name", "x" * 81),
        ("shop.name", "a\x00b"),
        ("shop.name", "a\nb"),
        ("shop.name", "a\u202eb"),
        ("shop.brand_hue", 361),
        ("shop.brand_hue", -1),
        ("shop.brand_hue", "264"),
        ("shop.brand_hue", True),
        ("shop.brand_hue", 264.0),
        ("shop.currency", "usd"),
        ("shop.currency", "１２３"),
        ("shop.terms_url", "javascript:alert(1)"),
        ("shop.support_email", "nobody"),
        ("test.days", 0),
        ("test.days", 2**63),
        ("test.rate", Decimal("NaN")),
        ("test.rate", 0.5),
        ("test.mode", "c"),
        ("test.is_open", 1),
        ("test.grace", timedelta(0)),
        ("test.grace", 5),
    ],
)
def test_wrong_types_and_values_out_of_bounds_are_refused(key: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        site_settings.set_value(key, value)
    assert not Setting.objects.exists()


def test_unknown_keys_are_refused() -> None:
    with pytest.raises(ValidationError):
        site_settings.get("shop.nmae")
    with pytest.raises(ValidationError):
        site_settings.set_value("shop.nmae", "x")


@pytest.mark.parametrize("empty", [None, "", "   "])
def test_an_empty_value_means_the_default_and_never_zero(empty: str | None) -> None:
    site_settings.set_value("test.days", 3)
    assert site_settings.set_value("test.days", empty) == 7


@pytest.mark.parametrize("stored", ["", 0, -5, "7", None, [], {"a": 1}, 10**30])
def test_a_stored_value_that_is_no_longer_valid_means_the_default(stored: Any) -> None:
    Setting.objects.create(key="test.days", type="integer", category="Test", value=stored)
    Setting.objects.create(key="test.grace", type="duration", category="Test", value=stored)
    assert site_settings.get("test.days") == 7
    assert site_settings.get("test.grace") == timedelta(days=3)


@pytest.mark.parametrize("stored", ["", "  ", None, 5])
def test_a_stored_empty_text_means_the_default(stored: Any) -> None:
    Setting.objects.create(key="shop.name", type="string", category="Shop", value=stored)
    assert site_settings.get("shop.name") == "NodeByte"


def test_a_change_is_audited_once_and_an_unchanged_value_is_not() -> None:
    site_settings.set_value("shop.name", "A", actor="setup")
    site_settings.set_value("shop.name", "A", actor="setup")
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.entity_id, entry.actor_label) == ("setting.set", "shop.name", "setup")
    assert (entry.old, entry.new) == ({"value": None}, {"value": "A"})


def test_reading_again_costs_no_query_until_another_process_may_have_changed_it(
    clock: Clock, django_assert_num_queries: Any
) -> None:
    site_settings.get("shop.name")
    with django_assert_num_queries(0):
        site_settings.get("shop.name")
        site_settings.public()
    Setting.objects.create(key="shop.name", type="string", category="Shop", value="Elsewhere")
    assert site_settings.get("shop.name") == "NodeByte"
    clock.now += site_settings.MAX_AGE_SECONDS + 1
    assert site_settings.get("shop.name") == "Elsewhere"


@pytest.mark.usefixtures("clock")
def test_a_change_that_is_rolled_back_is_not_cached() -> None:
    assert site_settings.get("shop.name") == "NodeByte"
    with transaction.atomic():
        assert site_settings.set_value("shop.name", "Undone") == "Undone"
        transaction.set_rollback(True)
    assert site_settings.get("shop.name") == "NodeByte"


def test_a_customers_request_reads_settings() -> None:
    site_settings.set_value("shop.name", "A")
    site_settings.clear_cache()
    with tenancy.as_role(role=tenancy.CUSTOMER):
        assert site_settings.get("shop.name") == "A"


def test_a_key_is_registered_once_and_with_a_valid_default() -> None:
    site_settings.register(Definition("test.days", SettingType.INTEGER, 7, "Test", "", min=1, max=60))
    with pytest.raises(ValueError, match="twice"):
        site_settings.register(Definition("test.days", SettingType.INTEGER, 8, "Test", ""))
    with pytest.raises(ValueError, match="default"):
        site_settings.register(Definition("test.zero", SettingType.INTEGER, 0, "Test", "", min=1))


def test_templates_see_public_settings_only(django_assert_num_queries: Any) -> None:
    site_settings.set_value("shop.name", "<b>A</b>")
    site_settings.clear_cache()
    context = context_processors.site(RequestFactory().get("/"))
    template = engines["django"].from_string("{{ site.shop_name }}|{{ site.currency }}|{{ site.test_days }}")
    with django_assert_num_queries(1):
        assert template.render(context) == "&lt;b&gt;A&lt;/b&gt;|USD|"


def test_the_stylesheet_is_cached_for_long_only_under_its_version() -> None:
    site_settings.set_value("shop.brand_hue", 30)
    site = context_processors.site(RequestFactory().get("/"))["site"]
    versioned = views.stylesheet(RequestFactory().get(site.stylesheet_url))
    outdated = views.stylesheet(RequestFactory().get("/shop.css?hue=30&v=old"))

    assert versioned.content.endswith(b":root{--brand-h:30}\n")
    assert versioned["Content-Type"].startswith("text/css")
    assert "immutable" in versioned["Cache-Control"]
    assert "immutable" not in outdated["Cache-Control"]


@pytest.mark.parametrize(("hue", "shown"), [("", 264), ("999", 360), ("1;}", 264), ("٣٤", 264), ("1" * 5000, 264)])
def test_the_stylesheet_takes_nothing_but_a_hue_from_its_url(client: Client, hue: str, shown: int) -> None:
    response = client.get("/shop.css", {"hue": hue})

    assert response.status_code == 200
    assert response.content.decode().endswith(f":root{{--brand-h:{shown}}}\n")
