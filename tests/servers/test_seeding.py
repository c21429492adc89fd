"""`manage.py seed` with a panel: which egg each game is, shown before anything is sold."""

from io import StringIO

import pytest
from django.core.management import call_command

from nodebyte.seeding import panel
from sandbox.client import Sandbox
from servers import queries
from servers.models import Blueprint, Egg, Location, Nest, Provider
from tests.servers.builders import assign_regions, make_provider

pytestmark = pytest.mark.django_db


def make_egg(provider: Provider, nest: str, number: str, name: str, author: str = "somebody@example.com") -> Egg:
    """An egg of the panel."""
    row = Nest.objects.get_or_create(provider=provider, name=nest, defaults={"ref": nest})[0]
    return Egg.objects.create(nest=row, ref=number, name=name, author=author, first_image="i", startup="s")


def matched(provider: Provider) -> dict[str, str]:
    """The eggs of the games that have one, by their numbers."""
    return {match.game.slug: match.egg.ref for match in panel.match_eggs(provider) if match.egg}


def test_eggs_are_matched_by_nest_or_author_and_name_and_never_by_number() -> None:
    provider = make_provider()
    make_egg(provider, "Rust", "14", "Rust")  # the number that ARK has elsewhere
    make_egg(provider, "Survival", "16", "Ark: Survival Evolved", "dev@shepper.fr")
    make_egg(provider, "Survival", "39", "Terraria Vanilla", "a-stranger@example.com")
    make_egg(make_provider(), "Minecraft", "1", "Paper")

    assert matched(provider) == {"rust": "14", "ark": "16"}


def test_of_two_eggs_that_a_game_may_be_none_is_chosen() -> None:
    provider = make_provider()
    make_egg(provider, "Minecraft", "3", "Paper")
    make_egg(provider, "Old", "90", "Paper", "parker@pterodactyl.io")

    found = next(match for match in panel.match_eggs(provider) if match.game.slug == "minecraft")

    assert (found.egg, {egg.ref for egg in found.eggs}) == (None, {"3", "90"})
    assert panel.seed_blueprints(provider, [found], is_accepted=True) == []
    assert not Blueprint.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_seed_shows_the_match_and_sells_nothing_until_it_is_accepted(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = sandbox.panel_keys()
    monkeypatch.setenv("PANEL_APPLICATION_KEY", keys["application"])
    monkeypatch.setenv("PANEL_CLIENT_KEY", keys["client"])

    def seed(*options: str) -> str:
        shown = StringIO()
        call_command("seed", "--panel-url", keys["url"], *options, stdout=shown)
        return shown.getvalue()

    first = seed()
    assert "egg: minecraft is Minecraft / Minecraft Paper by eggs@nodebyte.test (number 39)" in first
    assert "Nothing is sold yet." in first
    assert "location eu has no region" in first
    assert not Blueprint.objects.filter(is_active=True).exists()

    assert "Nothing is sold yet." not in seed("--accept-eggs")
    assert Blueprint.objects.filter(is_active=True).count() == Blueprint.objects.count() == 11
    assert not Blueprint.objects.exclude(problem="").exists()
    assert queries.regions_for_sale() == []
    assign_regions(Provider.objects.get())
    assert {region.code for region in queries.regions_for_sale()} == set(
        Location.objects.values_list("code", flat=True)
    )
