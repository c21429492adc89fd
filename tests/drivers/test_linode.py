"""Linode from paid to deleted, whatever is lost on the way; and what only Linode has: labels, tags, StackScripts."""

import base64
import time
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.cache import cache

from core import outside
from core.ids import uuid7
from sandbox.client import Sandbox
from servers import builds, convergence, inventory, services
from servers.capacity import Size
from servers.drivers.base import AlreadyExists, PowerAction, PowerState, RemoteState
from servers.drivers.linode import client
from servers.live import power
from servers.models import Blueprint, DriftFinding, HoldKind, Node, Provider, Server, ServerStatus, Step, SyncState
from tests.drivers.adapters import found
from tests.drivers.linode import AT_ONCE, PASSWORD, Linode, linode_provider, machine
from tests.servers.actions import run_until_quiet, steps_of
from tests.servers.builders import AT, assign_regions, make_blueprint, make_plan, make_server

SIZE = Size(memory_mib=1024, disk_mib=25600, cpu_percent=100, ports=0)
CREATION = "POST /v4/linode/instances"


@pytest.fixture
def provider(linode: Linode) -> Provider:
    """Linode as a provider, synced."""
    cache.clear()
    provider = linode_provider(linode.sandbox)
    provider.save()
    assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED
    assign_regions(provider)
    return provider


def make_linode(provider: Provider, **parts: Any) -> Server:
    """A paid machine of its own customer, not converged yet."""
    plan = make_plan(memory_mib=1024, disk_mib=25600, ports=0)
    blueprint = make_blueprint(provider, plan, **{"plan_ref": "g6-nanode-1", "image": "linode/debian12", **parts})
    return make_server(provider, plan=plan, blueprint=blueprint, size=SIZE)


def converged(server: Server, at: datetime = AT) -> Server:
    """The server after convergence was asked for, and has done all that it can now."""
    services.request_convergence(server_ids=[server.pk], at=at)
    run_until_quiet(at)
    return server.reload()


@pytest.mark.django_db(transaction=True)
def test_a_creation_that_linode_carries_out_late_finds_the_label_taken(
    linode: Linode, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WRITE_SECONDS", 0.2)
    linode.sandbox.arm("linode", CREATION, "delay", seconds=2.5)
    server = make_linode(provider)

    assert converged(server).status == ServerStatus.RUNNING
    assert converged(server).create_attempts == 2
    for _ in range(100):
        late, *_others = linode.sandbox.requests("linode", CREATION)
        if late["status"] is not None:
            break
        time.sleep(0.05)

    assert (late["status"], len(linode.linodes())) == (400, 1)


@pytest.mark.django_db(transaction=True)
def test_stock_that_is_out_says_which_and_retry_creates_the_machine_when_there_is_some(
    linode: Linode, provider: Provider
) -> None:
    linode.settings(sold_out=[["ap-west", "g6-nanode-1"]])
    server = converged(make_linode(provider))
    assert server.status == ServerStatus.FAILED
    assert server.failure == "Linode has no more machines of the plan g6-nanode-1 in ap-west. Retry when it has."

    linode.settings(sold_out=[])
    services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)

    assert (server.reload().status, len(linode.linodes())) == (ServerStatus.RUNNING, 1)


@pytest.mark.django_db(transaction=True)
def test_a_machine_that_was_not_provisioned_has_failed_and_retry_puts_its_system_on_it(
    linode: Linode, provider: Provider
) -> None:
    linode.settings(provision="offline")
    server = converged(make_linode(provider))
    assert (server.status, Step.RUNNING in steps_of(server)) == (ServerStatus.FAILED, False)

    linode.settings(provision="finished")
    services.retry(server_id=server.pk, actor=None, at=AT)
    run_until_quiet(AT)

    assert server.reload().status == ServerStatus.RUNNING
    [row] = linode.linodes().values()
    assert (row["status"], row["_system"]["root_pass"]) == ("running", server.reload().root_password)


@pytest.mark.django_db(transaction=True)
def test_a_suspension_waits_for_a_busy_machine_and_what_somebody_boots_is_stopped_again(
    linode: Linode, provider: Provider
) -> None:
    linode.settings(provision_seconds=60)
    server = make_linode(provider)
    run_until_quiet(AT, within=timedelta(seconds=5))
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
    run_until_quiet(AT, within=timedelta(seconds=30))
    [row] = linode.linodes().values()
    assert (server.reload().status, row["status"]) == (ServerStatus.INSTALLING, "provisioning")

    linode.sandbox.advance(61)
    assert converged(server).status == ServerStatus.SUSPENDED
    assert linode.call("POST", f"/linode/instances/{row['id']}/boot").ok
    assert converged(server).status == ServerStatus.SUSPENDED
    assert linode.linodes()[str(row["id"])]["status"] == "offline"

    services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=AT)
    assert converged(server).status == ServerStatus.RUNNING
    assert linode.linodes()[str(row["id"])]["_system"]["root_pass"] == server.reload().root_password


