"""What customers do with machines and containers, at every provider that has them: through pages, workers and HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
import requests
from django.core.cache import cache
from django.test import Client
from django.urls import reverse

from accounts.models import SshKey
from catalog.models import Image
from core import clock
from core.models import AuditEntry
from servers import builds, inventory
from servers.capacity import Size
from servers.drivers import registry
from servers.drivers.docker import logs
from servers.models import (
    BlueprintImage,
    Build,
    Operation,
    OperationOutcome,
    PanelAccount,
    Provider,
    Server,
    ServerStatus,
)
from tests.builders import make_user
from tests.drivers.adapters import CONTAINER_IMAGE, cloud_provider, docker_provider, virtfusion_provider
from tests.drivers.linode import linode_provider
from tests.servers.actions import run_until_quiet
from tests.servers.builders import AT, assign_regions, make_blueprint, make_plan, make_server
from tests.servers.self_service import member_of, open_section, run, suspend

pytestmark = pytest.mark.django_db(transaction=True)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
NEWER_IMAGE = "hosttest/bb:2"
MACHINE = {"build": Build.MACHINE}
CONTAINER = {"build": Build.CONTAINER, "egg": None, "startup": "httpd -f", "container_ports": [8080], "volumes": ["/d"]}


@dataclass(frozen=True)
class Maker:
    """How a provider makes machines: its rows, two images, the call that builds anew, and what is there then."""

    provider: Callable[[Any], Provider]
    parts: Mapping[str, Any]
    images: tuple[str, str]
    rebuild_call: str
    found: Callable[[Any], tuple[str, int]]  # the image, and how often a machine was built
    has_keys: bool = True
    size: Mapping[str, int] = field(default_factory=dict)


def _droplet(cloud: Any) -> tuple[str, int]:
    [row] = cloud.droplets()
    return row["image"]["slug"], row["_boots"]


def _linode(linode: Any) -> tuple[str, int]:
    [row] = linode.linodes().values()
    return row["image"], 1 + len(linode.driver.installs(str(row["id"])))


def _virtfusion(panel: Any) -> tuple[str, int]:
    [row] = panel.sandbox.virtfusion_state()["servers"]
    return str(row["os"]), row["builds"]


def _container(docker: Any) -> tuple[str, int]:
    [row] = docker.client.containers(all=True)
    calls = docker.sandbox.requests("docker", "POST */containers/create")
    return row["Image"], len([call for call in calls if call["status"] == 201 or call["fault"] == "lose_answer"])


def _hosts(docker: Any) -> Provider:
    provider = docker_provider(docker.address)
    provider.configuration["images"] = [CONTAINER_IMAGE, NEWER_IMAGE, "redis:7"]
    settings = {"registry": {NEWER_IMAGE: "good"}}
    requests.post(f"{docker.sandbox.base_url}/_control/docker/local/settings", json=settings, timeout=30)
    return provider


MAKERS = {
    "digitalocean": Maker(
        lambda cloud: cloud_provider(cloud.sandbox),
        {"plan_ref": "s-1vcpu-1gb"},
        ("debian-12-x64", "ubuntu-24-04-x64"),
        "POST /v2/droplets/",
        _droplet,
        has_keys=False,
    ),
    "linode": Maker(
        lambda linode: linode_provider(linode.sandbox),
        {"plan_ref": "g6-nanode-1"},
        ("linode/debian12", "linode/ubuntu24.04"),
        "POST /v4/*/rebuild",
        _linode,
    ),
    "virtfusion": Maker(
        lambda panel: virtfusion_provider(panel.sandbox),
        {"plan_ref": "12"},
        ("5", "6"),
        "POST /api/v1/servers/*/build",
        _virtfusion,
    ),
    "docker": Maker(
        _hosts,
        CONTAINER,
        (CONTAINER_IMAGE, NEWER_IMAGE),
        "POST */containers/create",
        _container,
        has_keys=False,
        size={"ports": 1, "cpu_percent": 50, "memory_mib": 64, "disk_mib": 1024},
    ),
}


@dataclass(frozen=True)
class Machine:
    """A running machine of a customer, at one provider."""

    kind: str
    maker: Maker
    adapter: Any
    server: Server
    browser: Client

    @property
    def found(self) -> tuple[str, int]:
        """The image at the provider, and how often it was built."""
        return self.maker.found(self.adapter)

    def open(self, page: str) -> str:
        """A page of the server."""
        return str(self.browser.get(self.url(page)).content.decode())

    def post(self, page: str, **data: Any) -> Any:
        """Send a form of the server, and follow it to its page."""
        return self.browser.post(self.url(page), data, follow=True)

    def url(self, page: str) -> str:
        return reverse(f"servers:{page}", args=[self.server.pk])

    def fail_next(self, fault: str) -> None:
        """The next call that builds it anew goes wrong."""
        self.adapter.sandbox.arm(self.kind, self.maker.rebuild_call, fault)

    def converge(self, at: datetime) -> Server:
        """Workers finish what is under way."""
        run(at)
        run_until_quiet(at)
        return self.server.reload()


def make_machine(request: pytest.FixtureRequest, kind: str) -> Machine:
    """See `Machine`; two images can be chosen for it."""
    cache.clear()
    maker, adapter = MAKERS[kind], request.getfixturevalue(kind)
    provider = maker.provider(adapter)
    provider.save()
    assert inventory.sync(provider_id=provider.pk, at=AT).error == ""
    assign_regions(provider)
    sizes = {"memory_mib": 2048, "disk_mib": 40960, "cpu_percent": 200, "ports": 0, **maker.size}
    plan = make_plan(**sizes)
    plan.product.kind = "container" if kind == "docker" else "vps"
    plan.product.save()
    blueprint = make_blueprint(provider, plan, **maker.parts, image=maker.images[0])
    for number, ref in enumerate(maker.images if kind != "docker" else ()):
        image = Image.objects.create(code=f"image-{number}", name=f"Image {number}")
        image.plans.add(plan)
        BlueprintImage.objects.create(blueprint=blueprint, image=image, ref=ref)
    owner = make_user()
    options: dict[str, Any] = {"databases": 0, "backups": 0, "owner": owner}
    server = make_server(provider, plan=plan, blueprint=blueprint, size=Size(**sizes), **options)
    run_until_quiet(AT)
    server = server.reload()
    assert server.status == ServerStatus.RUNNING, server.failure
    adapter.sandbox.advance(5)  # a time in whole seconds is another one
    browser = Client()
    browser.force_login(owner)
    return Machine(kind, maker, adapter, server, browser)


@pytest.fixture(params=MAKERS)
def machine(request: pytest.FixtureRequest) -> Machine:
    """One at each provider."""
    return make_machine(request, request.param)


@pytest.fixture
def at_linode(request: pytest.FixtureRequest) -> Machine:
    return make_machine(request, "linode")


@pytest.fixture
def at_digitalocean(request: pytest.FixtureRequest) -> Machine:
    return make_machine(request, "digitalocean")


@pytest.fixture
def at_virtfusion(request: pytest.FixtureRequest) -> Machine:
    return make_machine(request, "virtfusion")


def test_a_rebuild_asks_for_the_name_and_ends_running_from_the_chosen_image(machine: Machine) -> None:
    key = SshKey.objects.create(user=machine.server.owner, name="laptop", public_key=KEY, fingerprint="x")
    chosen: dict[str, Any] = {"image": machine.maker.images[1], "ssh_keys": [str(key.pk)]}
    assert "redis:7" not in machine.open("rebuild")
    for wrong in ({"typed": "another"}, {"typed": machine.server.name, "image": "redis:7"}):
        assert machine.browser.post(machine.url("rebuild"), chosen | wrong).status_code == 422
    assert not Operation.objects.exists()

    for _time in range(2):  # a form that is sent twice
        machine.post("rebuild", **chosen, typed=machine.server.name)
    at = clock.now()
    run(at)
    [operation] = Operation.objects.all()
    assert (operation.outcome, operation.content) == (OperationOutcome.DONE, None)
    assert machine.server.reload().status == ServerStatus.INSTALLING
    server = machine.converge(at)

    assert (server.status, server.build["image"]) == (ServerStatus.RUNNING, machine.maker.images[1])
    assert machine.found == (machine.maker.images[1], 2)
    if machine.maker.has_keys:
        assert server.build["ssh_keys"] == [f"{KEY} laptop"]
    assert AuditEntry.objects.filter(action="server.rebuild", actor_id=server.owner_id).exists()


@pytest.mark.parametrize("fault", ["lose_answer", "drop"])
def test_a_rebuild_whose_answer_was_lost_is_done_at_most_once(machine: Machine, fault: str) -> None:
    machine.fail_next(fault)
    machine.post("rebuild", image=machine.maker.images[1], typed=machine.server.name)
    at = clock.now()
    for _time in range(5):
        at += timedelta(seconds=10)
        run(at)
    server = machine.converge(at)

    is_done = fault == "lose_answer"
    assert server.status == ServerStatus.RUNNING
    assert machine.found == (machine.maker.images[int(is_done)], 1 + is_done)
    assert server.build["image"] == machine.maker.images[int(is_done)]
    outcome = Operation.objects.get().outcome
    assert outcome == (OperationOutcome.DONE if is_done else OperationOutcome.NO_ANSWER)


def test_a_suspended_machine_is_not_rebuilt_and_strangers_find_no_page(machine: Machine) -> None:
    stranger = Client()
    stranger.force_login(make_user())
    for page in ("rebuild", "root_password", "new_root_password"):
        assert stranger.post(machine.url(page), {"typed": machine.server.name}).status_code == 404
        assert member_of(machine.server, "operate").post(machine.url(page)).status_code == 404
    suspend(machine.server)

    answer = machine.post("rebuild", image=machine.maker.images[1], typed=machine.server.name)

    assert "The server is suspended" in answer.content.decode()
    assert not Operation.objects.exists()


def test_the_password_that_a_machine_was_built_with_is_shown_once(at_linode: Machine) -> None:
    [row] = at_linode.adapter.linodes().values()
    given = row["_system"]["root_pass"]
    assert given not in at_linode.open("settings")

    assert given in at_linode.post("root_password").content.decode()
    assert "shown already" in at_linode.post("root_password").content.decode()
    at_linode.post("rebuild", image=at_linode.maker.images[0], typed=at_linode.server.name)
    at_linode.converge(clock.now())
    [row] = at_linode.adapter.linodes().values()
    assert row["_system"]["root_pass"] != given
    assert row["_system"]["root_pass"] in at_linode.post("root_password").content.decode()
    assert not AuditEntry.objects.filter(new__icontains=row["_system"]["root_pass"]).exists()
    assert at_linode.server.reload().root_password is None


def test_root_gets_another_password_of_the_panel(at_virtfusion: Machine) -> None:
    at_virtfusion.post("new_root_password")
    run()

    [row] = at_virtfusion.adapter.sandbox.virtfusion_state()["servers"]
    assert Operation.objects.get().result is None
    assert row["password"] in at_virtfusion.post("root_password").content.decode()


def test_root_gets_another_password_only_while_the_machine_is_off(at_linode: Machine) -> None:
    at_linode.post("root_password")
    at_linode.post("new_root_password")
    run()
    assert "Stop the machine first" in at_linode.open("settings")

    at_linode.adapter.call("POST", f"/linode/instances/{at_linode.server.ref}/shutdown")
    at_linode.post("new_root_password")
    run()
    [row] = at_linode.adapter.linodes().values()
    assert row["_system"]["root_pass"] in at_linode.post("root_password").content.decode()


def test_a_rebuild_that_the_cloud_could_not_finish_is_told_and_can_be_done_again(at_digitalocean: Machine) -> None:
    cloud, machine = at_digitalocean.adapter, at_digitalocean
    cloud.set(rebuild_outcome="errored")
    machine.post("rebuild", image=machine.maker.images[1], typed=machine.server.name)
    server = machine.converge(clock.now())
    assert (server.status, machine.found[1]) == (ServerStatus.FAILED, 1)
    assert machine.url("rebuild") in machine.open("detail")

    cloud.set(rebuild_outcome="completed")
    machine.post("rebuild", image=machine.maker.images[1], typed=machine.server.name)
    server = machine.converge(clock.now())

    assert (server.status, server.failure) == (ServerStatus.RUNNING, "")
    assert machine.found == (machine.maker.images[1], 2)
    assert "rebuilding" not in cloud.droplets()[0]["_tags"]
    assert registry.driver_of(server.blueprint.provider).facts.rebuild_keeps_access


def test_an_address_gets_a_name_that_leads_to_it_and_no_other(at_linode: Machine) -> None:
    machine, browser = at_linode, at_linode.browser
    address = machine.server.address
    assert address in open_section(browser, machine.server, "network")

    for wrong in ("host", "sp ace.example.com", "-a.example.com", f"{'a' * 64}.example.com", "203.0.113.7", "a..b"):
        answer = browser.post(machine.url("reverse_name"), {"address": address, "name": wrong})
        assert (answer.status_code, "Enter a whole name" in answer.content.decode()) == (422, True), wrong
    assert browser.post(machine.url("reverse_name"), {"address": "203.0.113.250", "name": ""}).status_code == 404
    assert not Operation.objects.exists()

    machine.post("reverse_name", address=address, name="Shop.Example.com.")
    assert "shop.example.com does not lead to" in open_section(browser, machine.server, "network")
    machine.adapter.settings(dns={"shop.example.com": address})
    for name in ("shop.example.com", ""):
        machine.post("reverse_name", address=address, name=name)
        run()
        shown = open_section(browser, machine.server, "network")
        assert ('value="shop.example.com"' in shown) == bool(name)
        assert "does not lead" not in shown


@pytest.fixture
def container(request: pytest.FixtureRequest) -> Machine:
    return make_machine(request, "docker")


def test_the_output_of_a_container_is_shown_without_what_a_terminal_would_do(container: Machine) -> None:
    shown = open_section(container.browser, container.server, "logs")

    assert "started httpd -f" in shown
    assert "\x1b" not in shown
    assert member_of(container.server, "view").get(container.url("logs")).status_code == 404
    assert member_of(container.server, "operate").get(container.url("logs")).status_code == 200


def test_the_end_of_a_long_output_is_shown_whole_line_by_line() -> None:
    raw = b"\x1b]0;title\x07\x1b[1;31mred\x1b[0m\x00 \xff\r\n" + b"x" * 100 + b"\n" * (logs.MAX_CHARACTERS // 4)
    assert logs.plain(raw[:40]).startswith("red \ufffd\nx")
    long = logs.plain(b"first\n" + b"y" * logs.MAX_CHARACTERS + b"\nlast")
    assert long == "last"


def test_a_container_gets_another_image_and_the_customers_variables(container: Machine) -> None:
    machine, address = container, container.url("container")
    Server.objects.filter(pk=machine.server.pk).update(
        build={**machine.server.build, "environment": {"LICENCE": "of-the-shop", "PASSWORD": "{{secret}}"}}
    )
    page = machine.open("container")
    assert "of-the-shop" not in page
    assert builds.overrides_of({"PASSWORD": builds.SECRET}, key=machine.server.secret_key)["PASSWORD"] in page
    assert machine.server.address in page
    for name, wrong in (
        ("environment", "no equals sign"),
        ("environment", "1A=2"),
        ("environment", "A B=2"),
        ("environment", "A=1\nA=2"),
        ("environment", "\n".join(f"V{number}=1" for number in range(101))),
        ("environment", "A=" + "x" * 40_000),
        ("image", "redis:7"),
        ("image", "evil/image:latest"),
    ):
        sent = {"image": CONTAINER_IMAGE, "environment": ""} | {name: wrong}
        answer = machine.browser.post(address, sent)
        assert (answer.status_code, list(answer.context["form"].errors)) == (422, [name]), wrong
    assert "Nothing was changed" in machine.post("container", image=CONTAINER_IMAGE).content.decode()
    assert not Operation.objects.exists()

    machine.post("container", image=NEWER_IMAGE, environment="MODE=a=b c\n\nPASSWORD=mine")
    server = machine.converge(clock.now())

    assert (server.status, machine.found) == (ServerStatus.RUNNING, (NEWER_IMAGE, 2))
    [row] = machine.adapter.client.containers(all=True)
    inside = machine.adapter.client.inspect_container(row["Id"])["Config"]["Env"]
    assert {"MODE=a=b c", "PASSWORD=mine", "LICENCE=of-the-shop"} <= set(inside)
    assert Operation.objects.get().content is None
    assert not AuditEntry.objects.filter(new__icontains="mine").exists()


def test_only_the_owner_is_led_to_the_rescue_console_once(at_virtfusion: Machine) -> None:
    machine = at_virtfusion
    manager = member_of(machine.server, "manage")
    assert manager.post(machine.url("rescue")).status_code == 404
    assert "Rescue console" not in manager.get(machine.url("settings")).content.decode()
    machine.post("rescue")
    run()
    operation = Operation.objects.get()
    address = reverse("servers:rescue_link", args=[machine.server.pk, operation.pk])
    assert address in machine.open("settings")

    assert manager.get(address).status_code == 404
    answer = machine.browser.get(address)
    assert answer["Location"].startswith(f"{machine.adapter.sandbox.virtfusion_url}/sso?1=")
    assert machine.browser.get(address)["Location"] == machine.url("settings")
    assert "Rescue console" not in make_page_of_an_admin(machine)


def make_page_of_an_admin(machine: Machine) -> str:
    """The settings once the owner's account may do everything on the panel."""
    PanelAccount.objects.update(is_panel_admin=True)
    return machine.open("settings")
