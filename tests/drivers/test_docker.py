"""What only Docker Engines have. Each test runs against the stand-in; those of `engine` against a real engine, too."""

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import requests
from django.db import connections
from django.test import Client
from django.urls import reverse

from core import outside
from servers import builds, convergence, inventory, pulls, services
from servers.capacity import Size
from servers.drivers import base, registry
from servers.drivers.base import Difference, PowerAction, PowerState, RemoteState, ServerSpec
from servers.drivers.docker import containers
from servers.drivers.docker.settings import configuration_problem
from servers.models import (
    Allocation,
    Build,
    DriftFinding,
    Node,
    Provider,
    ProvisioningTask,
    Server,
    ServerStatus,
    SyncState,
)
from tests.drivers.adapters import CONTAINER_IMAGE, Docker, docker_provider, found
from tests.servers.actions import run_until_quiet
from tests.servers.builders import AT, assign_regions, make_blueprint, make_plan, make_server

CREATE = "POST */containers/create"


def arm(docker: Docker, match: str, kind: str, **options: Any) -> None:
    """Arm a fault."""
    assert docker.sandbox is not None
    docker.sandbox.arm("docker", match, kind, **options)


def set_up(docker: Docker, **settings: Any) -> None:
    """Change what the host is like."""
    assert docker.sandbox is not None
    address = f"{docker.sandbox.base_url}/_control/docker/local/settings"
    assert requests.post(address, json=settings, timeout=30).ok


def named(docker: Docker, spec: ServerSpec) -> list[str]:
    """The names of the containers that carry the key."""
    wanted = {"label": [f"{containers.KEY}={spec.key}"]}
    return sorted(each["Names"][0] for each in docker.client.containers(all=True, filters=wanted))


def volumes_of(docker: Docker, spec: ServerSpec) -> list[dict[str, Any]]:
    """The volumes that carry the key."""
    wanted = {"label": f"{containers.KEY}={spec.key}"}
    return docker.client.volumes(filters=wanted)["Volumes"] or []


def inspected(docker: Docker, spec: ServerSpec) -> Any:
    """The container as its engine describes it."""
    return docker.client.inspect_container(containers.name_of(spec.key))


def test_a_container_is_limited_and_may_do_little(engine: Docker) -> None:
    spec = engine.spec()
    engine.driver.create(spec)

    detail = inspected(engine, spec)

    given = detail["HostConfig"]
    assert (given["Memory"], given["MemorySwap"], given["NanoCpus"]) == (64 << 20, 64 << 20, 500_000_000)
    assert (given["Privileged"], given["CapDrop"], given["CapAdd"]) == (False, ["ALL"], None)
    assert (given["ReadonlyRootfs"], given["SecurityOpt"]) == (True, ["no-new-privileges:true"])
    assert (given["PidsLimit"], given["Init"], given["RestartPolicy"]["Name"]) == (512, True, "unless-stopped")
    assert given["PortBindings"]["8080/tcp"] == [{"HostIp": "127.0.0.1", "HostPort": spec.allocations[0]}]
    assert (detail["Config"]["User"], "SECRET=a b" in detail["Config"]["Env"]) == ("1000:1000", True)
    assert detail["Config"]["Labels"][containers.KEY] == str(spec.key)
    assert [volume["Name"] for volume in volumes_of(engine, spec)] == [f"{containers.name_of(spec.key)}-0"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image": "somebody/miner:1"}, "somebody/miner:1 is not among the images"),
        ({"ports": (8080, 8081)}, "has 2 ports, and the plan only 1"),
    ],
)
def test_what_may_not_be_made_is_refused_and_nothing_is_made(
    engine: Docker, changes: dict[str, Any], message: str
) -> None:
    spec = engine.spec()
    assert isinstance(spec.build, base.ContainerBuild)

    with pytest.raises(outside.Rejected, match=message):
        engine.driver.create(replace(spec, build=replace(spec.build, **changes)))

    assert (named(engine, spec), volumes_of(engine, spec)) == ([], [])


def test_a_limit_of_nothing_would_be_none(engine: Docker) -> None:
    with pytest.raises(outside.Rejected, match="needs a limit"):
        engine.driver.create(engine.spec(limits=base.Limits(memory_mib=0, disk_mib=1024, cpu_percent=50)))


