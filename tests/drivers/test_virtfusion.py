"""VirtFusion's own: two steps without a key, a lost answer told by comparison, queues, and its errors."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache

from core import outside
from core.ids import uuid7
from sandbox.client import Sandbox
from servers import convergence, inventory, resizing, services
from servers.capacity import Size
from servers.drivers.base import AccountConflict, Attempt, PowerAction, RemoteState, WrongState
from servers.drivers.virtfusion.driver import VirtFusionDriver
from servers.models import DriftFinding, HoldKind, Node, Provider, Server, ServerStatus, Step, SyncState
from tests.drivers.adapters import VirtFusion, virtfusion_provider
from tests.servers.actions import run_until_quiet, steps_of
from tests.servers.builders import AT, assign_regions, make_blueprint, make_plan, make_server, make_user

SIZE = Size(memory_mib=2048, disk_mib=40 * 1024, cpu_percent=200, ports=0)
LARGER = Size(memory_mib=4096, disk_mib=80 * 1024, cpu_percent=400, ports=0)
SERVERS = "POST /api/v1/servers"
WRITES = (
    "PUT /api/v1/servers/*/modify/*",
    "POST /api/v1/servers/*/build",
    "POST /api/v1/servers/*/suspend",
    "POST /api/v1/servers/*/unsuspend",
    "PUT /api/v1/servers/*/package/*",
    "DELETE /api/v1/servers",
    "POST /api/v1/users",
)
LATER = timedelta(hours=2)


@pytest.fixture
def provider(sandbox: Sandbox, transactional_db: None) -> Provider:
    """The control server as a provider, synced."""
    cache.clear()
    provider = virtfusion_provider(sandbox)
    provider.save()
    run = inventory.sync(provider_id=provider.pk, at=AT)
    assert (run.state, run.error) == (SyncState.COMPLETED, "")
    assign_regions(provider)
    return provider


def make_machine(provider: Provider, **fields: Any) -> Server:
    """A paid machine, not converged yet."""
    plan = make_plan(memory_mib=SIZE.memory_mib, disk_mib=SIZE.disk_mib, cpu_percent=SIZE.cpu_percent, ports=0)
    blueprint = make_blueprint(provider, plan, plan_ref="12", image="5")
    return make_server(provider, plan=plan, blueprint=blueprint, size=SIZE, databases=0, backups=0, **fields)


def make_running_machine(provider: Provider, **fields: Any) -> Server:
    """A machine that convergence has brought to running."""
    server = make_machine(provider, **fields)
    run_until_quiet(AT)
    server = server.reload()
    assert server.status == ServerStatus.RUNNING, server.failure
    return server


def machines(sandbox: Sandbox) -> list[dict[str, Any]]:
    """What the control server has."""
    return list(sandbox.virtfusion_state()["servers"])


def builds(sandbox: Sandbox) -> list[int]:
    """How often each machine was built."""
    return [machine["builds"] for machine in machines(sandbox)]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("lose_answer", {}),
        ("status", {"status": 423}),
    ],
)
def test_a_whole_life_with_each_call_failing_once_is_one_machine_built_once(
    sandbox: Sandbox, provider: Provider, kind: str, options: dict[str, Any]
) -> None:
    for match in WRITES:
        sandbox.arm("virtfusion", match, kind, **options)
    sandbox.arm("virtfusion", SERVERS, kind, **options)  # the dry run
    sandbox.arm("virtfusion", SERVERS, kind, after=1, **options)
    server = make_running_machine(provider)
    [machine] = machines(sandbox)
    assert (machine["builds"], server.ref, machine["hypervisorId"]) == (1, str(machine["id"]), 7)
    assert (machine["name"], server.address) == (f"My server [{server.pk}]", machine["address"])
    assert steps_of(server) == [Step.PLACED, Step.ACCOUNT, Step.CREATED, Step.INSTALLED, Step.RUNNING]

    services.hold_servers(server_ids=[server.pk], kind=HoldKind.BILLING, reason="due", actor=None, at=AT + LATER)
    run_until_quiet(AT + LATER)
    assert (server.reload().status, machines(sandbox)[0]["suspended"]) == (ServerStatus.SUSPENDED, True)
    services.lift_holds(server_ids=[server.pk], kind=HoldKind.BILLING, actor=None, at=AT + 2 * LATER)
    run_until_quiet(AT + 2 * LATER)
    assert (server.reload().status, machines(sandbox)[0]["power"]) == (ServerStatus.RUNNING, "running")

    plan = make_plan(memory_mib=LARGER.memory_mib, disk_mib=LARGER.disk_mib, cpu_percent=400, ports=0)
    blueprint = make_blueprint(provider, plan, plan_ref="13", image="5")
    new = resizing.NewSize(plan=plan, blueprint=blueprint, size=LARGER, databases=0, backups=0)
    assert resizing.resize_server(server_id=server.pk, new=new, actor=None, at=AT + 3 * LATER)
    run_until_quiet(AT + 3 * LATER)
    assert (server.reload().status, server.reload().resize_asked_at) == (ServerStatus.RUNNING, None)
    [machine] = machines(sandbox)
    assert (machine["builds"], machine["resources"]["memory"], machine["resources"]["storage"]) == (1, 4096, 80)

    services.delete_servers(server_ids=[server.pk], actor=None, at=AT + 4 * LATER)
    run_until_quiet(AT + 4 * LATER)
    assert (server.reload().status, machines(sandbox)) == (ServerStatus.DELETED, [])
    # What a lost answer did create is named by its build, and what it did resize needs nothing more.
    assert {fault["match"] for fault in sandbox.faults() if not fault["hits"]} <= {WRITES[0]}
    assert not Node.objects.exclude(servers_reserved=0, memory_reserved_mib=0).exists()


def test_what_was_new_to_its_account_is_told_from_what_was_there(sandbox: Sandbox, provider: Provider) -> None:
    first = make_running_machine(provider)
    sandbox.virtfusion_change(f"servers/{first.ref}", name="renamed there", built=None)
    second = make_machine(provider, owner=first.owner)
    sandbox.arm("virtfusion", SERVERS, "lose_answer", after=1)

    run_until_quiet(AT)

    second = second.reload()
    assert (second.status, len(machines(sandbox))) == (ServerStatus.RUNNING, 2)
    assert second.ref not in {"", first.ref}


def test_of_one_account_a_creation_waits_until_the_one_before_is_known(sandbox: Sandbox, provider: Provider) -> None:
    owner = make_user()
    servers = [make_machine(provider, owner=owner) for _ in range(3)]
    sandbox.virtfusion_change("settings", list_lag_seconds=3600)
    sandbox.arm("virtfusion", SERVERS, "lose_answer", after=1)
    sandbox.arm("virtfusion", "PUT /api/v1/servers/*/modify/name", "status", status=500, times=0)

    run_until_quiet(AT, within=timedelta(seconds=60))  # the first is not listed yet, and its answer was lost

    assert len(machines(sandbox)) == 1
    assert [each.reload().ref for each in servers] == ["", "", ""]
    sandbox.virtfusion_change("settings", list_lag_seconds=0)
    run_until_quiet(AT + timedelta(seconds=60))
    assert {each.reload().status for each in servers} == {ServerStatus.RUNNING}
    assert {each.reload().ref for each in servers} == {str(machine["id"]) for machine in machines(sandbox)}
    assert builds(sandbox) == [1, 1, 1]


def test_two_machines_that_may_be_it_are_for_staff_and_nothing_more_is_created(
    sandbox: Sandbox, provider: Provider
) -> None:
    server = make_machine(provider)
    sandbox.arm("virtfusion", SERVERS, "lose_answer", after=1)
    run_until_quiet(AT, within=timedelta(seconds=1))
    panel = VirtFusion(sandbox)
    panel.owner = replace(panel.owner, key=server.owner_id)
    sandbox.arm("virtfusion", "PUT /api/v1/servers/*/modify/name", "status", status=500)
    twin = panel.driver.create(panel.spec(limits=convergence.context.spec_of(server).limits))

    run_until_quiet(AT)

    server = server.reload()
    assert (server.status, len(machines(sandbox)), builds(sandbox)) == (ServerStatus.FAILED, 2, [0, 0])
    assert "It is not known whether server" in server.failure
    panel.driver.delete(twin)
    services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)
    assert (server.reload().status, len(machines(sandbox))) == (ServerStatus.RUNNING, 1)


def test_a_machine_of_another_size_is_not_taken_for_the_lost_one(sandbox: Sandbox, provider: Provider) -> None:
    server = make_machine(provider)
    sandbox.arm("virtfusion", SERVERS, "lose_answer", after=1)
    run_until_quiet(AT, within=timedelta(seconds=1))
    [machine] = machines(sandbox)
    sandbox.virtfusion_change(f"servers/{machine['id']}", resources=machine["resources"] | {"memory": 1024})

    run_until_quiet(AT)

    assert (server.reload().status, len(machines(sandbox))) == (ServerStatus.FAILED, 1)


def test_what_belongs_to_another_server_of_ours_is_neither_attached_nor_deleted(
    sandbox: Sandbox, provider: Provider
) -> None:
    first = make_running_machine(provider)
    second = make_machine(provider, owner=first.owner)
    sandbox.virtfusion_change(f"servers/{first.ref}", name=f"My server [{second.pk}]")

    run_until_quiet(AT)
    assert (second.reload().status, second.ref) == (ServerStatus.FAILED, "")
    services.delete_servers(server_ids=[second.pk], actor=None, at=AT)
    run_until_quiet(AT)

    assert [str(machine["id"]) for machine in machines(sandbox)] == [first.ref]


def test_a_failed_build_is_repeated_only_when_a_person_asks(sandbox: Sandbox, provider: Provider) -> None:
    sandbox.virtfusion_change("settings", build_outcome="failed")
    server = make_machine(provider)
    run_until_quiet(AT)
    assert (server.reload().status, builds(sandbox)) == (ServerStatus.FAILED, [1])

    sandbox.virtfusion_change("settings", build_outcome="ok")
    run_until_quiet(AT + LATER)
    assert builds(sandbox) == [1]
    services.retry(server_id=server.pk, actor=None, at=AT + LATER)
    run_until_quiet(AT + LATER)

    assert (server.reload().status, builds(sandbox)) == (ServerStatus.RUNNING, [2])


def test_a_build_that_never_arrived_is_asked_for_again_but_not_soon(sandbox: Sandbox, provider: Provider) -> None:
    server = make_machine(provider)
    sandbox.arm("virtfusion", "POST /api/v1/servers/*/build", "drop")

    run_until_quiet(AT, within=timedelta(seconds=100))
    assert len(sandbox.requests("virtfusion", "POST /api/v1/servers/*/build")) == 1
    run_until_quiet(AT + timedelta(seconds=100))

    assert (server.reload().status, builds(sandbox)) == (ServerStatus.RUNNING, [1])


def test_what_has_run_is_never_built_again(sandbox: Sandbox, provider: Provider) -> None:
    server = make_running_machine(provider)

    for changes in ({"buildFailed": True}, {"buildFailed": False, "built": None}):
        sandbox.virtfusion_change(f"servers/{server.ref}", **changes)
        services.request_convergence(server_ids=[server.pk], at=AT + LATER)
        run_until_quiet(AT + LATER)
        assert server.reload().status == ServerStatus.FAILED
        services.retry(server_id=server.pk, actor=None, at=AT + LATER)
        run_until_quiet(AT + LATER)

        assert (server.reload().status, builds(sandbox)) == (ServerStatus.FAILED, [1])


def test_a_hold_during_the_build_waits_for_its_end_and_hides_nothing(sandbox: Sandbox, provider: Provider) -> None:
    sandbox.virtfusion_change("settings", build_seconds=3600)
    server = make_machine(provider)
    run_until_quiet(AT, within=timedelta(seconds=30))
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
    run_until_quiet(AT, within=timedelta(seconds=30))
    assert (server.reload().status, machines(sandbox)[0]["suspended"]) == (ServerStatus.INSTALLING, False)

    sandbox.advance(3601)
    run_until_quiet(AT + LATER)
    assert (server.reload().status, machines(sandbox)[0]["suspended"]) == (ServerStatus.SUSPENDED, True)
    services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=AT + LATER)
    run_until_quiet(AT + LATER)

    assert (server.reload().status, builds(sandbox)) == (ServerStatus.RUNNING, [1])


def test_what_the_queue_takes_its_time_for_is_waited_for(sandbox: Sandbox, provider: Provider) -> None:
    server = make_running_machine(provider)
    sandbox.virtfusion_change("settings", suspend_seconds=600, delete_seconds=600)

    for act, match in (("suspend", "hold_servers"), ("unsuspend", "lift_holds")):
        reason = {"reason": "due"} if match == "hold_servers" else {}
        change = getattr(services, match)
        change(server_ids=[server.pk], kind=HoldKind.BILLING, actor=None, at=AT, **reason)
        run_until_quiet(AT, within=timedelta(seconds=10))
        assert len(sandbox.requests("virtfusion", f"POST /api/v1/servers/*/{act}")) < 10
        sandbox.advance(601)
        run_until_quiet(AT)
    assert server.reload().status == ServerStatus.RUNNING

    services.delete_servers(server_ids=[server.pk], actor=None, at=AT)
    run_until_quiet(AT, within=timedelta(seconds=10))
    assert (server.reload().status, len(machines(sandbox))) == (ServerStatus.DELETING, 1)
    assert len(sandbox.requests("virtfusion", "DELETE /api/v1/servers")) < 10
    sandbox.advance(601)
    run_until_quiet(AT)
    assert (server.reload().status, machines(sandbox)) == (ServerStatus.DELETED, [])


def test_a_full_group_refuses_before_anything_is_asked_for(sandbox: Sandbox, provider: Provider) -> None:
    server = make_machine(provider)
    for number in (7, 8):
        sandbox.virtfusion_change(f"hypervisors/{number}", memory=1024)

    run_until_quiet(AT)

    server = server.reload()
    assert (server.status, server.create_asked_at, machines(sandbox)) == (ServerStatus.FAILED, None, [])
    assert "no hypervisor in the group can take this server" in server.failure
    assert [each["query"] for each in sandbox.requests("virtfusion", SERVERS)] == ["dryRun=true"]


def test_a_group_sells_what_its_open_hypervisors_have_together(sandbox: Sandbox, provider: Provider) -> None:
    def sellable(name: str) -> tuple[int, int]:
        assert inventory.sync(provider_id=provider.pk, at=AT).error == ""
        node = Node.objects.get(provider=provider, name=name)
        return node.memory_sellable_mib, node.disk_sellable_mib // 1024

    assert sellable("Frankfurt") == (65536 + 32768, 3000)
    ours = make_running_machine(provider)
    assert sellable("Frankfurt") == (65536 + 32768, 3000)
    sandbox.virtfusion_change("hypervisors/7", prohibit=True)
    assert sellable("Frankfurt") == (ours.memory_mib + 32768, 40 + 1000)
    sandbox.virtfusion_change("hypervisors/8", memory=0)  # without a limit nobody knows what is free
    assert sellable("Frankfurt") == (ours.memory_mib, 40 + 1000)

    panel = VirtFusion(sandbox)
    panel.driver.create(panel.spec(location_ref="2"))  # not ours
    assert sellable("New York") == (16384 - 1024, 500 - 4)
    pool = {"id": 3, "storageType": 2, "enabled": 1, "isDatastore": True, "max": 100, "free": 100, "name": "Ceph"}
    for number in (7, 8):
        sandbox.virtfusion_change(f"hypervisors/{number}", prohibit=False, otherStorage=[pool])
    Provider.objects.update(configuration={"storage_type": 2})
    assert sellable("Frankfurt")[1] == 100
    assert {each.kind for each in DriftFinding.objects.filter(closed_at=None)} <= {"orphan", "node_shrunk"}


@pytest.mark.parametrize(("status", "shape"), [(409, "list"), (422, "list"), (422, "map")])
def test_an_address_of_another_user_there_is_a_conflict(
    sandbox: Sandbox, virtfusion: VirtFusion, status: int, shape: str
) -> None:
    sandbox.virtfusion_change("settings", duplicate_status=status, errors_shape=shape)
    account = virtfusion.account()
    assert isinstance(virtfusion.driver, VirtFusionDriver)
    assert virtfusion.driver.account_of(virtfusion.owner) == account
    other = replace(virtfusion.owner, key=uuid7())

    with pytest.raises(AccountConflict, match="another user with this customer's email"):
        virtfusion.driver.account_of(other)
    changed = virtfusion.driver.update_account(account, replace(virtfusion.owner, email="new@example.com"))
    assert (changed.email, virtfusion.account()) == ("new@example.com", changed)
    virtfusion.driver.account_of(replace(other, email="other@example.com"))
    with pytest.raises(AccountConflict):
        virtfusion.driver.update_account(account, replace(virtfusion.owner, email="other@example.com"))


def test_the_customers_keys_are_added_once_and_let_them_in(sandbox: Sandbox, virtfusion: VirtFusion) -> None:
    spec = virtfusion.spec()
    keys = ("ssh-ed25519 AAAAfirst ada@home", "ssh-ed25519 AAAAsecond")
    spec = replace(spec, build=replace(spec.build, ssh_keys=keys))  # type: ignore[type-var]
    assert isinstance(virtfusion.driver, VirtFusionDriver)
    remote = virtfusion.driver.create(spec)

    for _ in range(2):
        virtfusion.driver.reinstall(spec, remote)

    state = sandbox.virtfusion_state()
    assert [key["publicKey"] for key in state["ssh_keys"]] == list(keys)
    assert state["servers"][0]["ssh_keys"] == [key["id"] for key in state["ssh_keys"]]
    bodies = [each["body"] for each in sandbox.requests("virtfusion", "POST /api/v1/servers/*/build")]
    assert {body["email"] for body in bodies} == {False}


def test_a_control_server_before_version_7_is_named_by_its_older_path(sandbox: Sandbox, virtfusion: VirtFusion) -> None:
    sandbox.virtfusion_change("settings", version=6)
    spec = virtfusion.spec()

    remote = virtfusion.driver.create(spec)

    assert machines(sandbox)[0]["name"] == f"Castle [{spec.key}]"
    changed = virtfusion.driver.apply(virtfusion.larger(spec), remote)
    assert virtfusion.driver.differences(virtfusion.larger(spec), changed) == frozenset()


def test_a_disk_never_shrinks_and_that_is_no_difference(sandbox: Sandbox, virtfusion: VirtFusion) -> None:
    spec = virtfusion.spec()
    virtfusion.driver.create(virtfusion.larger(spec))
    [machine] = machines(sandbox)
    large = virtfusion.driver.find(spec, [])
    assert large is not None

    small = virtfusion.driver.apply(spec, large)

    assert virtfusion.driver.differences(spec, small) == frozenset()
    assert machines(sandbox)[0]["resources"] == machine["resources"] | {"memory": 1024, "cpuCores": 2, "traffic": 2000}


def test_only_the_panels_own_words_mean_that_a_server_is_gone(sandbox: Sandbox, virtfusion: VirtFusion) -> None:
    spec = virtfusion.spec()
    remote = virtfusion.driver.create(spec)
    attempt = [Attempt(1, remote.ref, remote.identifier)]

    sandbox.arm("virtfusion", "GET /api/v1/servers", "status", status=404)
    with pytest.raises(outside.Rejected):
        virtfusion.driver.find(spec, attempt)
    sandbox.clear_faults()
    sandbox.arm("virtfusion", "DELETE /api/v1/servers", "status", status=404)
    with pytest.raises(outside.Rejected):
        virtfusion.driver.delete(remote)
    assert virtfusion.driver.find(spec, attempt) is not None


def test_a_token_that_is_wrong_or_may_not_do_it_is_waited_for(sandbox: Sandbox, virtfusion: VirtFusion) -> None:
    spec = virtfusion.spec()
    provider = virtfusion_provider(sandbox)
    provider.credentials = {"token": "wrong"}
    with pytest.raises(outside.Unavailable, match="does the token have all permissions"):
        VirtFusionDriver(provider).find(spec, [])
    sandbox.virtfusion_change("settings", scopes=["compute"])
    with pytest.raises(outside.Unavailable, match="Forbidden"):
        virtfusion.driver.create(spec)


@pytest.mark.parametrize("configuration", [{"ip4": 1}, {"ipv4": "1"}, {"ipv4": -1}, {"storage_type": True}])
def test_a_wrong_configuration_says_what_is_wrong(sandbox: Sandbox, configuration: dict[str, Any]) -> None:
    provider = virtfusion_provider(sandbox)
    provider.configuration = configuration

    with pytest.raises(outside.Unavailable, match=f"{next(iter(configuration))}.*"):
        VirtFusionDriver(provider)


def test_a_server_that_is_being_built_takes_no_power_action(sandbox: Sandbox, virtfusion: VirtFusion) -> None:
    sandbox.virtfusion_change("settings", build_seconds=3600)
    spec = virtfusion.spec()
    assert isinstance(virtfusion.driver, VirtFusionDriver)
    remote = virtfusion.driver.create(spec)
    with pytest.raises(WrongState):
        virtfusion.driver.send_power_action(remote.identifier, PowerAction.START)
    virtfusion.driver.reinstall(spec, remote)

    with pytest.raises(outside.Unavailable):
        virtfusion.driver.send_power_action(remote.identifier, PowerAction.START)
    found = virtfusion.driver.find(spec, [])
    assert found is not None
    assert found.state is RemoteState.INSTALLING
