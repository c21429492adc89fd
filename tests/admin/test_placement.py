"""What staff read about where servers are placed, and about what cannot be sold."""

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from catalog.models import AddonKind, Plan
from servers import draining
from servers.drivers import registry
from servers.drivers.base import BuildFacts
from servers.models import Blueprint, Build, Location, Node
from tests.admin.action_pages import is_audited, run
from tests.admin.test_forms import filled, save
from tests.builders import make_addon, make_price
from tests.servers.builders import (
    AT,
    make_blueprint,
    make_egg,
    make_location,
    make_node,
    make_plan,
    make_provider,
    make_server,
)
from tests.servers.test_draining import LARGE, full_node

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


def test_a_plan_that_no_blueprint_can_build_is_named_on_the_start_page_and_refused_by_its_form(
    superadmin: Client,
) -> None:
    plan = make_price(make_plan(ports=0)).plan
    make_blueprint(make_provider(), plan, name="Paper here")

    page = superadmin.get(reverse("admin:index")).content.decode()
    address = reverse("admin:catalog_plan_change", args=[plan.pk])
    form = superadmin.post(address, filled(superadmin, address)).context["adminform"].form

    assert f"The plan {plan} is not sold: Paper here: At least 1 port is needed." in page
    assert f'href="{address}"' in page
    assert dict(form.errors) == {"ports": ["Paper here: At least 1 port is needed."]}
    save(superadmin, address, ports=1)
    assert plan.reload().ports == 1


def test_a_blueprint_that_cannot_build_its_plans_is_refused_by_its_form(superadmin: Client) -> None:
    plan, provider = make_plan(ports=0), make_provider()
    egg, address = make_egg(provider), reverse("admin:servers_blueprint_add")
    parts = {"name": "Paper here", "product": plan.product.pk, "provider": provider.pk, "build": Build.GAME}

    def errors(**entered: Any) -> dict[str, list[str]]:
        data = filled(superadmin, address, **parts, egg=egg.pk, **entered)
        return dict(superadmin.post(address, data).context["adminform"].form.errors)

    assert errors() == {"plan": [f"{plan}: At least 1 port is needed."]}
    Plan.objects.filter(pk=plan.pk).update(ports=1)
    make_addon(plan.product, name="Filter", kind=AddonKind.DDOS)
    assert errors() == {
        "product": ["Servers built this way cannot have the add-on Filter, which is offered with this product."]
    }


def test_a_machines_blueprint_without_a_plan_is_refused_by_its_form(
    superadmin: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, provider = make_plan(ports=0), make_provider()
    facts = replace(registry.facts()["pterodactyl"], builds={Build.MACHINE: BuildFacts()})
    monkeypatch.setattr(registry, "facts", lambda: {"pterodactyl": facts})
    address = reverse("admin:servers_blueprint_add")
    machine = {
        "build": Build.MACHINE,
        "plan_ref": "s-1",
        "image": "debian-13",
        "container_ports": "[]",
        "volumes": "[]",
    }
    data = {"name": "Machines", "product": plan.product.pk, "provider": provider.pk} | machine

    form = superadmin.post(address, filled(superadmin, address, **data)).context["adminform"].form

    assert form.errors["plan"] == ["This build needs it."]
    save(superadmin, address, **data, plan=plan.pk)
    assert Blueprint.objects.get().plan == plan


def test_an_add_on_is_refused_for_products_whose_servers_it_would_not_reach(superadmin: Client) -> None:
    plan = make_plan()
    make_blueprint(make_provider(), plan, name="Paper here")
    address = reverse("admin:catalog_addon_add")
    data = {"code": "filter", "name": "Filter", "products": [plan.product.pk], "is_active": "on"}

    data |= {"kind": AddonKind.DDOS}
    form = superadmin.post(address, filled(superadmin, address, **data)).context["adminform"].form
    assert dict(form.errors) == {"products": [f"{plan.product}: the servers of Paper here cannot have this add-on."]}
    save(superadmin, address, **data | {"kind": AddonKind.MEMORY})


def test_staff_see_the_plan_before_they_drain_and_then_how_far_it_is(superadmin: Client) -> None:
    node = full_node(LARGE, LARGE, LARGE)
    first = Node.objects.exclude(pk=node.pk).order_by("pk")[0]

    dialog = superadmin.get(reverse("admin:servers_node_drain", args=[node.pk])).content.decode()
    assert "3 servers have to leave." in dialog
    assert "No other node takes 1 of them now." in dialog
    assert "Transfer Server" in dialog
    assert first.name in dialog
    run(superadmin, node, "drain")
    draining.advance(at=AT)

    page = superadmin.get(reverse("admin:servers_node_change", args=[node.pk])).content.decode()
    assert f"{first.name} · " in page
    assert "not enough memory" in page
    assert is_audited(superadmin, "node.drain", node)
    run(superadmin, node, "cancel_drain")
    assert not node.reload().is_draining
