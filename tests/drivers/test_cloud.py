"""A cloud's machines, from paid to deleted: no egg, account, port or node; sizes and addresses are DigitalOcean's."""

from dataclasses import replace
from datetime import timedelta

import pytest
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.test import Client

from accounts.models import SshKey
from catalog import events as catalog_events
from catalog.models import Addon, AddonKind, Image, Kind, Product
from core import clock, site_settings, work
from orders import fulfilment
from orders.models import OrderItem
from orders.storefront.offers import offer_of, product_cards
from servers import builds, capacity, convergence, inventory, queries, services
from servers.capacity import Size
from servers.drivers.base import ContainerBuild
from servers.drivers.digitalocean import FACTS, DigitalOceanDriver
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
    UsageBucket,
    UsageSample,
    UsageTask,
)
from tests.builders import make_addon, make_addon_price, make_organization, make_price, make_user
from tests.drivers.adapters import Cloud, cloud_provider
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
def cloud(digitalocean: Cloud) -> Cloud:
    """The stand-in of DigitalOcean."""
    return digitalocean


@pytest.fixture
def provider(cloud: Cloud) -> Provider:
    """The cloud as a provider, synced."""
    cache.clear()
    provider = cloud_provider(cloud.sandbox)
    provider.save()
    assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED
    assign_regions(provider)
    return provider


def make_machine(provider: Provider, plan_ref: str = "s-1vcpu-1gb") -> Server:
    """A paid machine of its own customer, not converged yet."""
    plan = make_plan(memory_mib=SIZE.memory_mib, disk_mib=SIZE.disk_mib, ports=0)
    blueprint = make_blueprint(provider, plan, plan_ref=plan_ref, image="debian-12-x64")
    return make_server(provider, plan=plan, blueprint=blueprint, size=SIZE)


def make_running_machine(provider: Provider) -> Server:
    """A machine that convergence has brought to running."""
    server = make_machine(provider)
    run_until_quiet(AT)
    server = server.reload()
    assert server.status == ServerStatus.RUNNING, server.failure
    return server


def test_two_customers_get_a_running_machine_each_with_the_clouds_addresses(cloud: Cloud, provider: Provider) -> None:
    servers = [make_machine(provider) for _ in range(2)]

    run_until_quiet(AT)

    droplets = {str(droplet["id"]): droplet for droplet in cloud.droplets()}
    assert len(droplets) == 2
    for server in servers:
        server = server.reload()
        assert (server.status, server.failure) == (ServerStatus.RUNNING, "")
        droplet = droplets[server.ref]
        assert (droplet["size_slug"], droplet["region"]["slug"]) == ("s-1vcpu-1gb", "fra1")
        assert [*droplet["_tags"]] == [f"svc-{server.pk}", f"att-{server.pk}-1"]
        _private, public = droplet["networks"]["v4"]
        assert (server.address, server.port) == (public["ip_address"], None)
        assert steps_of(server) == [Step.PLACED, Step.CREATED, Step.INSTALLED, Step.RUNNING]
    assert not PanelAccount.objects.exists()


def test_a_machine_without_differences_is_only_looked_at(cloud: Cloud, provider: Provider) -> None:
    server = make_running_machine(provider)
    before = len(cloud.requests())

    assert convergence.converge(server_id=server.pk, at=AT) is None

    assert cloud.requests()[before:] == [f"GET /v2/droplets/{server.ref}"]


def test_a_creation_whose_answer_was_lost_ends_in_one_machine(cloud: Cloud, provider: Provider) -> None:
    server = make_machine(provider)
    cloud.lose_answer()

    run_until_quiet(AT)

    assert (server.reload().status, len(cloud.droplets())) == (ServerStatus.RUNNING, 1)


def test_a_creation_that_never_arrived_is_looked_for_several_times_before_it_is_repeated(
    cloud: Cloud, provider: Provider
) -> None:
    server = make_machine(provider)
    cloud.lose_request()

    run_until_quiet(AT)

    asked = cloud.requests()
    first, second = (number for number, request in enumerate(asked) if request == "POST /v2/droplets")
    assert asked[first:second].count("GET /v2/droplets") >= 2 * 5  # by the tag and by the name, for two minutes
    assert (server.reload().status, len(cloud.droplets())) == (ServerStatus.RUNNING, 1)


def test_a_lost_creation_that_turns_up_after_it_was_repeated_is_destroyed(cloud: Cloud, provider: Provider) -> None:
    server = make_machine(provider)
    cloud.set(list_seconds=10_000)
    cloud.lose_answer()
    run_until_quiet(AT)
    assert (server.reload().status, len(cloud.droplets())) == (ServerStatus.RUNNING, 2)

    cloud.set(list_seconds=0)
    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    assert [str(droplet["id"]) for droplet in cloud.droplets()] == [server.reload().ref]


def test_a_machine_found_off_after_its_install_is_started_and_never_erased(cloud: Cloud, provider: Provider) -> None:
    cloud.set(status_after_create="off")

    server = make_running_machine(provider)

    [droplet] = cloud.droplets()
    assert (droplet["status"], droplet["_boots"], str(droplet["id"])) == ("active", 1, server.ref)


