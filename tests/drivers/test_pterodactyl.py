"""What only a Pterodactyl panel has: accounts, ports, variables, and answers that say little."""

from dataclasses import replace
from typing import Any

import pytest

from core import outside
from core.ids import uuid7
from core.outside import limits
from sandbox.client import Sandbox
from servers.drivers import base
from servers.drivers.abilities import AccountOwner
from servers.drivers.base import Attempt, PowerAction
from tests.drivers.adapters import LIMITS, Panel, found
from tests.servers.actions import control, panel_servers


def make_owner(email: str = "player@example.com") -> AccountOwner:
    """An owner of servers."""
    return AccountOwner(uuid7(), email, "Ada", "Byron")


def sandbox_of(panel: Panel) -> Sandbox:
    """Its stand-in."""
    assert panel.sandbox is not None
    return panel.sandbox


def fail_next(panel: Panel, match: str, kind: str, **options: Any) -> None:
    """Arm a fault."""
    sandbox_of(panel).arm("pterodactyl", match, kind, **options)


def servers_of(panel: Panel) -> list[dict[str, Any]]:
    """The servers that the stand-in has."""
    return panel_servers(sandbox_of(panel))


def test_an_account_is_created_once_and_found_again(pterodactyl: Panel) -> None:
    owner = make_owner()

    first, second = pterodactyl.driver.account_of(owner), pterodactyl.driver.account_of(owner)

    assert first == second
    assert not first.is_admin


def test_an_account_is_never_found_by_its_e_mail(pterodactyl: Panel) -> None:
    pterodactyl.driver.account_of(make_owner(email="one@example.com"))

    with pytest.raises(base.AccountConflict):
        pterodactyl.driver.account_of(make_owner(email="ONE@example.com"))


def test_an_account_created_by_a_call_whose_answer_was_lost_is_the_same(pterodactyl: Panel) -> None:
    owner = make_owner()
    fail_next(pterodactyl, "POST /api/application/users", "lose_answer")
    with pytest.raises(outside.Unknown):
        pterodactyl.driver.account_of(owner)

    assert pterodactyl.driver.account_of(owner).ref


@pytest.mark.parametrize("name", ["", " ", "\x00\n", "x" * 400, "Зоя", "<b>"])
def test_an_account_can_be_created_with_any_name(pterodactyl: Panel, name: str) -> None:
    assert pterodactyl.driver.account_of(replace(make_owner(), first_name=name, last_name=name)).ref


def test_a_second_creation_under_one_key_is_refused_and_creates_nothing(pterodactyl: Panel) -> None:
    desired = pterodactyl.spec()
    pterodactyl.driver.create(desired)

    with pytest.raises(base.AlreadyExists):
        pterodactyl.driver.create(replace(desired, allocations=pterodactyl.free[5:6]))
    with pytest.raises(base.AlreadyExists):
        pterodactyl.driver.create(desired)
    assert len(servers_of(pterodactyl)) == 1


def test_taken_ports_are_named_and_nothing_is_created(pterodactyl: Panel) -> None:
    pterodactyl.driver.create(pterodactyl.spec(allocations=pterodactyl.free[:2]))
    taken, free = pterodactyl.free[:2], pterodactyl.free[2]
    account = pterodactyl.driver.account_of(make_owner(email="second@example.com"))

    with pytest.raises(base.PortTaken) as primary:
        pterodactyl.driver.create(pterodactyl.spec(account=account, allocations=(taken[0], free)))
    with pytest.raises(base.PortTaken) as additional:
        pterodactyl.driver.create(pterodactyl.spec(account=account, allocations=(free, taken[1])))

    assert (primary.value.refs, additional.value.refs) == (frozenset({taken[0]}), frozenset({taken[1]}))
    assert len(servers_of(pterodactyl)) == 1


def test_a_setting_the_egg_refuses_is_named(pterodactyl: Panel) -> None:
    bad = replace(pterodactyl.build, environment={**pterodactyl.build.environment, "BUILD_NUMBER": "x" * 99})

    with pytest.raises(outside.Rejected, match="BUILD_NUMBER"):
        pterodactyl.driver.create(pterodactyl.spec(build=bad))
    assert servers_of(pterodactyl) == []