@pytest.mark.django_db(transaction=True)
def test_a_resize_is_waited_for_and_the_list_agrees_with_our_rows(linode: Linode, provider: Provider) -> None:
    server = converged(make_linode(provider))
    linode.settings(resize_seconds=300, boot_after_resize_seconds=20, boot_seconds=15)
    Server.objects.filter(pk=server.pk).update(plan_ref="g6-standard-1", resize_asked_at=AT)
    services.request_convergence(server_ids=[server.pk], at=AT)
    run_until_quiet(AT, within=timedelta(minutes=3))
    assert (linode.linodes()[server.ref]["status"], server.reload().resize_asked_at) == ("migrating", AT)

    linode.sandbox.advance(301)
    assert converged(server).resize_asked_at is None
    assert linode.linodes()[server.ref]["status"] == "offline"
    linode.sandbox.advance(36)
    assert (linode.linodes()[server.ref]["status"], converged(server).status) == ("running", ServerStatus.RUNNING)

    inventory.sync(provider_id=provider.pk, at=AT)
    assert not DriftFinding.objects.exists()
    assert sorted(Node.objects.values_list("ref", "is_elastic")) == [
        (name, True) for name in ("ap-west", "eu-central", "us-east")
    ]


@pytest.mark.django_db(transaction=True)
def test_a_blueprint_whose_stackscript_cannot_be_read_has_a_problem(linode: Linode, provider: Provider) -> None:
    server = make_linode(provider, user_data='#stackscript 10079\n{"hostname": 7}')
    [blueprint] = builds.check_blueprints(provider.pk)
    assert "a JSON object of texts" in blueprint.problem
    assert not builds.can_build_plan(blueprint, server.plan)

    Blueprint.objects.update(user_data='#stackscript 10079\r\n{"hostname": "shop"}')

    assert builds.check_blueprints(provider.pk) == []


@pytest.mark.django_db(transaction=True)
def test_a_machine_without_differences_is_read_once_and_from_no_list(linode: Linode, provider: Provider) -> None:
    server = converged(make_linode(provider))
    before = len(linode.sandbox.requests("linode"))

    assert convergence.converge(server_id=server.pk, at=AT) is None

    asked = [f"{each['method']} {each['path']}" for each in linode.sandbox.requests("linode")[before:]]
    assert asked == [f"GET /v4/linode/instances/{server.ref}"]


def test_a_machine_is_built_with_the_password_the_keys_and_the_user_data(linode: Linode) -> None:
    keys = ("ssh-ed25519 AAAA ada", "ssh-rsa BBBB byron")
    spec = linode.spec()
    spec = replace(spec, build=replace(machine(spec), ssh_keys=keys, user_data="#!/bin/sh\necho ä"))

    ref = linode.driver.create(spec).ref

    system = linode.linodes()[ref]["_system"]
    assert (system["root_pass"], system["authorized_keys"]) == (PASSWORD, list(keys))
    assert base64.b64decode(system["metadata"]["user_data"]).decode() == "#!/bin/sh\necho ä"
    shown = [each["body"].get("root_pass") for each in linode.sandbox.requests("linode", CREATION)]
    assert shown == ["[hidden]"]


def test_a_stackscript_gets_its_fields_and_what_linode_refuses_of_them_is_named(linode: Linode) -> None:
    spec = linode.spec()
    script = replace(machine(spec), user_data='#stackscript 10079\n{"hostname": "shop"}')

    ref = linode.driver.create(replace(spec, build=script)).ref

    system = linode.linodes()[ref]["_system"]
    assert (system["stackscript_id"], system["stackscript_data"]) == (10079, {"hostname": "shop"})
    with pytest.raises(outside.Rejected, match=r"stackscript_data\.hostname: hostname is required"):
        linode.driver.create(replace(spec, key=uuid7(), build=replace(script, user_data="#stackscript 10079")))
    for wrong in ("#stackscript x", "#stackscript 1\n[1]", "#stackscript 1\n{", "#stackscripts 1"):
        with pytest.raises(outside.Rejected, match="a StackScript's number and a JSON object"):
            linode.driver.create(replace(spec, key=uuid7(), build=replace(script, user_data=wrong)))


def test_a_label_that_is_taken_is_our_machine_or_is_waited_for_or_is_somebody_elses(linode: Linode) -> None:
    spec = linode.spec()
    created = linode.driver.create(spec)
    assert linode.driver.create(replace(spec, attempt=2)).ref == created.ref

    linode.erase_key(created)
    with pytest.raises(outside.Rejected, match=f"Another Linode has the label svc-{spec.key}"):
        linode.driver.create(spec)

    linode.settings(label_seconds=30)
    linode.driver.delete(created)
    with pytest.raises(AlreadyExists):
        linode.driver.create(spec)
    linode.sandbox.advance(31)
    assert linode.driver.create(spec).ref != created.ref


