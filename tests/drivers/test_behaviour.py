"""What every driver must do, whatever it can: one suite that each runs against its own stand-in over real HTTP."""

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.db import transaction

from core import outside
from core.ids import uuid7
from servers.drivers import base
from servers.drivers.abilities import Power, Reinstall, Suspension, UsageFigures
from servers.drivers.base import Attempt, Difference, PowerAction, PowerState, RemoteState
from servers.drivers.inventory import Inventory, ServerLookup
from servers.drivers.self_service import Logs, Rebuild
from tests.drivers.adapters import Adapter, asked, found, near_key


def test_what_was_created_is_found_by_our_key_and_only_by_it(adapter: Adapter) -> None:
    spec = adapter.spec()

    created = adapter.driver.create(spec)

    assert found(adapter, spec).ref == created.ref
    assert adapter.driver.find(replace(spec, key=uuid7()), []) is None
    assert adapter.driver.find(replace(spec, key=near_key(spec.key)), []) is None


def test_what_was_created_does_not_differ_from_its_spec(adapter: Adapter) -> None:
    spec = adapter.spec()
    adapter.driver.create(spec)

    assert adapter.driver.differences(spec, found(adapter, spec)) == frozenset()


def test_a_creation_whose_answer_was_lost_is_found(adapter: Adapter) -> None:
    skip_unless(adapter.can_fail)
    spec = adapter.spec()
    attempt = asked(adapter, spec)
    adapter.lose_answer()
    with pytest.raises(outside.Unknown):
        adapter.driver.create(spec)

    assert adapter.driver.find(spec, [attempt]) is not None


def test_a_creation_that_never_arrived_is_not_found(adapter: Adapter) -> None:
    skip_unless(adapter.can_fail)
    spec = adapter.spec()
    attempt = asked(adapter, spec)
    adapter.lose_request()
    with pytest.raises((outside.Unknown, outside.Unavailable)):
        adapter.driver.create(spec)

    assert adapter.driver.find(spec, [attempt]) is None
    adapter.driver.create(spec)
    assert found(adapter, spec)


def test_a_new_name_is_a_difference_that_can_be_taken_away(adapter: Adapter) -> None:
    skip_unless(adapter.keeps_names)
    spec = adapter.spec()
    adapter.driver.create(spec)
    renamed = replace(spec, name="Tower")
    assert adapter.driver.differences(renamed, found(adapter, spec)) == {Difference.NAME}

    changed = adapter.driver.apply(renamed, found(adapter, spec))

    assert adapter.driver.differences(renamed, changed) == frozenset()
    assert found(adapter, spec).ref == changed.ref


def test_a_larger_size_is_a_difference_that_can_be_taken_away(adapter: Adapter) -> None:
    spec = adapter.spec()
    adapter.driver.create(spec)
    larger = adapter.larger(spec)
    assert Difference.SIZE in adapter.driver.differences(larger, found(adapter, spec))

    changed = adapter.driver.apply(larger, found(adapter, spec))

    assert adapter.driver.differences(larger, changed) == frozenset()


def test_a_server_whose_key_was_erased_is_found_by_its_ref_and_gets_its_key_back(adapter: Adapter) -> None:
    spec = adapter.spec()
    adapter.driver.create(spec)
    remote = found(adapter, spec)
    adapter.erase_key(remote)
    attempts = [Attempt(1, remote.ref, remote.identifier)]

    keyless = adapter.driver.find(spec, attempts)
    assert keyless is not None
    assert keyless.ref == remote.ref
    assert adapter.driver.differences(spec, keyless) == {Difference.KEY}
    adapter.driver.apply(spec, keyless)

    assert found(adapter, spec).ref == remote.ref


def test_a_server_that_is_not_ours_is_looked_up_by_its_number_and_can_be_made_ours(adapter: Adapter) -> None:
    driver, theirs = adapter.driver, adapter.spec()
    skip_unless(isinstance(driver, ServerLookup))
    assert isinstance(driver, ServerLookup)
    assert isinstance(driver, Inventory)
    driver.create(theirs)
    remote, ours = found(adapter, theirs), replace(theirs, key=uuid7())

    seen = driver.look_up(remote.ref)

    listed = next(each for each in driver.servers() if each.ref == remote.ref)
    assert seen is not None
    assert replace(seen, node_ref=listed.node_ref) == listed
    assert (seen.key, seen.identifier) == (str(theirs.key), remote.identifier)
    adopted = driver.find(ours, [Attempt(0, seen.ref, seen.identifier)])
    assert adopted is not None
    assert Difference.KEY in driver.differences(ours, adopted)
    assert driver.differences(ours, adopted) <= {Difference.KEY, Difference.NAME}
    driver.apply(ours, adopted)
    assert found(adapter, ours).ref == remote.ref
    assert driver.find(theirs, []) is None
    driver.delete(remote)
    assert driver.look_up(remote.ref) is None