def test_a_limit_that_the_engine_did_not_take_over_is_noticed(docker: Docker) -> None:
    spec = docker.spec()
    set_up(docker, unknown_fields=["PidsLimit"])

    with pytest.raises(outside.Rejected, match="did not take over PidsLimit"):
        docker.driver.create(spec)
    assert named(docker, spec) == []


def test_a_port_that_another_container_has_is_named_and_nothing_stays(engine: Docker) -> None:
    first = engine.spec()
    engine.driver.create(first)
    second = engine.spec(allocations=(*engine.ports[1:2], *first.allocations))

    with pytest.raises(base.PortTaken) as caught:
        engine.driver.create(second)

    assert (caught.value.refs, named(engine, second)) == (frozenset(first.allocations), [])
    assert volumes_of(engine, second) == []


def test_of_creations_at_once_one_makes_the_container(engine: Docker) -> None:
    spec = engine.spec()
    if engine.sandbox:
        set_up(engine, create_seconds=0.3)

    def create(_number: int) -> object:
        try:
            return type(Docker(engine.address).driver.create(spec))
        except base.AlreadyExists as error:
            return type(error)

    with ThreadPoolExecutor(4) as threads:
        outcomes = list(threads.map(create, range(4)))

    assert sorted(outcomes, key=str) == [*[base.AlreadyExists] * 3, base.RemoteServer]
    assert (len(named(engine, spec)), len(volumes_of(engine, spec))) == (1, 1)


def test_a_volume_or_a_container_of_somebody_else_is_not_used(engine: Docker) -> None:
    spec, other = engine.spec(), engine.spec()
    volume, name = f"{containers.name_of(spec.key)}-0", containers.name_of(other.key)
    engine.client.create_volume(volume)
    engine.client.create_container_from_config({"Image": CONTAINER_IMAGE, "Cmd": ["sh"]}, name)
    try:
        with pytest.raises(outside.Rejected, match=f"has a volume {volume}"):
            engine.driver.create(spec)
        with pytest.raises(outside.Rejected, match=f"has a container {name}"):
            engine.driver.create(other)
        assert engine.driver.find(other, []) is None
    finally:
        engine.client.remove_volume(volume)
        engine.client.remove_container(name)


def test_other_ports_and_disk_replace_the_container_and_keep_its_volumes(engine: Docker) -> None:
    spec = engine.spec()
    engine.driver.create(spec)
    before, kept = inspected(engine, spec), volumes_of(engine, spec)
    more = replace(spec, allocations=engine.ports[:2], limits=replace(spec.limits, disk_mib=2048))
    assert engine.driver.differences(more, found(engine, spec)) == {Difference.PORTS, Difference.SIZE}

    changed = engine.driver.apply(more, found(engine, spec))

    after = inspected(engine, spec)
    assert (engine.driver.differences(more, changed), after["State"]["Running"]) == (frozenset(), True)
    assert [address.ref for address in changed.addresses] == list(engine.ports[:2])
    assert (after["Id"] != before["Id"], after["Config"]["User"]) == (True, "1000:1000")
    assert (volumes_of(engine, spec), len(named(engine, spec))) == (kept, 1)


STEPS = ("rename", "create", "stop", "start")


@pytest.mark.parametrize("kind", ["lose_answer", "drop"])
@pytest.mark.parametrize("step", [*(f"POST */containers/*{step}" for step in STEPS), "DELETE */containers/*"])
def test_a_replacement_that_is_cut_off_anywhere_is_finished(docker: Docker, step: str, kind: str) -> None:
    spec = docker.spec()
    docker.driver.create(spec)
    more = replace(spec, allocations=docker.ports[:2])
    arm(docker, step, kind)

    with pytest.raises((outside.Unknown, outside.Unavailable)):
        docker.driver.apply(more, found(docker, spec))
    for _ in range(3):
        if docker.driver.differences(more, found(docker, spec)):
            docker.driver.apply(more, found(docker, spec))

    assert docker.driver.differences(more, found(docker, spec)) == frozenset()
    assert named(docker, spec) == [f"/{containers.name_of(spec.key)}"]
    assert docker.driver.usage(found(docker, spec).identifier).power_state is PowerState.RUNNING