def test_an_owner_without_an_account_is_refused_as_such(pterodactyl: Panel) -> None:
    with pytest.raises(base.AccountNotFound):
        pterodactyl.driver.create(pterodactyl.spec(account=base.Account("99999", "nobody")))


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
    pterodactyl: Panel, fault: dict[str, Any], kind: type[Exception], is_made: bool
) -> None:
    desired = pterodactyl.spec()
    fail_next(pterodactyl, "POST /api/application/servers", **fault)

    with pytest.raises(kind) as caught:
        pterodactyl.driver.create(desired)

    assert type(caught.value) is kind
    assert (pterodactyl.driver.find(desired, []) is not None) == is_made


def test_an_answer_that_is_not_the_panels_is_no_absence(pterodactyl: Panel) -> None:
    desired = pterodactyl.spec()
    for kind in ("html", "huge", "drop"):
        fail_next(pterodactyl, "GET /api/application/servers/external", kind, times=3)
        with pytest.raises(outside.Unavailable):
            pterodactyl.driver.find(desired, [])
        sandbox_of(pterodactyl).clear_faults()
        limits.reset_limits()


def test_a_deletion_frees_key_and_ports(pterodactyl: Panel) -> None:
    desired = pterodactyl.spec()
    pterodactyl.driver.create(desired)

    pterodactyl.driver.delete(found(pterodactyl, desired))

    assert pterodactyl.driver.create(desired).addresses[0].ref == desired.allocations[0]


def test_a_server_of_another_panel_under_the_stored_number_is_not_ours(pterodactyl: Panel) -> None:
    desired = pterodactyl.spec()
    pterodactyl.driver.create(desired)
    remote = found(pterodactyl, desired)
    pterodactyl.erase_key(remote)

    assert pterodactyl.driver.find(desired, [Attempt(1, remote.ref, "00000000")]) is None


def test_ports_that_the_panel_skips_are_named(pterodactyl: Panel) -> None:
    desired, other = pterodactyl.spec(), pterodactyl.spec(allocations=pterodactyl.free[1:2])
    pterodactyl.driver.create(desired)
    pterodactyl.driver.create(other)

    with pytest.raises(base.PortTaken) as caught:
        pterodactyl.driver.apply(replace(desired, allocations=pterodactyl.free[:2]), found(pterodactyl, desired))

    assert caught.value.refs == {pterodactyl.free[1]}


def test_a_delete_that_did_not_reach_the_node_is_not_done(pterodactyl: Panel) -> None:
    desired = pterodactyl.spec()
    pterodactyl.driver.create(desired)
    control(sandbox_of(pterodactyl), "settings", {"node_mode": "refuse"})

    with pytest.raises(outside.Unavailable):
        pterodactyl.driver.delete(found(pterodactyl, desired))
    assert pterodactyl.driver.find(desired, []) is not None


def test_a_resize_changes_limits_and_ports_and_leaves_none_to_the_customer(pterodactyl: Panel) -> None:
    desired = pterodactyl.spec(allocations=pterodactyl.free[:2])
    pterodactyl.driver.create(desired)
    bigger = replace(desired, limits=replace(LIMITS, memory_mib=2048, backups=7), allocations=pterodactyl.free[1:4])

    pterodactyl.driver.apply(bigger, found(pterodactyl, desired))
    now = pterodactyl.driver.apply(bigger, found(pterodactyl, desired))

    assert pterodactyl.driver.differences(bigger, now) == frozenset()
    assert {address.ref for address in now.addresses} == set(bigger.allocations)
    assert not now.facts["can_add_ports"]


def test_a_suspended_server_takes_no_power_action(pterodactyl: Panel) -> None:
    desired = pterodactyl.spec()
    pterodactyl.driver.create(desired)
    server = found(pterodactyl, desired)
    pterodactyl.driver.suspend(server)

    with pytest.raises(base.WrongState):
        pterodactyl.driver.send_power_action(server.identifier, PowerAction.START)
    with pytest.raises(base.WrongState):
        pterodactyl.driver.usage(server.identifier)