def test_a_machine_found_off_is_not_erased_where_its_install_should_have_started_it(
    cloud: Cloud, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DigitalOceanDriver, "facts", replace(FACTS, install_starts_server=True))
    cloud.set(status_after_create="off")

    make_running_machine(provider)

    assert [droplet["_boots"] for droplet in cloud.droplets()] == [1]


def test_an_install_that_a_suspension_hid_is_repeated_only_when_a_person_asks(
    cloud: Cloud, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DigitalOceanDriver, "facts", replace(FACTS, suspension_hides_install=True))
    server = make_machine_held_while_it_is_made(cloud, provider)

    services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=AT)
    run_until_quiet(AT)
    assert (server.reload().status, cloud.droplets()[0]["_boots"]) == (ServerStatus.FAILED, 1)
    services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, [each["_boots"] for each in cloud.droplets()]) == (ServerStatus.RUNNING, [2])


def test_a_suspension_during_the_install_does_not_erase_the_machine(cloud: Cloud, provider: Provider) -> None:
    server = make_machine_held_while_it_is_made(cloud, provider)

    services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=AT)
    run_until_quiet(AT)

    [droplet] = cloud.droplets()
    assert (server.reload().status, droplet["status"], droplet["_boots"]) == (ServerStatus.RUNNING, "active", 1)


def make_machine_held_while_it_is_made(cloud: Cloud, provider: Provider) -> Server:
    """A machine that got a hold while it was created: it can be stopped once that has ended."""
    cloud.set(create_seconds=10_000)
    server = make_machine(provider)
    run_until_quiet(AT, within=timedelta(seconds=5))
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
    run_until_quiet(AT, within=timedelta(seconds=30))
    assert server.reload().status == ServerStatus.INSTALLING
    cloud.finish()
    run_until_quiet(AT)
    assert (server.reload().status, cloud.droplets()[0]["status"]) == (ServerStatus.SUSPENDED, "off")
    return server


def test_a_creation_that_failed_is_repeated_only_when_a_person_asks(cloud: Cloud, provider: Provider) -> None:
    cloud.set(create_outcome="errored")
    server = make_machine(provider)
    run_until_quiet(AT)
    [droplet] = cloud.droplets()
    assert (server.reload().status, droplet["status"]) == (ServerStatus.FAILED, "new")

    cloud.set(create_outcome="completed")
    services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)

    [made] = cloud.droplets()
    assert (server.reload().status, server.reload().ref) == (ServerStatus.RUNNING, str(made["id"]))
    assert made["id"] != droplet["id"]


def test_what_digitalocean_does_not_measure_is_not_shown_as_nothing(provider: Provider, client: Client) -> None:
    server = make_running_machine(provider)
    client.force_login(server.owner)
    client.get(f"/servers/{server.pk}/")
    work.run_due(at=clock.now(), models=(UsageTask,))

    page = client.get(f"/servers/{server.pk}/").content.decode()

    assert UsageSample.objects.filter(server=server).exists()
    assert "Uptime" in page
    assert "CPU usage over the last minutes" not in page
    assert not UsageBucket.objects.exists()


def test_a_machine_keeps_the_size_that_was_sold_whatever_its_blueprint_says_later(
    cloud: Cloud, provider: Provider
) -> None:
    server, unbuilt = make_running_machine(provider), make_machine(provider)
    Blueprint.objects.update(plan_ref="s-1vcpu-2gb")

    services.request_convergence(server_ids=[server.pk, unbuilt.pk], at=AT)
    run_until_quiet(AT)

    assert [droplet["size_slug"] for droplet in cloud.droplets()] == ["s-1vcpu-1gb", "s-1vcpu-1gb"]
    assert steps_of(server)[-1] == Step.RUNNING


def test_another_size_of_the_server_is_a_resize_at_the_cloud(cloud: Cloud, provider: Provider) -> None:
    server = make_running_machine(provider)
    Server.objects.filter(pk=server.pk).update(plan_ref="s-1vcpu-2gb")

    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    [droplet] = cloud.droplets()
    assert (droplet["size_slug"], droplet["status"]) == ("s-1vcpu-2gb", "active")
    assert cloud.actions() == ["create", "shutdown", "resize", "power_on"]
    assert steps_of(server)[-1] == Step.RESIZED


@pytest.mark.parametrize("fault", ["", "lose_answer", "drop"])
def test_a_copy_of_the_disk_is_kept_once_before_a_machine_is_deleted(
    cloud: Cloud, provider: Provider, fault: str
) -> None:
    site_settings.set_value("servers.keep_final_backup", True)
    server = make_running_machine(provider)
    if fault:
        cloud.sandbox.arm("digitalocean", "POST /v2/droplets/", fault)

    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT)

    assert cloud.actions().count("snapshot") == 1
    assert (server.reload().status, cloud.droplets()) == (ServerStatus.DELETED, [])
    assert steps_of(server)[-2:] == [Step.BACKED_UP, Step.DELETED]


