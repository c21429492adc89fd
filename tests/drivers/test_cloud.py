"""A cloud's machines, from paid to deleted: no egg, account, port or node; sizes and addresses are the provider's."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.test import Client

from catalog import events as catalog_events
from catalog.models import Addon, AddonKind, Image
from orders import fulfilment
from orders.models import OrderItem
from orders.storefront.offers import offer_of, product_cards
from servers import builds, capacity, convergence, inventory, queries, services
from servers.capacity import Size
from servers.drivers.base import ContainerBuild
from servers.models import (
    Blueprint,
    BlueprintImage,
    Build,
    DriftFinding,
    HoldKind,
    Location,
    Node,
    PanelAccount,
    Provider,
    Server,
    ServerStatus,
    Step,
    SyncState,
)
from tests.builders import make_addon, make_addon_price, make_organization, make_price, make_user
from tests.drivers.adapters import cloud_provider
from tests.drivers.cloud import FACTS, CloudDriver
from tests.drivers.cloud_sandbox import CloudSandbox
from tests.servers.actions import run_until_quiet, steps_of
from tests.servers.builders import (
    AT,
    assign_regions,
    make_blueprint,
    make_plan,
    make_reservation,
    make_server,
    region_of,
)

SIZE = Size(memory_mib=2048, disk_mib=40960, cpu_percent=200, ports=0)
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def provider(cloud: CloudSandbox) -> Provider:
    """The cloud as a provider, synced."""
    cache.clear()
    provider = cloud_provider(cloud)
    provider.save()
    assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED
    assign_regions(provider)
    return provider


def make_machine(provider: Provider, plan_ref: str = "s-1") -> Server:
    """A paid machine of its own customer, not converged yet."""
    plan = make_plan(memory_mib=SIZE.memory_mib, disk_mib=SIZE.disk_mib, ports=0)
    blueprint = make_blueprint(provider, plan, plan_ref=plan_ref, image="debian-13")
    return make_server(provider, plan=plan, blueprint=blueprint, size=SIZE)


def make_running_machine(provider: Provider) -> Server:
    """A machine that convergence has brought to running."""
    server = make_machine(provider)
    run_until_quiet(AT)
    server = server.reload()
    assert server.status == ServerStatus.RUNNING, server.failure
    return server


def test_two_customers_get_a_running_machine_each_with_the_clouds_addresses(
    cloud: CloudSandbox, provider: Provider
) -> None:
    servers = [make_machine(provider) for _ in range(2)]

    run_until_quiet(AT)

    assert len(cloud.machines) == 2
    for server in servers:
        server = server.reload()
        assert (server.status, server.failure) == (ServerStatus.RUNNING, "")
        machine = cloud.machines[int(server.ref)]
        assert (machine["plan"], machine["region"], machine["tags"][0]) == ("s-1", "fra", str(server.pk))
        assert (server.address, server.port) == (machine["addresses"][0], None)
        assert steps_of(server) == [Step.PLACED, Step.CREATED, Step.INSTALLED, Step.RUNNING]
    assert not PanelAccount.objects.exists()


def test_a_machine_without_differences_is_only_looked_at(cloud: CloudSandbox, provider: Provider) -> None:
    server = make_running_machine(provider)
    before = len(cloud.requests)

    assert convergence.converge(server_id=server.pk, at=AT) is None

    assert cloud.requests[before:] == ["GET /v2/machines"]


def test_a_creation_whose_answer_was_lost_ends_in_one_machine(cloud: CloudSandbox, provider: Provider) -> None:
    server = make_machine(provider)
    cloud.answers_to_lose = 1

    run_until_quiet(AT)

    assert (server.reload().status, len(cloud.machines)) == (ServerStatus.RUNNING, 1)


def test_a_machine_found_off_after_its_install_is_started_and_never_erased(
    cloud: CloudSandbox, provider: Provider
) -> None:
    cloud.starts_off = True

    server = make_running_machine(provider)

    [machine] = cloud.machines.values()
    assert (machine["status"], machine["erased"], str(machine["id"])) == ("active", 0, server.ref)


def test_a_machine_found_off_is_not_erased_where_its_install_should_have_started_it(
    cloud: CloudSandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CloudDriver, "facts", replace(FACTS, install_starts_server=True))
    cloud.starts_off = True

    make_running_machine(provider)

    assert [machine["erased"] for machine in cloud.machines.values()] == [0]


def test_an_install_that_a_suspension_hid_is_repeated_only_when_a_person_asks(
    cloud: CloudSandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CloudDriver, "facts", replace(FACTS, suspension_hides_install=True))
    cloud.looks_to_install = 1000
    server = make_machine(provider)
    run_until_quiet(AT, within=timedelta(seconds=5))
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
    run_until_quiet(AT, within=timedelta(seconds=30))
    [machine] = cloud.machines.values()
    machine["looks"], cloud.looks_to_install = 0, 1

    services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=AT)
    run_until_quiet(AT)
    assert (server.reload().status, machine["erased"]) == (ServerStatus.FAILED, 0)
    services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, machine["erased"]) == (ServerStatus.RUNNING, 1)


def test_a_suspension_during_the_install_does_not_erase_the_machine(cloud: CloudSandbox, provider: Provider) -> None:
    cloud.looks_to_install = 1000
    server = make_machine(provider)
    run_until_quiet(AT, within=timedelta(seconds=5))
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
    run_until_quiet(AT, within=timedelta(seconds=30))
    [machine] = cloud.machines.values()
    assert (server.reload().status, machine["suspended"]) == (ServerStatus.SUSPENDED, True)

    machine["looks"] = 0
    services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, machine["status"], machine["erased"]) == (ServerStatus.RUNNING, "active", 0)


def test_a_failed_install_is_repeated_only_when_a_person_asks(cloud: CloudSandbox, provider: Provider) -> None:
    server = make_machine(provider)
    cloud.looks_to_install = 1000
    run_until_quiet(AT, within=timedelta(seconds=5))
    [machine] = cloud.machines.values()
    machine["status"] = "error"
    run_until_quiet(AT)
    assert (server.reload().status, machine["erased"]) == (ServerStatus.FAILED, 0)

    cloud.looks_to_install = 1
    services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, machine["erased"]) == (ServerStatus.RUNNING, 1)


def test_a_machine_keeps_the_size_that_was_sold_whatever_its_blueprint_says_later(
    cloud: CloudSandbox, provider: Provider
) -> None:
    server, unbuilt = make_running_machine(provider), make_machine(provider)
    Blueprint.objects.update(plan_ref="s-2")

    services.request_convergence(server_ids=[server.pk, unbuilt.pk], at=AT)
    run_until_quiet(AT)

    assert [machine["plan"] for machine in cloud.machines.values()] == ["s-1", "s-1"]
    assert steps_of(server)[-1] == Step.RUNNING


def test_another_size_of_the_server_is_a_resize_at_the_cloud(cloud: CloudSandbox, provider: Provider) -> None:
    server = make_running_machine(provider)
    Server.objects.filter(pk=server.pk).update(plan_ref="s-2")

    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    assert cloud.machines[int(server.ref)]["plan"] == "s-2"
    assert steps_of(server)[-1] == Step.RESIZED


def test_a_deleted_machine_leaves_the_cloud_and_its_place(cloud: CloudSandbox, provider: Provider) -> None:
    server = make_running_machine(provider)

    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, cloud.machines) == (ServerStatus.DELETED, {})
    assert not Node.objects.exclude(servers_reserved=0, memory_reserved_mib=0).exists()


def test_an_add_on_that_cannot_reach_a_machine_is_neither_offered_nor_sold(provider: Provider) -> None:
    plan = make_plan(memory_mib=SIZE.memory_mib, disk_mib=SIZE.disk_mib, ports=0)
    blueprint = make_blueprint(provider, plan, name="Machines", plan_ref="s-1")
    location = Location.objects.get(provider=provider, code="fra")
    more = replace(SIZE, memory_mib=2 * SIZE.memory_mib)
    addon = make_addon_price(make_addon(plan.product, kind=AddonKind.MEMORY)).addon
    make_price(plan)

    assert [price.plan for price in offer_of(plan.product, "USD").prices] == [plan]
    assert offer_of(plan.product, "USD").addon_prices == []
    with pytest.raises(ValidationError, match="the servers of Machines cannot have this add-on"):
        catalog_events.addon_entered.send(Addon, kind=addon.kind, products=[plan.product])
    with pytest.raises(capacity.InsufficientCapacity, match="Machines – such a server cannot be built from it"):
        make_reservation(blueprint, location, more, addons={addon.kind})
    assert make_reservation(blueprint, location, SIZE).blueprint == blueprint


@pytest.mark.parametrize("field", ["ports", "databases", "backups"])
def test_a_plan_with_what_a_machine_does_not_get_is_refused_and_not_sold(provider: Provider, field: str) -> None:
    plan = make_plan(**{"ports": 0, field: 1})
    make_blueprint(provider, plan, name="Machines", plan_ref="s-1")
    make_price(plan)

    assert offer_of(plan.product, "USD").prices == []
    assert [(card.plan_count, card.price) for card in product_cards("USD")] == [(0, None)]
    with pytest.raises(ValidationError) as refused:
        plan.full_clean()
    assert refused.value.message_dict == {field: [f"Machines: Servers built this way have no {field}. Enter 0."]}


def test_an_elastic_node_sells_every_size_up_to_its_greatest_number_of_servers(provider: Provider) -> None:
    blueprint = make_blueprint(provider, plan_ref="s-1")
    location = Location.objects.get(provider=provider, code="fra")
    huge = Size(memory_mib=10_000_000, disk_mib=10_000_000, cpu_percent=100, ports=0)
    Node.objects.filter(location=location).update(max_servers=2)
    region = region_of(location)
    sold = [make_reservation(blueprint, location, huge) for _ in range(2)]

    assert not capacity.availability(sizes={"huge": huge}, blueprints={"huge": [blueprint]}).get(region.pk)
    with pytest.raises(capacity.InsufficientCapacity):
        make_reservation(blueprint, location, huge)
    capacity.release(reservation_ids=[sold[0].pk], at=AT)

    available = capacity.availability(sizes={"huge": huge}, blueprints={"huge": [blueprint]})
    assert available[region.pk] == {"huge"}
    assert make_reservation(blueprint, location, huge).ports == 0


def test_the_drivers_own_words_for_the_steps_are_shown(provider: Provider) -> None:
    steps = queries.purchase_steps(make_blueprint(provider, plan_ref="s-1").pk)

    assert steps == {"placed": "Region chosen", "created": "Machine created", "installed": "System installed"}


def test_a_later_sync_leaves_the_elastic_node_as_it_is(provider: Provider) -> None:
    make_machine(provider)

    run = inventory.sync(provider_id=provider.pk, at=AT)

    assert (run.state, DriftFinding.objects.count()) == (SyncState.COMPLETED, 0)
    assert Node.objects.filter(provider=provider, is_elastic=True).count() == 2


def test_customers_choose_among_the_images_of_a_machine_and_get_what_they_ordered(
    cloud: CloudSandbox, provider: Provider, client: Client
) -> None:
    plan = make_plan(memory_mib=SIZE.memory_mib, disk_mib=SIZE.disk_mib, ports=0)
    blueprint = make_blueprint(provider, plan, plan_ref="s-1", image="debian-13")
    for code in ("debian", "ubuntu", "unknown-there"):
        Image.objects.create(code=code, name=code.title()).plans.set([plan])
    for image in Image.objects.exclude(code="unknown-there"):
        BlueprintImage.objects.create(blueprint=blueprint, image=image, ref=f"{image.code}-x64")
    make_price(plan)
    customer = make_user()
    make_organization(customer)
    client.force_login(customer)
    url = f"/products/{plan.product.slug}/configure/"
    page = client.get(url)
    form = page.context["form"]
    assert form.fields["image"].choices == [("debian", "Debian"), ("ubuntu", "Ubuntu")]
    sent = {
        **{name: value for name, value in form.initial.items() if name != "addons" and value},
        "server_name": "Castle",
        "shown_prices": page.context["shown_prices"],
    }
    for wrong in ("", "unknown-there"):
        assert client.post(url, sent | {"image": wrong}).context["form"].errors.keys() == {"image"}

    client.post(url, sent | {"image": "ubuntu"})

    item = OrderItem.objects.get()
    assert (str(item.image), item.build) == ("Ubuntu", {"image": "ubuntu-x64", "user_data": ""})
    BlueprintImage.objects.update(ref="renamed")
    Blueprint.objects.update(image="debian-14", user_data="#!/bin/sh")
    fulfilment.start_orders(order_ids=[item.order_id], at=AT)
    run_until_quiet(AT)
    assert [machine["image"] for machine in cloud.machines.values()] == ["ubuntu-x64"]


def test_a_container_keeps_the_image_and_the_environment_that_it_was_sold_with(provider: Provider) -> None:
    plan = make_plan(memory_mib=SIZE.memory_mib, disk_mib=SIZE.disk_mib, ports=0)
    parts = {"build": Build.CONTAINER, "egg": None, "image": "redis:7", "environment": {"KEY": "{{secret}}", "A": "1"}}
    server = make_server(provider, plan=plan, size=SIZE, blueprint=make_blueprint(provider, plan, **parts))
    sold = builds.fixed_build(server)

    Blueprint.objects.update(image="redis:8", environment={"A": "2"})

    now = builds.fixed_build(Server.objects.select_related("blueprint").get(pk=server.pk))
    assert isinstance(now, ContainerBuild)
    assert now == sold
    assert (now.image, now.environment["A"], len(now.environment["KEY"])) == ("redis:7", "1", builds.SECRET_LENGTH)
