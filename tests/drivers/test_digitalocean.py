"""What only DigitalOcean has: tags that come late, one action at a time, and passwords that it would mail."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from core import outside
from servers.drivers.base import Attempt, Difference, MachineBuild, PowerAction, PowerState, RemoteState, ServerSpec
from servers.drivers.digitalocean import driver as module
from servers.drivers.digitalocean import first_boot
from tests.drivers.adapters import Cloud, found

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZ5dQ0Rz3m1yX0M1b5v9oU1h3l8Yx2x7o6W0m0r5c9K ada@example.com"
LOST = [Attempt(1, "", "")]


def lose_creation(cloud: Cloud, spec: ServerSpec) -> None:
    """A creation whose answer was lost."""
    cloud.lose_answer()
    with pytest.raises(outside.Unknown):
        cloud.driver.create(spec)


def with_build(spec: ServerSpec, **changes: Any) -> ServerSpec:
    """The same server, built otherwise."""
    assert isinstance(spec.build, MachineBuild)
    return replace(spec, build=replace(spec.build, **changes))


def test_a_lost_creation_is_found_by_its_name_while_its_tags_are_late_and_then_gets_them(digitalocean: Cloud) -> None:
    digitalocean.set(tag_seconds=10_000)
    spec = digitalocean.spec()
    lose_creation(digitalocean, spec)

    remote = digitalocean.driver.find(spec, LOST)

    assert remote is not None
    assert digitalocean.driver.differences(spec, remote) == {Difference.KEY}
    assert not digitalocean.driver.differences(spec, digitalocean.driver.apply(spec, remote))


def test_a_list_that_lags_is_waited_for_longer_than_it_lags(digitalocean: Cloud) -> None:
    digitalocean.set(list_seconds=100)
    spec = digitalocean.spec()
    lose_creation(digitalocean, spec)
    assert digitalocean.driver.find(spec, LOST) is None

    digitalocean.sandbox.advance(100)

    assert digitalocean.driver.find(spec, LOST) is not None
    assert digitalocean.driver.facts.lost_answer_wait >= timedelta(minutes=2)


def test_of_several_creations_the_oldest_is_adopted_and_the_others_are_destroyed(digitalocean: Cloud) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    lose_creation(digitalocean, spec)
    digitalocean.sandbox.advance(130)
    lose_creation(digitalocean, replace(spec, attempt=2))
    first, second = digitalocean.droplets()

    remote = driver.find(spec, [*LOST, Attempt(2, "", "")])
    assert remote is not None
    assert (remote.ref, remote.facts["copies"]) == (str(first["id"]), [second["id"]])
    assert driver.differences(spec, remote) == {Difference.KEY}
    driver.apply(spec, remote)

    assert [droplet["id"] for droplet in digitalocean.droplets()] == [first["id"]]


def test_the_one_that_is_known_is_kept_and_a_late_one_is_destroyed(digitalocean: Cloud) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    lose_creation(digitalocean, spec)
    known = driver.create(replace(spec, attempt=2))

    remote = driver.find(spec, [*LOST, Attempt(2, known.ref, known.identifier)])
    assert remote is not None
    driver.apply(spec, remote)

    assert [str(droplet["id"]) for droplet in digitalocean.droplets()] == [known.ref]


@pytest.mark.parametrize("is_late", [True, False])
def test_what_no_creation_of_that_time_made_is_never_destroyed(digitalocean: Cloud, is_late: bool) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    known = driver.create(spec)
    if is_late:  # such as one whose server was gone for a day, and was made again
        digitalocean.sandbox.advance(2 * 3600)
        driver.create(replace(spec, attempt=2))
    else:  # an admin's, with the tag of the server
        other = driver.create(digitalocean.spec())
        driver._tag(other.ref, f"svc-{spec.key}")

    remote = driver.find(spec, [Attempt(1, known.ref, known.identifier), Attempt(2, "", "")])

    assert remote is not None
    assert (remote.ref, remote.facts["copies"]) == (known.ref, [])


def test_a_droplet_that_is_not_found_right_after_its_creation_is_looked_for_twice(
    digitalocean: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    created = driver.create(spec)
    digitalocean.set(hidden_seconds=30)
    monkeypatch.setattr("time.sleep", lambda _seconds: digitalocean.sandbox.advance(30))

    assert driver.find(spec, [Attempt(1, created.ref, created.identifier)]) is not None


@pytest.mark.parametrize("keys", [(), (KEY,)], ids=["no key", "a key of the customer's"])
def test_nobody_is_mailed_a_password_and_the_customer_has_it_as_a_hash(
    digitalocean: Cloud, keys: tuple[str, ...]
) -> None:
    spec = with_build(digitalocean.spec(), ssh_keys=keys)

    for _time in range(2):  # the key is in the account already
        digitalocean.driver.create(spec)

    state = digitalocean.state()
    assert state["mails"] == []
    assert [key["public_key"] for key in state["keys"]] == [*keys] or [first_boot.key_of_nobody()]
    droplet = digitalocean.droplets()[0]
    assert droplet["_ssh_keys"] == [first_boot.fingerprint(state["keys"][0]["public_key"])]
    assert "$6$" in droplet["_user_data"]
    assert "Nb1secret" not in str(state)
    assert ('"ssh_pwauth": true' in droplet["_user_data"]) == (not keys)


def test_the_hash_is_that_of_the_specification() -> None:
    # openssl passwd -6 -salt saltstring "Hello world!"
    expected = "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1"

    assert first_boot.sha512_crypt("Hello world!", "saltstring") == expected


def test_the_blueprints_first_boot_runs_beside_ours(digitalocean: Cloud) -> None:
    digitalocean.driver.create(with_build(digitalocean.spec(), user_data="#!/bin/sh\necho hello\n"))

    [droplet] = digitalocean.droplets()
    assert "text/x-shellscript" in droplet["_user_data"]
    assert "text/cloud-config" in droplet["_user_data"]
    with pytest.raises(outside.Rejected, match="64 KiB"):
        digitalocean.driver.create(with_build(digitalocean.spec(), user_data="#!/bin/sh\n" + "x" * 65_000))


@pytest.mark.parametrize("name", ["google.com", "Мой сервер", "a" * 300, "--", "My first_server"])
def test_any_name_becomes_a_host_name_and_never_somebodys_domain(digitalocean: Cloud, name: str) -> None:
    spec = digitalocean.spec(name=name)

    digitalocean.driver.create(spec)

    [droplet] = digitalocean.droplets()
    assert droplet["_rdns"] == ""
    assert len(droplet["name"]) <= 63
    assert not digitalocean.driver.differences(spec, found(digitalocean, spec))


def test_what_is_under_way_is_waited_for(digitalocean: Cloud) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    driver.create(spec)
    remote = found(digitalocean, spec)
    digitalocean.set(action_seconds=10_000)
    driver.send_power_action(remote.identifier, PowerAction.RESTART)
    busy = found(digitalocean, spec)
    renamed = replace(spec, name="Tower")

    assert driver.usage(remote.identifier).power_state is PowerState.STARTING
    for call in (
        lambda: driver.apply(renamed, busy),
        lambda: driver.apply(renamed, remote),  # it was not busy when it was looked at
        lambda: driver.delete(remote),
        lambda: driver.suspend(remote),
        lambda: driver.send_power_action(remote.identifier, PowerAction.KILL),
    ):
        with pytest.raises(outside.Unavailable) as waits:
            call()
        assert waits.value.retry_after


def test_a_machine_that_ignores_its_shutdown_is_powered_off_a_minute_later(
    digitalocean: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    driver.create(spec)
    digitalocean.set(obeys_shutdown=False)
    monkeypatch.setattr(module, "SHUTDOWN_SECONDS", 60)

    driver.suspend(found(digitalocean, spec))
    assert found(digitalocean, spec).state is RemoteState.READY
    with pytest.raises(outside.Unavailable):
        driver.suspend(found(digitalocean, spec))
    monkeypatch.setattr(module, "SHUTDOWN_SECONDS", 0)
    driver.suspend(found(digitalocean, spec))

    assert found(digitalocean, spec).state is RemoteState.SUSPENDED
    assert digitalocean.actions() == ["create", "shutdown", "power_off"]


def test_a_hold_that_is_lifted_before_the_machine_was_off_leaves_no_mark(digitalocean: Cloud) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    driver.create(spec)
    digitalocean.set(obeys_shutdown=False)
    driver.suspend(found(digitalocean, spec))

    assert driver.differences(spec, found(digitalocean, spec)) == {Difference.KEY}
    driver.apply(spec, found(digitalocean, spec))

    assert found(digitalocean, spec).facts["tags"] == sorted([f"svc-{spec.key}", f"att-{spec.key}-1"])


@pytest.mark.parametrize(
    ("size", "location", "reason"), [("s-2vcpu-4gb", "nyc3", "no size"), ("s-1vcpu-1gb", "sgp1", "smaller")]
)
def test_a_size_that_cannot_be_had_stops_no_machine(digitalocean: Cloud, size: str, location: str, reason: str) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec(location_ref=location)
    driver.create(with_build(spec, plan_ref="s-1vcpu-2gb"))

    with pytest.raises(outside.Rejected, match=reason):
        driver.apply(with_build(spec, plan_ref=size), found(digitalocean, spec))

    assert digitalocean.actions() == ["create"]


@pytest.mark.parametrize(("disk_gib", "grows"), [(25, False), (50, True)])
def test_the_disk_grows_only_where_it_was_bought(digitalocean: Cloud, disk_gib: int, grows: bool) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    driver.create(spec)
    bought = replace(spec, limits=replace(spec.limits, disk_mib=disk_gib * 1024))

    driver.apply(digitalocean.larger(bought), found(digitalocean, spec))

    [droplet] = digitalocean.droplets()
    assert (droplet["disk"], droplet["status"]) == (50 if grows else 25, "active")


def test_a_machine_that_was_off_stays_off_when_it_is_resized(digitalocean: Cloud) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    driver.create(spec)
    driver.send_power_action(found(digitalocean, spec).identifier, PowerAction.KILL)

    driver.apply(digitalocean.larger(spec), found(digitalocean, spec))

    assert found(digitalocean, spec).facts["status"] == "off"


def test_too_many_droplets_say_so_and_none_is_made(digitalocean: Cloud) -> None:
    digitalocean.set(droplet_limit=0)

    with pytest.raises(outside.Rejected, match="as many droplets as it may have"):
        digitalocean.driver.create(digitalocean.spec())


@pytest.mark.parametrize(
    ("fault", "kind", "is_made"),
    [
        ({"kind": "lose_answer"}, outside.Unknown, True),
        ({"kind": "html"}, outside.Unknown, False),
        *(({"kind": "status", "status": status}, outside.Unknown, False) for status in (500, 502, 503)),
        *(({"kind": "status", "status": status}, outside.Unavailable, False) for status in (401, 409, 429)),
    ],
    ids=lambda value: str(value.get("status", value["kind"])) if isinstance(value, dict) else "",
)
def test_a_fault_at_creation_is_raised_by_whether_it_may_have_happened(
    digitalocean: Cloud, fault: dict[str, Any], kind: type[Exception], is_made: bool
) -> None:
    digitalocean.sandbox.arm("digitalocean", "POST /v2/droplets", **fault)

    with pytest.raises(kind) as caught:
        digitalocean.driver.create(digitalocean.spec())

    assert type(caught.value) is kind
    assert len(digitalocean.droplets()) == is_made


def test_a_key_whose_answer_was_lost_is_no_creation(digitalocean: Cloud) -> None:
    digitalocean.sandbox.arm("digitalocean", "POST /v2/account/keys", "lose_answer")

    with pytest.raises(outside.Unavailable):
        digitalocean.driver.create(digitalocean.spec())


def test_lists_are_read_page_by_page_and_the_next_minute_is_waited_for(
    digitalocean: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", digitalocean.sandbox.advance)
    monkeypatch.setattr("servers.drivers.digitalocean.client.PAGE_SIZE", 2)
    created = [digitalocean.driver.create(digitalocean.spec()) for _number in range(5)]
    digitalocean.set(calls_per_minute=2)
    digitalocean.sandbox.advance(61)

    assert [server.ref for server in digitalocean.driver.servers()] == [remote.ref for remote in created]


def test_a_whole_life_acts_on_no_droplet_by_its_tag(digitalocean: Cloud) -> None:
    driver, spec = digitalocean.driver, digitalocean.spec()
    driver.create(spec)
    driver.suspend(found(digitalocean, spec))
    driver.resume(found(digitalocean, spec))
    driver.apply(digitalocean.larger(spec), found(digitalocean, spec))
    driver.delete(found(digitalocean, spec))

    assert digitalocean.droplets() == digitalocean.state()["refused"] == []
