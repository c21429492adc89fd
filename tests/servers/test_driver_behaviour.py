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
from servers.drivers.base import Build, Capability, Limits, Person, Power, RemoteState, ServerSpec, Signal
from servers.models import Provider, ProviderKind
from tests.servers.builders import panel_keys
from tests.servers.steps import control, panel_servers

LIMITS = Limits(memory_mib=1024, disk_mib=4096, cpu_percent=150, databases=1, backups=2)


@dataclass(frozen=True)
class Stage:
    """A driver before its stand-in, and what is needed to use it."""

    driver: base.Provider
    sandbox: Sandbox
    build: Build
    free: tuple[str, ...]

    def fail_next(self, match: str, kind: str, **options: Any) -> None:
        """Arm a fault."""
        self.sandbox.arm("pterodactyl", match, kind, **options)


@pytest.fixture(params=[ProviderKind.PTERODACTYL])
def stage(request: pytest.FixtureRequest, sandbox: Sandbox) -> Iterator[Stage]:
    """Each driver in turn."""
    limits.reset_limits()
    yield {ProviderKind.PTERODACTYL: pterodactyl_stage}[request.param](sandbox)
    limits.reset_limits()


def pterodactyl_stage(sandbox: Sandbox) -> Stage:
    """The panel, with installs and boots that take no time."""
    control(sandbox, "settings", {"install_seconds": 0, "power_seconds": 0, "stats_cache_seconds": 0})
    provider = Provider(kind=ProviderKind.PTERODACTYL, name="P", base_url=sandbox.panel_url)
    provider.credentials = panel_keys(sandbox)
    driver = registry.driver_of(provider)
    seen = driver.inventory()
    egg = next(egg for egg in seen.eggs if egg.name == "Minecraft Paper")
    values = {variable.env_variable: variable.default_value for variable in egg.variables}
    free = tuple(port.ref for port in seen.ports if port.node_ref == "1" and not port.is_assigned)
    return Stage(driver, sandbox, Build(egg.ref, egg.first_image, egg.startup, values), free)


def person(key: UUID | None = None, email: str = "player@example.com") -> Person:
    """Somebody to own servers."""
    return Person(key or uuid7(), email, "Ada", "Byron")


def spec(stage: Stage, key: UUID | None = None, ports: int = 1, **changes: Any) -> ServerSpec:
    """What a server should be."""
    account = changes.pop("account", None) or stage.driver.account_of(person())
    wanted = ServerSpec(key or uuid7(), "Castle", account, LIMITS, stage.free[:ports])
    return replace(wanted, **changes)


def test_an_account_is_made_once_and_found_again(stage: Stage) -> None:
    someone = person()

    first, second = stage.driver.account_of(someone), stage.driver.account_of(someone)

    assert first == second
    assert not first.is_admin


def test_an_account_is_never_found_by_its_e_mail(stage: Stage) -> None:
    stage.driver.account_of(person(email="one@example.com"))

    with pytest.raises(base.AccountConflict):
        stage.driver.account_of(person(email="ONE@example.com"))


def test_an_account_made_by_an_unheard_call_is_the_same(stage: Stage) -> None:
    someone = person()
    stage.fail_next("POST /api/application/users", "lose_answer")
    with pytest.raises(outside.Unknown):
        stage.driver.account_of(someone)

    assert stage.driver.account_of(someone).ref


@pytest.mark.parametrize("name", ["", " ", "\x00\n", "x" * 400, "Зоя", "<b>"])
def test_any_persons_name_makes_an_account(stage: Stage, name: str) -> None:
    assert stage.driver.account_of(replace(person(), first_name=name, last_name=name)).ref


def test_what_was_created_is_found_by_our_key_and_only_by_it(stage: Stage) -> None:
    wanted = spec(stage, ports=2)

    made = stage.driver.create(wanted, stage.build)
    found = stage.driver.find(wanted.key)

    assert found is not None
    assert (found.ref, found.key, found.name) == (made.ref, str(wanted.key), "Castle")
    assert (found.limits, found.primary_ref) == (LIMITS, wanted.allocations[0])
    assert found.allocation_refs == set(wanted.allocations)
    assert found.account_ref == wanted.account.ref
    assert not found.can_add_ports
    assert stage.driver.find(uuid7()) is None


def test_a_key_that_begins_like_another_is_another(stage: Stage) -> None:
    key = uuid7()
    stage.driver.create(spec(stage, key), stage.build)

    assert stage.driver.find(UUID(int=key.int ^ 1)) is None


def test_a_second_creation_under_one_key_is_refused_and_makes_nothing(stage: Stage) -> None:
    wanted = spec(stage)
    stage.driver.create(wanted, stage.build)

    with pytest.raises(base.AlreadyThere):
        stage.driver.create(replace(wanted, allocations=stage.free[5:6]), stage.build)
    with pytest.raises(base.AlreadyThere):
        stage.driver.create(wanted, stage.build)
    assert len(panel_servers(stage.sandbox)) == 1


def test_taken_ports_are_told_by_name_and_nothing_is_made(stage: Stage) -> None:
    stage.driver.create(spec(stage, ports=2), stage.build)
    taken, free = stage.free[:2], stage.free[2]
    account = stage.driver.account_of(person(email="second@example.com"))

    with pytest.raises(base.PortTaken) as primary:
        stage.driver.create(spec(stage, account=account, allocations=(taken[0], free)), stage.build)
    with pytest.raises(base.PortTaken) as additional:
        stage.driver.create(spec(stage, account=account, allocations=(free, taken[1])), stage.build)

    assert (primary.value.refs, additional.value.refs) == (frozenset({taken[0]}), frozenset({taken[1]}))
    assert len(panel_servers(stage.sandbox)) == 1