def test_a_new_port_that_is_taken_leaves_the_server_findable_and_another_is_used(docker: Docker) -> None:
    spec = docker.spec()
    docker.driver.create(spec)
    set_up(docker, taken_ports=[int(docker.ports[1])])

    with pytest.raises(base.PortTaken) as caught:
        docker.driver.apply(replace(spec, allocations=docker.ports[:2]), found(docker, spec))
    other = replace(spec, allocations=(docker.ports[0], docker.ports[2]))
    docker.driver.apply(other, found(docker, spec))

    assert caught.value.refs == {docker.ports[1]}
    assert (docker.driver.differences(other, found(docker, spec)), len(named(docker, spec))) == (frozenset(), 1)


@pytest.mark.parametrize("kind", ["lose_answer", "drop"])
@pytest.mark.parametrize("match", ["DELETE */containers/*", "DELETE */volumes/*"])
def test_a_deletion_that_is_cut_off_forgets_nothing(docker: Docker, match: str, kind: str) -> None:
    spec = docker.spec()
    remote = docker.driver.create(spec)
    arm(docker, match, kind)

    with pytest.raises(outside.Unknown):
        docker.driver.delete(remote)
    if left := docker.driver.find(spec, []):
        docker.driver.delete(left)

    assert docker.driver.find(spec, []) is None
    assert (named(docker, spec), volumes_of(docker, spec)) == ([], [])


@pytest.mark.django_db(transaction=True)
def test_a_container_that_somebody_removed_comes_back_with_its_files(docker: Docker, provider: Provider) -> None:
    server = make_container(provider)
    run_until_quiet(AT)
    spec = ServerSpec(server.pk, 1, "", "container", base.Limits(1, 1, 1), "here")
    docker.client.remove_container(containers.name_of(spec.key), force=True)
    kept = volumes_of(docker, spec)

    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, inspected(docker, spec)["State"]["Running"]) == (ServerStatus.RUNNING, True)
    assert volumes_of(docker, spec) == kept


def test_what_is_left_of_a_container_that_somebody_removed_is_deleted(docker: Docker) -> None:
    spec = docker.spec()
    docker.driver.create(spec)
    docker.client.remove_container(containers.name_of(spec.key), force=True)

    docker.driver.delete(found(docker, spec))

    assert (docker.driver.find(spec, []), volumes_of(docker, spec)) == (None, [])


def test_a_suspended_container_stays_off_when_its_host_starts_again(docker: Docker) -> None:
    suspended, running = docker.spec(), docker.spec(allocations=docker.ports[1:2])
    remotes = [docker.driver.create(spec) for spec in (suspended, running)]
    docker.driver.suspend(remotes[0])
    assert docker.sandbox is not None
    requests.post(f"{docker.sandbox.base_url}/_control/docker/local/restart", timeout=30)

    states = [docker.driver.usage(remote.identifier).power_state for remote in remotes]

    assert states == [PowerState.OFF, PowerState.RUNNING]
    for action in PowerAction:
        with pytest.raises(base.WrongState):
            docker.driver.send_power_action(remotes[0].identifier, action)
    assert docker.driver.differences(suspended, found(docker, suspended)) == frozenset()


def test_a_suspension_that_was_cut_off_is_none(docker: Docker) -> None:
    spec = docker.spec()
    remote = docker.driver.create(spec)
    arm(docker, "POST */stop", "drop")
    with pytest.raises(outside.Unknown):
        docker.driver.suspend(remote)

    assert found(docker, spec).state is RemoteState.READY
    assert docker.driver.differences(spec, found(docker, spec)) == {Difference.SIZE}
    docker.driver.apply(spec, found(docker, spec))
    assert docker.driver.differences(spec, found(docker, spec)) == frozenset()
    docker.driver.suspend(remote)
    assert found(docker, spec).state is RemoteState.SUSPENDED


def test_a_suspended_container_is_resized_and_replaced_without_being_started(engine: Docker) -> None:
    spec = engine.spec()
    engine.driver.suspend(engine.driver.create(spec))
    larger = replace(engine.larger(spec), allocations=engine.ports[:2])

    engine.driver.apply(larger, found(engine, spec))

    assert engine.driver.differences(larger, found(engine, spec)) == frozenset()
    assert (found(engine, spec).state, inspected(engine, spec)["State"]["Status"]) == (
        RemoteState.SUSPENDED,
        "created",
    )