def test_deleting_twice_is_harmless(adapter: Adapter) -> None:
    spec = adapter.spec()
    adapter.driver.create(spec)
    remote = found(adapter, spec)

    adapter.driver.delete(remote)
    adapter.driver.delete(remote)

    assert adapter.driver.find(spec, [Attempt(1, remote.ref, remote.identifier)]) is None
    adapter.driver.create(spec)


def test_an_installed_server_says_where_it_is_reached(adapter: Adapter) -> None:
    spec = adapter.spec()
    adapter.driver.create(spec)
    installed(adapter, spec)

    main = found(adapter, spec).addresses[0]

    assert main.ip
    assert main.ref == (spec.allocations[0] if spec.allocations else "")


def test_suspending_and_resuming_twice_is_harmless(adapter: Adapter) -> None:
    driver, spec = adapter.driver, adapter.spec()
    skip_unless(isinstance(driver, Suspension))
    assert isinstance(driver, Suspension)
    adapter.driver.create(spec)
    remote = installed(adapter, spec)

    for _ in range(2):
        driver.suspend(remote)
        assert found(adapter, spec).state is RemoteState.SUSPENDED
    for _ in range(2):
        driver.resume(remote)
        assert found(adapter, spec).state is RemoteState.READY


def test_a_power_action_shows_in_the_usage(adapter: Adapter) -> None:
    driver, spec = adapter.driver, adapter.spec()
    skip_unless(isinstance(driver, Power) and isinstance(driver, UsageFigures))
    assert isinstance(driver, Power)
    assert isinstance(driver, UsageFigures)
    adapter.driver.create(spec)
    server = installed(adapter, spec)

    driver.send_power_action(server.identifier, PowerAction.KILL)
    assert reaches(adapter, server, {PowerState.OFF})
    driver.send_power_action(server.identifier, PowerAction.START)

    assert reaches(adapter, server, {PowerState.STARTING, PowerState.RUNNING})


def test_a_server_can_be_installed_again(adapter: Adapter) -> None:
    driver, spec = adapter.driver, adapter.spec()
    skip_unless(isinstance(driver, Reinstall))
    assert isinstance(driver, Reinstall)
    adapter.driver.create(spec)

    server = installed(adapter, spec)
    able: object = adapter.driver
    before: list[str] = able.installs(server.identifier) if isinstance(able, Rebuild) else []
    time.sleep(1 if before else 0)  # a time in whole seconds is another one
    when_possible(adapter, lambda: driver.reinstall(spec, server))

    assert installed(adapter, spec).state is RemoteState.READY
    if isinstance(able, Rebuild):
        assert set(able.installs(server.identifier)) - set(before)


def test_what_a_program_writes_can_be_read(adapter: Adapter) -> None:
    driver, spec = adapter.driver, adapter.spec()
    skip_unless(isinstance(driver, Logs))
    assert isinstance(driver, Logs)
    server = adapter.driver.create(spec)

    assert isinstance(driver.last_lines(server.identifier), str)


def test_the_inventory_lists_the_server_under_its_key(adapter: Adapter) -> None:
    driver, spec = adapter.driver, adapter.spec()
    skip_unless(isinstance(driver, Inventory))
    assert isinstance(driver, Inventory)
    created = adapter.driver.create(spec)

    listed = {server.ref: server for server in driver.servers()}
    nodes = {node.ref: node for node in driver.nodes()}

    assert listed[created.ref].key == str(spec.key)
    assert nodes[listed[created.ref].node_ref].location_ref in {location.ref for location in driver.locations()}


@pytest.mark.django_db(transaction=True)
def test_no_call_is_made_inside_a_transaction(adapter: Adapter) -> None:
    spec = adapter.spec()

    with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
        adapter.driver.find(spec, [])


def when_possible(adapter: Adapter, act: Callable[[], None]) -> None:
    """Do it; the node of a real panel may be busy with the server for some seconds, such as with starting it."""
    for _ in range(0 if adapter.can_fail else 60):
        try:
            return act()
        except outside.Unavailable:
            time.sleep(1)
    return act()


def reaches(adapter: Adapter, server: base.RemoteServer, states: set[PowerState]) -> bool:
    """Whether the figures come to say so: a stand-in's at once, a real panel's when they are new."""
    assert isinstance(adapter.driver, UsageFigures)
    for _ in range(1 if adapter.can_fail else 2 + int(adapter.driver.facts.usage_max_age.total_seconds())):
        if adapter.driver.usage(server.identifier).power_state in states:
            return True
        time.sleep(0 if adapter.can_fail else 1)
    return False


def installed(adapter: Adapter, spec: base.ServerSpec) -> base.RemoteServer:
    """The server once its install has ended: stand-ins need a few looks, a real panel some minutes."""
    for _ in range(600):
        remote = found(adapter, spec)
        if remote.state is RemoteState.CREATED:
            assert isinstance(adapter.driver, Reinstall)
            adapter.driver.reinstall(spec, remote)
        elif remote.state is not RemoteState.INSTALLING:
            return remote
        if not adapter.can_fail:
            time.sleep(1)
    raise AssertionError("the install does not end")


def skip_unless(condition: object) -> None:
    """Skip what this provider cannot do."""
    if not condition:
        pytest.skip("this provider cannot do that")
