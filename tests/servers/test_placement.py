"""Placement chooses among region × blueprint × node, and writes why the others were refused."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction

from catalog.models import Plan
from servers import builds, capacity, queries
from servers.capacity import InsufficientCapacity, Refusal, Size
from servers.live import node_load
from servers.models import (
    Blueprint,
    Build,
    Location,
    Node,
    Placement,
    Provider,
    Reservation,
    Step,
    UsageSample,
)
from tests.servers.builders import (
    AT,
    SMALL,
    make_blueprint,
    make_egg,
    make_location,
    make_node,
    make_plan,
    make_provider,
    make_region,
    make_server,
    make_user,
    organization_of,
)
from tests.threads import run_at_once

pytestmark = pytest.mark.django_db


def reserve(plan: Plan, code: str = "eu", size: Size = SMALL) -> Reservation:
    """Capacity for a server of the plan, at whichever provider has some."""
    return capacity.reserve(
        organization=organization_of(make_user()),
        blueprints=queries.blueprints_of_plan(plan),
        region=make_region(code),
        size=size,
        at=AT,
        expires_at=AT.replace(hour=13),
    )


def reasons(reservation: Reservation) -> dict[str, str]:
    """Why each blueprint's nodes were refused."""
    return {entry["blueprint"]: entry["reason"] for entry in reservation.refused}


def test_several_providers_serve_one_product_by_the_position_of_their_blueprints() -> None:
    plan, first, second = make_plan(), make_provider(), make_provider()
    later = make_blueprint(first, plan, name="later", position=2)
    sooner = make_blueprint(second, plan, name="sooner", position=1)
    make_node(make_location(first), memory_mib=SMALL.memory_mib)
    full = make_node(make_location(second), memory_mib=SMALL.memory_mib)

    taken = [reserve(plan), reserve(plan)]

    assert [row.blueprint for row in taken] == [sooner, later]
    assert (taken[0].node, reasons(taken[0])) == (full, {})
    assert reasons(taken[1]) == {"sooner": Refusal.MEMORY}
    assert capacity.describe(taken[1].refused) == [f"sooner: {full.name} – not enough memory"]
    with pytest.raises(InsufficientCapacity, match=r"later: .* – not enough memory"):
        reserve(plan)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"is_enabled": False}, Refusal.DISABLED),
        ({"is_draining": True}, Refusal.DRAINING),
        ({"is_in_maintenance": True}, Refusal.MAINTENANCE),
        ({"is_present": False}, Refusal.ABSENT),
        ({"memory_sellable_mib": 1}, Refusal.MEMORY),
        ({"disk_sellable_mib": 1}, Refusal.DISK),
        ({"max_servers": 0}, Refusal.SERVERS),
    ],
)
def test_a_refused_node_says_why(change: dict[str, Any], reason: Refusal) -> None:
    plan, provider = make_plan(), make_provider()
    make_blueprint(provider, plan, name="ours")
    location = make_location(provider)
    refused, taken = make_node(location), make_node(location)
    Node.objects.filter(pk=refused.pk).update(**change)

    reservation = reserve(plan)

    assert reservation.node == taken
    assert reservation.refused == [{"blueprint": "ours", "reason": reason, "count": 1, "nodes": [refused.name]}]


def test_blueprints_that_are_not_candidates_say_why() -> None:
    plan = make_plan()
    good, closed, elsewhere, empty, broken = (make_provider() for _ in range(5))
    for provider, name in ((good, "good"), (closed, "closed"), (elsewhere, "elsewhere"), (empty, "empty")):
        make_blueprint(provider, plan, name=name)
    make_blueprint(broken, plan, name="broken", problem="no egg")
    for provider in (good, closed, elsewhere, broken):
        make_node(make_location(provider))
    Provider.objects.filter(pk=closed.pk).update(is_active=False)
    Blueprint.objects.get(name="elsewhere").regions.add(make_region("us"))

    assert reasons(reserve(plan)) == {
        "closed": Refusal.PROVIDER,
        "elsewhere": Refusal.OTHER_REGIONS,
        "empty": Refusal.NO_NODE,
        "broken": Refusal.CANNOT_BUILD,
    }