@pytest.mark.parametrize(
    ("offered", "kind", "words"),
    [
        ({"app/good:1": "good"}, None, ""),
        ({"app/good:1": "/data"}, None, ""),
        ({"app/good:1": "/kept/elsewhere"}, outside.Rejected, "keeps data in /kept/elsewhere"),
        ({"app/good:1": "corrupt"}, outside.Unavailable, "layer verification failed"),
        ({"*": "unreachable"}, outside.Unavailable, "connection refused"),
        ({}, outside.Rejected, "manifest unknown"),
    ],
)
def test_an_image_is_pulled_and_a_failure_inside_a_good_answer_is_one(
    docker: Docker, offered: dict[str, str], kind: type[Exception] | None, words: str
) -> None:
    set_up(docker, registry=offered)
    docker.allow("app/good:1")
    spec = docker.spec(build=base.ContainerBuild("app/good:1", volumes=("/data/",)))

    if kind is None:
        assert docker.driver.create(spec).state is RemoteState.READY
    else:
        with pytest.raises(kind, match=words) as caught:
            docker.driver.create(spec)
        assert (type(caught.value), named(docker, spec)) == (kind, [])


def test_volumes_have_a_size_where_the_host_has_quotas(docker: Docker) -> None:
    provider, spec = docker_provider(docker.address), docker.spec()
    provider.configuration["hosts"][0]["has_disk_quota"] = True
    driver = registry.driver_of(provider)
    assert isinstance(spec.build, base.ContainerBuild)
    two = replace(spec, build=replace(spec.build, volumes=("/data", "/saves")))
    with pytest.raises(outside.Rejected, match="no quota support"):
        driver.create(two)
    set_up(docker, has_disk_quota=True)

    driver.create(two)

    assert [volume["Options"] for volume in volumes_of(docker, spec)] == [{"size": "512m"}, {"size": "512m"}]


@pytest.mark.parametrize(
    ("fault", "kind", "is_made"),
    [
        ({"kind": "lose_answer"}, outside.Unknown, True),
        ({"kind": "drop"}, outside.Unknown, False),
        ({"kind": "html"}, outside.Unknown, False),
        ({"kind": "status", "status": 500}, outside.Unknown, False),
        ({"kind": "status", "status": 503}, outside.Unavailable, False),
        ({"kind": "status", "status": 401}, outside.Unavailable, False),
        ({"kind": "status", "status": 404}, outside.Unavailable, False),
        ({"kind": "status", "status": 400}, outside.Rejected, False),
    ],
    ids=lambda value: str(value.get("status", value["kind"])) if isinstance(value, dict) else "",
)
def test_a_fault_at_creation_is_raised_by_whether_it_may_have_happened(
    docker: Docker, fault: dict[str, Any], kind: type[Exception], is_made: bool
) -> None:
    spec = docker.spec()
    arm(docker, CREATE, **fault)

    with pytest.raises(kind) as caught:
        docker.driver.create(spec)

    assert type(caught.value) is kind
    assert (docker.driver.find(spec, []) is not None) == is_made


@pytest.mark.parametrize("match", ["GET */version", "GET */containers/json", "GET */json"])
@pytest.mark.parametrize("kind", ["drop", "html", "status"])
def test_an_answer_that_is_not_the_engines_is_no_absence(docker: Docker, match: str, kind: str) -> None:
    spec = docker.spec()
    docker.driver.create(spec)
    arm(docker, match, kind, times=0)

    with pytest.raises(outside.Unavailable):
        Docker(docker.address).driver.find(spec, [])


def test_a_start_that_failed_leaves_a_container_that_can_be_started(docker: Docker) -> None:
    spec = docker.spec()
    arm(docker, "POST */start", "status")

    remote = docker.driver.create(spec)
    states = [docker.driver.usage(remote.identifier).power_state]
    docker.driver.send_power_action(remote.identifier, PowerAction.START)

    states.append(docker.driver.usage(remote.identifier).power_state)
    assert states == [PowerState.OFF, PowerState.RUNNING]


