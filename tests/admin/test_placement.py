"""What staff read about where servers are placed, and about what cannot be sold."""

import pytest
from django.test import Client
from django.urls import reverse

from servers.models import Blueprint, Location
from tests.servers.builders import make_blueprint, make_location, make_node, make_plan, make_provider, make_server

pytestmark = pytest.mark.django_db


def test_the_start_page_names_a_location_without_a_region(superadmin: Client) -> None:
    location = make_location(make_provider(name="Panel One"))
    Location.objects.filter(pk=location.pk).update(region=None, name="Frankfurt 3")

    page = superadmin.get(reverse("admin:index")).content.decode()

    assert "The location Frankfurt 3 of Panel One has no region, so nothing is sold there." in page
    assert reverse("admin:servers_location_change", args=[location.pk]) in page


def test_the_start_page_names_a_blueprint_that_cannot_be_built_and_why(superadmin: Client) -> None:
    blueprint = make_blueprint(make_provider(), name="Paper here", problem="LICENCE: This value is required.")

    page = superadmin.get(reverse("admin:index")).content.decode()

    assert "Paper here is not sold: LICENCE: This value is required." in page
    assert reverse("admin:servers_blueprint_change", args=[blueprint.pk]) in page
    Blueprint.objects.update(is_active=False)
    assert "Paper here" not in superadmin.get(reverse("admin:index")).content.decode()


def test_staff_read_on_the_servers_page_why_it_was_placed_there(superadmin: Client) -> None:
    provider, plan = make_provider(), make_plan()
    location = make_location(provider)
    full = make_node(location, memory_mib=1)
    node = make_node(location)
    server = make_server(provider, plan=plan, blueprint=make_blueprint(provider, plan, name="ours"), location=location)

    page = superadmin.get(reverse("admin:servers_server_change", args=[server.pk])).content.decode()

    assert f"ours: {node.name}" in page
    assert f"ours: {full.name} – not enough memory" in page