def test_a_plan_with_fewer_ports_than_its_build_needs_is_refused_and_says_why() -> None:
    provider, plan = make_provider(), make_plan(ports=0)
    make_node(make_location(provider))
    make_blueprint(provider, plan, name="Paper here")
    portless = Size(SMALL.memory_mib, SMALL.disk_mib, SMALL.cpu_percent, ports=0)

    with pytest.raises(InsufficientCapacity, match="Paper here – such a server cannot be built from it"):
        reserve(plan, size=portless)
    with pytest.raises(ValidationError) as refused:
        plan.full_clean()
    assert refused.value.message_dict == {"ports": ["Paper here: At least 1 port is needed."]}
    plan.ports = 1
    plan.full_clean()


def test_a_plans_own_blueprint_replaces_its_products_at_the_same_provider_only() -> None:
    plan, first, second = make_plan(), make_provider(), make_provider()
    make_blueprint(first, plan, name="product")
    other = make_blueprint(second, plan, name="product elsewhere", position=1)
    own = Blueprint.objects.create(name="own", product=plan.product, plan=plan, provider=first, egg=make_egg(first))

    assert queries.blueprints_of_plan(plan) == [own, other]


def test_a_location_without_a_region_sells_nothing() -> None:
    plan, provider = make_plan(), make_provider()
    make_blueprint(provider, plan)
    location = make_location(provider)
    make_node(location)
    Location.objects.filter(pk=location.pk).update(region=None)

    with pytest.raises(InsufficientCapacity):
        reserve(plan)
    assert queries.regions_for_sale() == []
    assert capacity.availability(sizes={"s": SMALL}, blueprints={"s": queries.blueprints_of_plan(plan)}) == {}


@pytest.mark.parametrize(("rules", "is_sold"), [("required|string", False), ("nullable|string", True)])
def test_a_required_variable_without_a_default_stops_the_sale(rules: str, *, is_sold: bool) -> None:
    plan, provider = make_plan(), make_provider()
    make_node(make_location(provider))
    make_blueprint(provider, plan, name="Paper here", egg=make_egg(provider, rules=rules))

    builds.check_blueprints(provider.pk)

    assert ("LICENCE: This value is required." in Blueprint.objects.get().problem) is not is_sold
    assert bool(queries.regions_for_sale()) is is_sold
    if not is_sold:
        with pytest.raises(InsufficientCapacity, match="Paper here – such a server cannot be built from it"):
            reserve(plan)
        Blueprint.objects.update(environment={"LICENCE": "abc"})
        assert builds.check_blueprints(provider.pk) == []
        assert reserve(plan).blueprint.name == "Paper here"


def test_a_build_that_the_provider_cannot_make_is_not_sold() -> None:
    blueprint = make_blueprint(make_provider(), plan_ref="s-1")

    assert builds.check_blueprints(blueprint.provider_id) == [blueprint]
    assert "cannot make this build" in blueprint.reload().problem


@pytest.mark.parametrize(
    "shape",
    [
        {"build": Build.GAME},
        {"build": Build.GAME, "egg": True, "plan_ref": "s-1"},
        {"build": Build.MACHINE, "plan_ref": "s-1", "plan": True},
        {"build": Build.MACHINE, "plan_ref": "s-1", "image": "debian-13"},
        {"build": Build.MACHINE, "image": "debian-13", "plan": True},
        {"build": Build.MACHINE, "plan_ref": "s-1", "image": "debian-13", "plan": True, "volumes": ["/data"]},
        {"build": Build.CONTAINER},
        {"build": Build.CONTAINER, "image": "nginx", "user_data": "#!/bin/sh"},
        {"build": "balloon", "image": "nginx"},
    ],
    ids=str,
)
def test_the_database_refuses_a_blueprint_whose_parts_are_not_those_of_its_build(shape: dict[str, Any]) -> None:
    provider, plan = make_provider(), make_plan()
    parts = {
        "egg": make_egg(provider) if shape.get("egg") else None,
        "plan": plan if shape.get("plan") else None,
    }

    with pytest.raises(IntegrityError), transaction.atomic():
        Blueprint.objects.create(name="x", product=plan.product, provider=provider, **shape | parts)


def named(location: Location, *names: str, **fields: Any) -> list[Node]:
    """Nodes of these names, with 8, 9, 10 … GiB."""
    made = []
    for number, name in enumerate(names):
        node = make_node(location, memory_mib=8192 + 1024 * number)
        Node.objects.filter(pk=node.pk).update(name=name, **fields)
        made.append(node.reload())
    return made