def test_the_share_of_the_cpu_is_what_it_used_since_the_last_look_or_its_start(docker: Docker) -> None:
    remote = docker.driver.create(docker.spec())
    assert docker.sandbox is not None
    docker.sandbox.advance(60)

    looks = [docker.driver.usage(remote.identifier) for _ in range(2)]

    for look in looks:
        assert 20 <= look.cpu_percent <= 30
        assert (look.memory_mib, look.received_bytes, look.uptime_seconds >= 60) == (32, 1000, True)
    asked = docker.sandbox.requests("docker", "GET */stats")
    assert [request["query"] for request in asked] == ["stream=False&one-shot=True"] * 2


def test_of_a_container_that_was_not_looked_at_lately_the_engine_takes_two_samples(docker: Docker) -> None:
    assert docker.sandbox is not None
    docker.sandbox.set_clock(docker.sandbox.now() - 3600)
    remote = docker.driver.create(docker.spec())
    docker.sandbox.set_clock(None)

    looks = [docker.driver.usage(remote.identifier) for _ in range(2)]
    docker.driver.send_power_action(remote.identifier, PowerAction.RESTART)
    looks.append(docker.driver.usage(remote.identifier))

    assert [20 <= look.cpu_percent <= 30 for look in looks] == [True, True, True]
    asked = docker.sandbox.requests("docker", "GET */stats")
    assert [request["query"][-5:] for request in asked] == ["=True", "False", "=True", "=True"]


@pytest.mark.parametrize(("newest", "oldest", "spoken"), [("1.41", "1.12", "v1.41"), ("1.52", "1.44", "v1.45")])
def test_an_engine_is_spoken_to_in_a_version_that_it_has(docker: Docker, newest: str, oldest: str, spoken: str) -> None:
    set_up(docker, max_api=newest, min_api=oldest)

    docker.driver.find(docker.spec(), [])

    assert docker.sandbox is not None
    assert docker.sandbox.requests("docker", f"GET /local/{spoken}/containers/json")


def test_an_engine_on_the_network_is_not_called_without_a_certificate() -> None:
    driver, spec = Docker("tcp://192.0.2.1:2376").driver, Docker("tcp://192.0.2.1:2376").spec()

    with pytest.raises(outside.Unavailable, match="no certificate is set"):
        driver.find(spec, [])


def test_an_unknown_host_and_a_dead_socket_are_outages(docker: Docker) -> None:
    with pytest.raises(outside.Unavailable, match="no host gone"):
        docker.driver.find(docker.spec(node_ref="gone"), [])
    with pytest.raises(outside.Unavailable, match="no connection"):
        Docker("unix:///nowhere/docker.sock").driver.find(docker.spec(), [])


@pytest.mark.parametrize("ref", ["local/../images", "local/nb-1", "nb-1", f"local/nb-{'0' * 32}/json", ""])
def test_an_id_that_is_not_ours_reaches_no_other_call(docker: Docker, ref: str) -> None:
    with pytest.raises(ValueError, match="the id of a container"):
        docker.driver.usage(ref)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "Host 1"}, "name: at most 24"),
        ({"address": "http://10.0.0.1:2375"}, "address: such as"),
        ({"memory_mib": "4 GB"}, "memory_mib and disk_mib"),
        ({"ip": "example.com"}, "ip: the address"),
        ({"ports": "80-90"}, "ports: such as"),
        ({"ports": "25010-25000"}, "ports: such as"),
        ({"network": "host"}, "network:"),
        ({"memory": 1}, "has no memory"),
    ],
)
def test_a_mistake_in_the_configuration_is_named(changes: dict[str, Any], problem: str) -> None:
    configuration = docker_provider("unix:///run/docker.sock").configuration
    [host] = configuration["hosts"]
    assert configuration_problem(configuration) == ""

    assert problem in configuration_problem(configuration | {"hosts": [host | changes]})


def test_two_hosts_with_one_engine_or_an_image_as_root_are_mistakes() -> None:
    configuration = docker_provider("unix:///run/docker.sock", "unix:///run/docker.sock").configuration
    assert "Two hosts" in configuration_problem(configuration)
    assert "never root" in configuration_problem(
        configuration | {"hosts": configuration["hosts"][:1], "images": [{"image": "redis:7", "user": "0"}]}
    )
    empty: tuple[Any, ...] = ({}, [], {"hosts": [], "images": []})
    assert all(configuration_problem(each) for each in empty)


SIZE = Size(memory_mib=64, disk_mib=1024, cpu_percent=50, ports=1)


