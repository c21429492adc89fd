"""What every driver must do, run against each driver's stand-in over real HTTP."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pytest
from django.db import transaction

from core import outside
from core.ids import uuid7
from core.outside import limits
from sandbox.client import Sandbox
from servers.drivers import base, registry
from servers.drivers.base import (
    AccountOwner,
    Build,
    Capability,
    Limits,
    PowerAction,
    PowerState,
    RemoteState,
    ServerSpec,
)
from servers.models import Provider, ProviderKind
from tests.servers.actions import control, panel_servers
from tests.servers.builders import panel_keys

LIMITS = Limits(memory_mib=1024, disk_mib=4096, cpu_percent=150, databases=1, backups=2)


@dataclass(frozen=True)
class DriverSetup:
    """A driver connected to its stand-in, and what is needed to use it."""

    driver: base.Driver
    sandbox: Sandbox
    build: Build
    free: tuple[str, ...]

    def fail_next(self, match: str, kind: str, **options: Any) -> None:
        """Arm a fault."""
        self.sandbox.arm("pterodactyl", match, kind, **options)


@pytest.fixture(params=[ProviderKind.PTERODACTYL])
def setup(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[DriverSetup]:
    """Each driver in turn."""
    limits.reset_limits()
    yield {ProviderKind.PTERODACTYL: pterodactyl_setup}[request.param](sandbox)
    limits.reset_limits()


def pterodactyl_setup(sandbox: Sandbox) -> DriverSetup:
    """The panel, with installs and boots that take no time."""
    control(sandbox, "settings", {"install_seconds": 0, "power_seconds": 0, "stats_cache_seconds": 0})
    provider = Provider(kind=ProviderKind.PTERODACTYL, name="P", base_url=sandbox.panel_url)
    provider.credentials = panel_keys(sandbox)
    driver = registry.driver_of(provider)
    remote = driver.inventory()
    egg = next(egg for egg in remote.eggs if egg.name == "Minecraft Paper")
    values = {variable.env_variable: variable.default_value for variable in egg.variables}
    free = tuple(port.ref for port in remote.allocations if port.node_ref == "1" and not port.is_assigned)
    return DriverSetup(driver, sandbox, Build(egg.ref, egg.first_image, egg.startup, values), free)


def make_owner(key: UUID | None = None, email: str = "player@example.com") -> AccountOwner:
    """An owner of servers."""
    return AccountOwner(key or uuid7(), email, "Ada", "Byron")


def spec(setup: DriverSetup, key: UUID | None = None, ports: int = 1, **changes: Any) -> ServerSpec:
    """What a server should be."""
    account = changes.pop("account", None) or setup.driver.account_of(make_owner())
    desired = ServerSpec(key or uuid7(), "Castle", account, LIMITS, setup.free[:ports])
    return replace(desired, **changes)


def test_an_account_is_created_once_and_found_again(setup: DriverSetup) -> None:
    owner = make_owner()

    first, second = setup.driver.account_of(owner), setup.driver.account_of(owner)

    assert first == second
    assert not first.is_admin


def test_an_account_is_never_found_by_its_e_mail(setup: DriverSetup) -> None:
    setup.driver.account_of(make_owner(email="one@example.com"))

    with pytest.raises(base.AccountConflict):
        setup.driver.account_of(make_owner(email="ONE@example.com"))


def test_an_account_created_by_a_call_whose_answer_was_lost_is_the_same(setup: DriverSetup) -> None:
    owner = make_owner()
    setup.fail_next("POST /api/application/users", "lose_answer")
    with pytest.raises(outside.Unknown):
        setup.driver.account_of(owner)

    assert setup.driver.account_of(owner).ref


@pytest.mark.parametrize("name", ["", " ", "\x00\n", "x" * 400, "Зоя", "<b>"])
def test_an_account_can_be_created_with_any_name(setup: DriverSetup, name: str) -> None:
    assert setup.driver.account_of(replace(make_owner(), first_name=name, last_name=name)).ref


def test_what_was_created_is_found_by_our_key_and_only_by_it(setup: DriverSetup) -> None:
    desired = spec(setup, ports=2)

    created = setup.driver.create(desired, setup.build)
    found = setup.driver.find(desired.key)

    assert found is not None
    assert (found.ref, found.key, found.name) == (created.ref, str(desired.key), "Castle")
    assert (found.limits, found.primary_ref) == (LIMITS, desired.allocations[0])
    assert found.allocation_refs == set(desired.allocations)
    assert found.account_ref == desired.account.ref
    assert not found.can_add_ports
    assert setup.driver.find(uuid7()) is None


def test_a_key_that_begins_like_another_is_another(setup: DriverSetup) -> None:
    key = uuid7()
    setup.driver.create(spec(setup, key), setup.build)

    assert setup.driver.find(UUID(int=key.int ^ 1)) is None


def test_a_second_creation_under_one_key_is_refused_and_creates_nothing(setup: DriverSetup) -> None:
    desired = spec(setup)
    setup.driver.create(desired, setup.build)

    with pytest.raises(base.AlreadyExists):
        setup.driver.create(replace(desired, allocations=setup.free[5:6]), setup.build)
    with pytest.raises(base.AlreadyExists):
        setup.driver.create(desired, setup.build)
    assert len(panel_servers(setup.sandbox)) == 1


def test_taken_ports_are_named_and_nothing_is_created(setup: DriverSetup) -> None:
    setup.driver.create(spec(setup, ports=2), setup.build)
    taken, free = setup.free[:2], setup.free[2]
    account = setup.driver.account_of(make_owner(email="second@example.com"))

    with pytest.raises(base.PortTaken) as primary:
        setup.driver.create(spec(setup, account=account, allocations=(taken[0], free)), setup.build)
    with pytest.raises(base.PortTaken) as additional:
        setup.driver.create(spec(setup, account=account, allocations=(free, taken[1])), setup.build)

    assert (primary.value.refs, additional.value.refs) == (frozenset({taken[0]}), frozenset({taken[1]}))
    assert len(panel_servers(setup.sandbox)) == 1


def test_a_setting_the_egg_refuses_is_named(setup: DriverSetup) -> None:
    bad = replace(setup.build, environment={**setup.build.environment, "BUILD_NUMBER": "x" * 99})

    with pytest.raises(outside.Rejected, match="BUILD_NUMBER"):
        setup.driver.create(spec(setup), bad)
    assert panel_servers(setup.sandbox) == []


def test_an_owner_without_an_account_is_refused_as_such(setup: DriverSetup) -> None:
    with pytest.raises(base.AccountNotFound):
        setup.driver.create(spec(setup, account=base.Account("99999", "nobody")), setup.build)


@pytest.mark.parametrize(
    ("fault", "kind", "is_made"),
    [
        ({"kind": "lose_answer"}, outside.Unknown, True),
        ({"kind": "drop"}, outside.Unknown, False),
        ({"kind": "html"}, outside.Unknown, False),
        ({"kind": "huge"}, outside.Unknown, False),
        ({"kind": "status", "status": 502}, outside.Unknown, False),
        ({"kind": "status", "status": 429}, outside.Unavailable, False),
        ({"kind": "status", "status": 503}, outside.Unavailable, False),
        ({"kind": "status", "status": 500}, outside.Unavailable, False),
        ({"kind": "status", "status": 504}, outside.Unavailable, False),
        ({"kind": "status", "status": 401}, outside.Unavailable, False),
    ],
    ids=lambda value: str(value.get("status", value["kind"])) if isinstance(value, dict) else "",
)
def test_a_fault_at_creation_is_raised_by_whether_it_may_have_happened(
    setup: DriverSetup, fault: dict[str, Any], kind: type[Exception], is_made: bool
) -> None:
    desired = spec(setup)
    setup.fail_next("POST /api/application/servers", **fault)

    with pytest.raises(kind) as caught:
        setup.driver.create(desired, setup.build)

    assert type(caught.value) is kind
    assert (setup.driver.find(desired.key) is not None) == is_made


def test_an_answer_that_is_not_the_panels_is_no_absence(setup: DriverSetup) -> None:
    for kind in ("html", "huge", "drop"):
        setup.fail_next("GET /api/application/servers/external", kind, times=3)
        with pytest.raises(outside.Unavailable):
            setup.driver.find(uuid7())
        setup.sandbox.clear_faults()
        limits.reset_limits()


def test_suspending_and_resuming_twice_is_harmless(setup: DriverSetup) -> None:
    desired = spec(setup)
    setup.driver.create(desired, setup.build)
    server = found(setup, desired.key)

    for _ in range(2):
        setup.driver.suspend(server)
        assert found(setup, desired.key).state is RemoteState.SUSPENDED
    for _ in range(2):
        setup.driver.resume(server)
        assert found(setup, desired.key).state is RemoteState.READY


def found(setup: DriverSetup, key: UUID) -> base.RemoteServer:
    """The server, which must be there."""
    remote = setup.driver.find(key)
    assert remote is not None
    return remote


def test_deleting_twice_is_harmless_and_frees_key_and_ports(setup: DriverSetup) -> None:
    desired = spec(setup)
    setup.driver.create(desired, setup.build)
    server = found(setup, desired.key)

    setup.driver.delete(server)
    setup.driver.delete(server)

    assert setup.driver.find(desired.key) is None
    assert setup.driver.create(desired, setup.build).primary_ref == desired.allocations[0]


def test_a_delete_that_did_not_reach_the_node_is_not_done(setup: DriverSetup) -> None:
    desired = spec(setup)
    setup.driver.create(desired, setup.build)
    control(setup.sandbox, "settings", {"node_mode": "refuse"})

    with pytest.raises(outside.Unavailable):
        setup.driver.delete(found(setup, desired.key))
    assert setup.driver.find(desired.key) is not None


def test_new_details_keep_the_key(setup: DriverSetup) -> None:
    desired = spec(setup)
    setup.driver.create(desired, setup.build)

    now = setup.driver.update_details(found(setup, desired.key), replace(desired, name="Tower"))

    assert (now.name, now.key) == ("Tower", str(desired.key))


def test_a_resize_changes_limits_and_ports_and_leaves_none_to_the_customer(setup: DriverSetup) -> None:
    desired = spec(setup, ports=2)
    setup.driver.create(desired, setup.build)
    bigger = replace(desired, limits=replace(LIMITS, memory_mib=2048, backups=7), allocations=setup.free[1:4])

    setup.driver.resize(found(setup, desired.key), bigger)
    now = setup.driver.resize(found(setup, desired.key), bigger)

    assert (now.limits, now.allocation_refs, now.primary_ref) == (
        bigger.limits,
        frozenset(bigger.allocations),
        bigger.allocations[0],
    )
    assert not now.can_add_ports


def test_power_and_usage(setup: DriverSetup) -> None:
    assert {Capability.POWER, Capability.USAGE} <= setup.driver.capabilities
    desired = spec(setup)
    setup.driver.create(desired, setup.build)
    server = found(setup, desired.key)
    assert setup.driver.usage(server.identifier).power_state in {PowerState.STARTING, PowerState.RUNNING}

    setup.driver.send_power_action(server.identifier, PowerAction.KILL)

    usage = setup.driver.usage(server.identifier)
    assert (usage.power_state, usage.memory_mib) == (PowerState.OFF, 0)
    assert usage.disk_mib > 0


def test_a_suspended_server_takes_no_power_action(setup: DriverSetup) -> None:
    desired = spec(setup)
    setup.driver.create(desired, setup.build)
    server = found(setup, desired.key)
    setup.driver.suspend(server)

    with pytest.raises(base.WrongState):
        setup.driver.send_power_action(server.identifier, PowerAction.START)
    with pytest.raises(base.WrongState):
        setup.driver.usage(server.identifier)


@pytest.mark.django_db(transaction=True)
def test_no_call_is_made_inside_a_transaction(setup: DriverSetup) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
        setup.driver.find(uuid7())