@pytest.mark.parametrize(
    ("placement", "expected"),
    [(Placement.PACK, ["a", "a", "a"]), (Placement.SPREAD, ["c", "b", "c"])],
)
def test_a_provider_packs_its_nodes_or_spreads_over_them(placement: str, expected: list[str]) -> None:
    plan, provider = make_plan(), make_provider(placement=placement)
    make_blueprint(provider, plan)
    named(make_location(provider), "a", "b", "c")

    assert [str(reserve(plan).node) for _time in expected] == expected


def test_required_tags_refuse_and_preferred_tags_come_first() -> None:
    plan, provider = make_plan(), make_provider()
    make_blueprint(provider, plan, name="ours", required_tags="nvme", preferred_tags="ryzen ddr5")
    location = make_location(provider)
    named(location, "slow")
    named(location, "plain", tags="nvme")
    [fast] = named(location, "fast", tags="ddr5 nvme")
    Node.objects.filter(name="fast").update(memory_sellable_mib=20_000)  # the emptiest, so the last without its tag

    reservation = reserve(plan)

    assert reservation.node == fast
    assert reservation.refused == [{"blueprint": "ours", "reason": Refusal.TAGS, "count": 1, "nodes": ["slow"]}]
    assert reservation.choice == (
        "Node fast of 3. Not possible: 1 without the tags that the blueprint requires. "
        "1 other was possible; the fullest comes first. It has the preferred tags ddr5."
    )
    Node.objects.update(tags="")
    available = capacity.availability(sizes={"s": SMALL}, blueprints={"s": queries.blueprints_of_plan(plan)})
    assert not any(available.values())


def test_what_is_measured_now_makes_a_node_the_last_choice_and_old_figures_do_not() -> None:
    plan, provider = make_plan(), make_provider()
    blueprint = make_blueprint(provider, plan)
    location = make_location(provider)
    first, second = named(location, "a", "b", cpu_cores=2)
    server = make_server(provider, plan=plan, blueprint=blueprint, location=location)
    assert server.node == first
    sample = {"power_state": "running", "memory_mib": 10, "disk_mib": 1, "received_bytes": 0, "sent_bytes": 0}
    owned = {"organization": server.organization, "server": server, "uptime_seconds": 1}

    def measured(cpu_percent: int, minute: int) -> int:
        at = AT + timedelta(minutes=minute)
        UsageSample.objects.create(at=at, cpu_percent=cpu_percent, **sample, **owned)
        return node_load.measure(at=at)

    assert measured(169, 0) == 0
    assert measured(170, 1) == 1
    assert measured(171, 2) == 0  # written only when it changes
    reservation = reserve(plan)
    assert reservation.node == second
    assert reservation.choice.endswith("1 other was possible; the fullest comes first. 1 is busy and comes last.")
    Node.objects.filter(pk=second.pk).update(is_enabled=False)
    assert reserve(plan).node == first  # rather than none
    Node.objects.update(is_enabled=True)
    assert node_load.measure(at=AT + timedelta(minutes=18)) == 1
    assert reserve(plan).node == first
    UsageSample.objects.update(cpu_percent=1, memory_mib=8000)
    assert node_load.measure(at=AT + timedelta(minutes=3)) == 1
    assert first.reload().busy_at == AT + timedelta(minutes=3)


def test_the_provisioning_log_says_why_a_node_was_chosen() -> None:
    plan, provider = make_plan(), make_provider()
    blueprint = make_blueprint(provider, plan)
    location = make_location(provider)
    named(location, "fra-1", is_draining=True)
    named(location, "fra-2", "fra-3")
    make_node(location, memory_mib=1)

    server = make_server(provider, plan=plan, blueprint=blueprint, location=location)

    assert server.steps.get(step=Step.PLACED).note == (
        "Node fra-2 of 4. Not possible: 1 draining, 1 not enough memory. 1 other was possible; the fullest comes first."
    )


@pytest.mark.django_db(transaction=True)
def test_many_who_order_at_once_are_spread_and_none_is_oversold() -> None:
    plan, provider = make_plan(), make_provider(placement=Placement.SPREAD)
    make_blueprint(provider, plan)
    location = make_location(provider)
    nodes = [make_node(location, memory_mib=3 * SMALL.memory_mib) for _number in range(2)]

    errors = run_at_once(partial(reserve, plan), times=8)

    assert [type(error) for error in errors] == [InsufficientCapacity] * 2
    assert [node.reload().memory_reserved_mib for node in nodes] == [3 * SMALL.memory_mib] * 2