def test_a_machine_whose_last_copy_failed_is_not_deleted(cloud: Cloud, provider: Provider) -> None:
    site_settings.set_value("servers.keep_final_backup", True)
    cloud.set(snapshot_outcome="errored")
    server = make_running_machine(provider)

    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, len(cloud.droplets())) == (ServerStatus.FAILED, 1)
    assert "final backup" in server.reload().failure


def test_a_deleted_machine_leaves_the_cloud_and_its_place(cloud: Cloud, provider: Provider) -> None:
    server = make_running_machine(provider)

    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, cloud.droplets()) == (ServerStatus.DELETED, [])
    assert not Node.objects.exclude(servers_reserved=0, memory_reserved_mib=0).exists()


def test_an_add_on_that_cannot_reach_a_machine_is_neither_offered_nor_sold(provider: Provider) -> None:
    plan = make_plan(memory_mib=SIZE.memory_mib, disk_mib=SIZE.disk_mib, ports=0)
    blueprint = make_blueprint(provider, plan, name="Machines", plan_ref="s-1vcpu-1gb")
    location = Location.objects.get(provider=provider, code="fra1")
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
    make_blueprint(provider, plan, name="Machines", plan_ref="s-1vcpu-1gb")
    make_price(plan)

    assert offer_of(plan.product, "USD").prices == []
    assert [(card.plan_count, card.price) for card in product_cards("USD")] == [(0, None)]
    with pytest.raises(ValidationError) as refused:
        plan.full_clean()
    assert refused.value.message_dict == {field: [f"Machines: Servers built this way have no {field}. Enter 0."]}


def test_an_elastic_node_sells_every_size_up_to_its_greatest_number_of_servers(provider: Provider) -> None:
    blueprint = make_blueprint(provider, plan_ref="s-1vcpu-1gb")
    location = Location.objects.get(provider=provider, code="fra1")
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
    steps = queries.purchase_steps(make_blueprint(provider, plan_ref="s-1vcpu-1gb").pk)

    assert steps == {
        "placed": "Region chosen",
        "created": "Machine created",
        "installed": "System installed",
        "running": "Running",
    }


def test_a_later_sync_leaves_the_elastic_node_as_it_is(provider: Provider) -> None:
    make_machine(provider)

    run = inventory.sync(provider_id=provider.pk, at=AT)

    assert (run.state, DriftFinding.objects.count()) == (SyncState.COMPLETED, 0)
    assert Node.objects.filter(provider=provider, is_elastic=True).count() == 3


def test_customers_choose_among_the_images_of_a_machine_and_get_what_they_ordered(
    cloud: Cloud, provider: Provider, client: Client
) -> None:
    plan = make_plan(memory_mib=SIZE.memory_mib, disk_mib=SIZE.disk_mib, ports=0)
    blueprint = make_blueprint(provider, plan, plan_ref="s-1vcpu-1gb", image="debian-12-x64")
    for code in ("debian", "ubuntu", "unknown-there"):
        Image.objects.create(code=code, name=code.title()).plans.set([plan])
    for image in Image.objects.exclude(code="unknown-there"):
        BlueprintImage.objects.create(
            blueprint=blueprint, image=image, ref={"debian": "debian-12-x64", "ubuntu": "ubuntu-24-04-x64"}[image.code]
        )
    make_price(plan)
    Product.objects.update(kind=Kind.VPS)
    customer = make_user()
    make_organization(customer)
    keys = [
        SshKey.objects.create(user=user, name=name, public_key="ssh-ed25519 AAAA", fingerprint=name)
        for user, name in ((customer, "laptop"), (customer, "phone"), (make_user(), "strangers"))
    ]
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
    refused = client.post(url, sent | {"image": "ubuntu", "ssh_keys": [str(keys[2].pk)]})
    assert refused.context["form"].errors.keys() == {"ssh_keys"}
    sent |= {"image": "ubuntu", "ssh_keys": [str(keys[0].pk)]}
    client.post(url, sent | {"add_to_cart": "1"})
    [in_cart] = client.get("/cart/").context["form"].items
    assert in_cart.requests[0].ssh_keys == ["ssh-ed25519 AAAA laptop"]

    client.post(url, sent)

    item = OrderItem.objects.get()
    assert str(item.image) == "Ubuntu"
    assert item.build == {
        "image": "ubuntu-24-04-x64",
        "user_data": "",
        "ssh_keys": ["ssh-ed25519 AAAA laptop"],
    }
    BlueprintImage.objects.update(ref="renamed")
    Blueprint.objects.update(image="debian-14", user_data="#!/bin/sh")
    fulfilment.start_orders(order_ids=[item.order_id], at=AT)
    run_until_quiet(AT)
    [droplet] = cloud.droplets()
    assert droplet["image"]["slug"] == "ubuntu-24-04-x64"
    assert [key["name"] for key in cloud.state()["keys"] if key["fingerprint"] in droplet["_ssh_keys"]] != []


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