def test_a_busy_machine_and_too_many_calls_are_waited_for(linode: Linode) -> None:
    spec = linode.spec()
    linode.settings(boot_seconds=15, retry_after="-7200")
    remote = linode.driver.create(spec)
    with pytest.raises(outside.Unavailable, match="Linode busy"):
        linode.driver.send_power_action(remote.identifier, PowerAction.STOP)

    for _ in range(19):
        linode.driver.create(replace(spec, key=uuid7()))
    with pytest.raises(outside.Unavailable) as refused:
        linode.driver.create(replace(spec, key=uuid7()))
    assert refused.value.retry_after == client.USUAL_WAIT
    linode.settings(retry_after="999999")
    with pytest.raises(outside.Unavailable) as refused:
        linode.driver.create(replace(spec, key=uuid7()))
    assert refused.value.retry_after == client.MAX_WAIT
    linode.sandbox.advance(16)
    assert linode.driver.create(replace(spec, key=uuid7()))


def test_power_actions_are_sent_only_where_they_change_something(linode: Linode) -> None:
    spec = linode.spec()
    server = linode.driver.create(spec)
    command = "POST /v4/linode/instances/*/*"

    def sent(action: PowerAction) -> list[str]:
        before = len(linode.sandbox.requests("linode", command))
        linode.driver.send_power_action(server.identifier, action)
        return [each["path"].rpartition("/")[2] for each in linode.sandbox.requests("linode", command)[before:]]

    assert (sent(PowerAction.START), sent(PowerAction.RESTART)) == ([], ["reboot"])
    assert (sent(PowerAction.KILL), sent(PowerAction.STOP)) == (["shutdown"], [])
    assert linode.driver.usage(server.identifier).power_state is PowerState.OFF
    assert (sent(PowerAction.RESTART), sent(PowerAction.START)) == (["boot"], [])


def test_only_a_restart_that_is_seen_counts_as_sent_after_a_lost_answer(linode: Linode) -> None:
    server = Server(identifier=linode.driver.create(linode.spec()).identifier)
    since = timedelta(seconds=60)
    assert linode.driver.usage(server.identifier).power_state is PowerState.RUNNING
    assert not power.has_restarted(linode.driver, server, since=since)

    linode.settings(boot_seconds=60)
    linode.driver.send_power_action(server.identifier, PowerAction.RESTART)

    assert power.has_restarted(linode.driver, server, since=since)


def test_what_was_suspended_and_runs_is_marked_no_longer_and_other_tags_are_kept(linode: Linode) -> None:
    spec = linode.spec()
    remote = linode.driver.create(spec)
    linode.call("PUT", f"/linode/instances/{remote.ref}", {"tags": [*remote.facts["tags"], "suspended", "rack-7"]})
    running = found(linode, spec)
    assert (running.state, bool(linode.driver.differences(spec, running))) == (RemoteState.READY, True)

    changed = linode.driver.apply(spec, running)

    assert changed.facts["tags"] == sorted([f"svc-{spec.key}", "svc-name-castle", "rack-7"])


def test_a_long_list_is_read_to_its_end_also_where_linode_limits_it(
    linode: Linode, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(client, "PAGE_SIZE", 25)
    monkeypatch.setattr("servers.drivers.linode.client.time.sleep", waits.append)
    spec = linode.spec()
    linode.driver.suspend(linode.driver.create(spec))
    for number in range(25):
        linode.sandbox.advance(1)
        body = {"region": "us-east", "type": "g6-nanode-1", "label": f"operators-{number}"}
        assert linode.call("POST", "/linode/instances", body).ok
    limited: dict[str, Any] = {"kind": "status", "status": 429, "headers": {"Retry-After": "7"}}
    linode.sandbox.arm("linode", "GET /v4/linode/instances", after=1, **limited)

    listed = {server.name: server for server in linode.driver.servers()}

    ours = listed.pop(f"svc-{spec.key}")
    assert (ours.key, ours.node_ref, ours.is_suspended) == (str(spec.key), "us-east", True)
    assert {(each.key, each.is_suspended) for each in listed.values()} == {("", False)}
    assert (len(listed), waits) == (25, [7])


def test_a_wrong_token_and_a_proxys_answer_say_nothing_about_a_machine(linode: Linode, sandbox: Sandbox) -> None:
    provider = linode_provider(sandbox)
    for token in ("", "wrong"):
        provider.credentials = {"token": token}
        with pytest.raises(outside.Unavailable):
            type(linode.driver)(provider).find(linode.spec(), [])
    sandbox.arm("linode", CREATION, "html")
    with pytest.raises(outside.Unknown):
        linode.driver.create(linode.spec())
    sandbox.arm("linode", CREATION, "status", status=503)
    with pytest.raises(outside.Unavailable):
        linode.driver.create(linode.spec())
    assert (linode.linodes(), AT_ONCE["boot_seconds"]) == ({}, 0)