def test_a_setting_the_egg_refuses_is_named(stage: Stage) -> None:
    bad = replace(stage.build, environment={**stage.build.environment, "BUILD_NUMBER": "x" * 99})

    with pytest.raises(outside.Rejected, match="BUILD_NUMBER"):
        stage.driver.create(spec(stage), bad)
    assert panel_servers(stage.sandbox) == []


def test_an_owner_who_is_gone_is_told(stage: Stage) -> None:
    with pytest.raises(base.AccountGone):
        stage.driver.create(spec(stage, account=base.Account("99999", "nobody")), stage.build)


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
def test_a_fault_at_creation_is_told_by_whether_it_may_have_happened(
    stage: Stage, fault: dict[str, Any], kind: type[Exception], is_made: bool
) -> None:
    wanted = spec(stage)
    stage.fail_next("POST /api/application/servers", **fault)

    with pytest.raises(kind) as caught:
        stage.driver.create(wanted, stage.build)

    assert type(caught.value) is kind
    assert (stage.driver.find(wanted.key) is not None) == is_made


def test_a_question_whose_answer_is_nonsense_is_no_absence(stage: Stage) -> None:
    for kind in ("html", "huge", "drop"):
        stage.fail_next("GET /api/application/servers/external", kind, times=3)
        with pytest.raises(outside.Unavailable):
            stage.driver.find(uuid7())
        stage.sandbox.clear_faults()
        limits.reset_limits()


def test_suspending_and_resuming_twice_is_harmless(stage: Stage) -> None:
    wanted = spec(stage)
    stage.driver.create(wanted, stage.build)
    server = found(stage, wanted.key)

    for _ in range(2):
        stage.driver.suspend(server)
        assert found(stage, wanted.key).condition is RemoteState.SUSPENDED
    for _ in range(2):
        stage.driver.resume(server)
        assert found(stage, wanted.key).condition is RemoteState.READY


def found(stage: Stage, key: UUID) -> base.RemoteServer:
    """The server, which must be there."""
    seen = stage.driver.find(key)
    assert seen is not None
    return seen


def test_deleting_twice_is_harmless_and_frees_key_and_ports(stage: Stage) -> None:
    wanted = spec(stage)
    stage.driver.create(wanted, stage.build)
    server = found(stage, wanted.key)

    stage.driver.delete(server)
    stage.driver.delete(server)

    assert stage.driver.find(wanted.key) is None
    assert stage.driver.create(wanted, stage.build).primary_ref == wanted.allocations[0]


def test_a_delete_that_the_node_did_not_hear_is_not_done(stage: Stage) -> None:
    wanted = spec(stage)
    stage.driver.create(wanted, stage.build)
    control(stage.sandbox, "settings", {"node_mode": "refuse"})

    with pytest.raises(outside.Unavailable):
        stage.driver.delete(found(stage, wanted.key))
    assert stage.driver.find(wanted.key) is not None


def test_a_description_keeps_the_key(stage: Stage) -> None:
    wanted = spec(stage)
    stage.driver.create(wanted, stage.build)

    now = stage.driver.describe(found(stage, wanted.key), replace(wanted, name="Tower"))

    assert (now.name, now.key) == ("Tower", str(wanted.key))


def test_a_resize_moves_limits_and_ports_and_leaves_none_to_the_customer(stage: Stage) -> None:
    wanted = spec(stage, ports=2)
    stage.driver.create(wanted, stage.build)
    bigger = replace(wanted, limits=replace(LIMITS, memory_mib=2048, backups=7), allocations=stage.free[1:4])

    stage.driver.resize(found(stage, wanted.key), bigger)
    now = stage.driver.resize(found(stage, wanted.key), bigger)

    assert (now.limits, now.allocation_refs, now.primary_ref) == (
        bigger.limits,
        frozenset(bigger.allocations),
        bigger.allocations[0],
    )
    assert not now.can_add_ports


def test_power_and_figures(stage: Stage) -> None:
    assert {Capability.POWER, Capability.USAGE} <= stage.driver.capabilities
    wanted = spec(stage)
    stage.driver.create(wanted, stage.build)
    server = found(stage, wanted.key)
    assert stage.driver.usage(server.identifier).power in {Power.STARTING, Power.RUNNING}

    stage.driver.press(server.identifier, Signal.KILL)

    figures = stage.driver.usage(server.identifier)
    assert (figures.power, figures.memory_mib) == (Power.OFF, 0)
    assert figures.disk_mib > 0


def test_a_suspended_server_takes_no_signal(stage: Stage) -> None:
    wanted = spec(stage)
    stage.driver.create(wanted, stage.build)
    server = found(stage, wanted.key)
    stage.driver.suspend(server)

    with pytest.raises(base.WrongState):
        stage.driver.press(server.identifier, Signal.START)
    with pytest.raises(base.WrongState):
        stage.driver.usage(server.identifier)


@pytest.mark.django_db(transaction=True)
def test_no_call_is_made_inside_a_transaction(stage: Stage) -> None:
    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
        stage.driver.find(uuid7())