@pytest.fixture
def provider(docker: Docker) -> Provider:
    """A host as a provider, synced."""
    provider = docker_provider(docker.address)
    provider.save()
    assert inventory.sync(provider_id=provider.pk, at=AT).error == ""
    assign_regions(provider)
    return provider


def make_container(provider: Provider) -> Server:
    """A paid container of its own customer, not converged yet."""
    plan = make_plan(memory_mib=SIZE.memory_mib, disk_mib=SIZE.disk_mib, cpu_percent=SIZE.cpu_percent, ports=1)
    parts = {"build": Build.CONTAINER, "egg": None, "image": CONTAINER_IMAGE, "startup": "httpd -f"}
    blueprint = make_blueprint(provider, plan, **parts, container_ports=[8080], volumes=["/data"])
    return make_server(provider, plan=plan, blueprint=blueprint, size=SIZE, databases=0, backups=0)


@pytest.mark.django_db(transaction=True)
def test_how_far_a_pull_is_stands_on_the_servers_page_until_it_ends(
    docker: Docker, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider.configuration["images"].append("app/good:1")
    provider.save()
    server, client = make_container(provider), Client()
    Server.objects.update(build=builds.sold_build(server.blueprint) | {"image": "app/good:1"})
    client.force_login(server.owner)
    seen: set[str] = set()

    def see_page() -> None:
        page = client.get(reverse("servers:detail", args=[server.pk])).content.decode()
        seen.update(re.findall(r"\d of \d layers", page))

    def converge() -> None:
        run_until_quiet(AT, within=timedelta(seconds=3))
        connections.close_all()

    monkeypatch.setattr(pulls, "WRITE_SECONDS", 0)
    see_page()  # the first takes longer
    for result, expected in (("corrupt", {"0 of 2 layers"}), ("good", {"1 of 2 layers"})):
        set_up(docker, registry={"app/good:1": result}, pull_seconds=2)
        seen.clear()
        with ThreadPoolExecutor(1) as threads:
            running = threads.submit(converge)
            while not running.done():
                see_page()
            running.result()
        assert expected <= seen
        seen.clear()
        see_page()
        assert not seen
        ProvisioningTask.objects.filter(server=server).update(run_at=AT)
    assert server.reload().status == ServerStatus.RUNNING


@pytest.mark.django_db(transaction=True)
def test_hosts_are_nodes_with_ports_and_what_others_run_there_takes_of_them(docker: Docker, provider: Provider) -> None:
    server = make_container(provider)
    run_until_quiet(AT)
    foreign = {"Memory": 512 << 20, "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": docker.ports[2]}]}}
    other = docker.client.create_container_from_config({"Image": CONTAINER_IMAGE, "HostConfig": foreign}, "registry")
    docker.client.start(other["Id"])
    provider.configuration = docker_provider(docker.address, docker.address.replace("local", "second")).configuration
    provider.save()

    assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED

    second, local = Node.objects.filter(provider=provider).order_by("name")
    assert (local.memory_sellable_mib, second.memory_sellable_mib) == (4096 - 512, 4096)
    assert Allocation.objects.filter(node=local, is_taken_elsewhere=True).get().ref == docker.ports[2]
    assert (Allocation.objects.filter(node=local).count(), server.reload().status) == (20, ServerStatus.RUNNING)
    assert set(DriftFinding.objects.filter(closed_at=None).values_list("kind", flat=True)) <= {"unlimited"}
    assert convergence.converge(server_id=server.pk, at=AT) is None


@pytest.mark.django_db(transaction=True)
def test_a_port_that_a_program_of_the_host_has_is_given_up_for_another(docker: Docker, provider: Provider) -> None:
    set_up(docker, taken_ports=[int(docker.ports[0])])
    server = make_container(provider)

    run_until_quiet(AT)

    server = server.reload()
    assert (server.status, server.port) == (ServerStatus.RUNNING, int(docker.ports[1]))


@pytest.mark.django_db(transaction=True)
def test_a_blueprint_of_an_image_that_is_not_allowed_is_not_sold(provider: Provider) -> None:
    blueprint = make_blueprint(provider, build=Build.CONTAINER, egg=None, image="somebody/miner:1")

    builds.check_blueprints(provider.pk)

    blueprint.refresh_from_db()
    assert blueprint.problem == "somebody/miner:1 is not among the images of the provider."
