"""What differs between a provider and our rows is a finding by name, until a sync no longer finds it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from core.money import Money
from sandbox.client import Sandbox
from servers import inventory, services
from servers.drivers import registry
from servers.drivers.inventory import RemoteServerSummary
from servers.drivers.pterodactyl.client import PanelClient
from servers.drivers.pterodactyl.driver import PterodactylDriverWithClientKey
from servers.models import (
    Allocation,
    DriftFinding,
    DriftKind,
    HoldKind,
    Node,
    PanelAccount,
    Provider,
    ProvisioningTask,
    RemoteServerSeen,
    Server,
    ServerStatus,
    SyncKind,
    SyncState,
)
from servers.plan_fits import lost_revenue
from tests.builders import make_price
from tests.servers.actions import control, make_running, run_until_quiet
from tests.servers.builders import AT, make_game_blueprint, make_plan
from tests.servers.test_convergence import make_foreign_server

LATER = AT + timedelta(minutes=15)


def sync(provider: Provider, kind: SyncKind = SyncKind.FULL) -> None:
    """A sync that must succeed."""
    run = inventory.sync(provider_id=provider.pk, kind=kind, at=LATER)
    assert (run.state, run.error) == (SyncState.COMPLETED, "")


def findings() -> dict[DriftKind, DriftFinding]:
    """The open findings about servers and accounts, by their kinds."""
    rows = DriftFinding.objects.filter(closed_at=None).exclude(kind__in=["egg_default", "egg_variable"])
    return {DriftKind(finding.kind): finding for finding in rows}


def test_what_was_changed_on_the_panel_is_found_repaired_by_a_click_and_closed(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider)
    sync(provider)
    assert findings() == {}
    path, client = f"/servers/{server.ref}", PanelClient(provider)
    client.write("PATCH", f"{path}/details", {"name": server.name, "user": 1})
    client.write("POST", f"{path}/suspend")
    limits = {"memory": 4096, "swap": 0, "disk": 5120, "io": 500, "cpu": 100}
    features = {"databases": 1, "backups": 2, "allocations": 0}
    body = {"allocation": int(server.observed["addresses"][0]["ref"]), "limits": limits, "feature_limits": features}
    client.write("PATCH", f"{path}/build", body)

    sync(provider, SyncKind.SERVERS)

    found = findings()
    assert found.keys() == {DriftKind.KEY, DriftKind.OWNER, DriftKind.SUSPENSION, DriftKind.LIMITS}
    assert {(finding.subject, finding.server) for finding in found.values()} == {("My server", server)}
    assert (found[DriftKind.LIMITS].expected[:8], found[DriftKind.LIMITS].found[:8]) == ("1024 MiB", "4096 MiB")
    for finding in found.values():
        assert services.repair_drift(finding=finding, actor=None, at=LATER)
    run_until_quiet(LATER)

    sync(provider)

    assert findings() == {}
    assert DriftFinding.objects.filter(server=server, closed_at=LATER).count() == 4


def test_a_server_that_the_panel_lost_is_a_ghost_and_a_repair_never_makes_it_anew(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider)
    PanelClient(provider).write("DELETE", f"/servers/{server.ref}")

    sync(provider)

    ghost = findings()[DriftKind.GHOST]
    assert ghost.server == server
    services.repair_drift(finding=ghost, actor=None, at=LATER)
    run_until_quiet(LATER)
    assert server.reload().status == ServerStatus.FAILED
    assert len(panel.panel_state()["servers"]) == 0


def test_only_what_looks_like_ours_is_an_orphan(panel: Sandbox, provider: Provider) -> None:
    ports = [port.ref for port in Allocation.objects.filter(node__ref="3").order_by("port")[:2]]
    make_foreign_server(panel, provider, allocation=ports[0])
    lost = str(uuid4())
    ref = make_foreign_server(panel, provider, allocation=ports[1], external_id=lost)

    sync(provider)

    orphan = findings()[DriftKind.ORPHAN]
    assert (orphan.subject, orphan.subject_ref, orphan.found, orphan.server) == ("By hand", str(ref), lost, None)
    assert not services.repair_drift(finding=orphan, actor=None, at=LATER)
    assert RemoteServerSeen.objects.filter(server=None).count() == 2


def test_a_deleted_server_that_is_still_there_is_an_orphan_and_takes_its_place(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider)
    node = server.node
    assert node is not None
    Server.objects.filter(pk=server.pk).update(status=ServerStatus.DELETED, deleted_at=AT, desired_state="absent")

    sync(provider)

    assert findings()[DriftKind.ORPHAN].server == server
    assert node.reload().memory_foreign_mib == server.memory_mib


def test_a_move_on_the_panel_is_found_and_followed(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    other = Node.objects.exclude(servers=server).filter(provider=provider).order_by("ref")[0]
    control(panel, f"servers/{server.ref}/transfer", {"node": int(other.ref)})

    sync(provider)
    moved = findings()[DriftKind.NODE]
    assert moved.found == other.name
    services.repair_drift(finding=moved, actor=None, at=LATER)
    run_until_quiet(LATER)
    sync(provider)

    assert (findings(), server.reload().node) == ({}, other)


def test_a_hold_that_is_not_in_force_is_found(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)

    sync(provider)

    finding = findings()[DriftKind.SUSPENSION]
    assert (finding.expected, finding.found) == ("suspended", "active")


def test_what_a_finding_loses_a_month_is_what_the_plans_cost(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    bought, larger = make_price(make_plan(), minor=800), make_price(make_plan(memory_mib=4096), minor=2000)
    make_game_blueprint(provider, larger.plan)
    server = make_running(provider, plan=bought.plan)
    path, client = f"/servers/{server.ref}", PanelClient(provider)
    limits = {"memory": 4096, "swap": 0, "disk": 5120, "io": 500, "cpu": 100}
    features = {"databases": 1, "backups": 2, "allocations": 0}
    body = {"allocation": int(server.observed["addresses"][0]["ref"]), "limits": limits, "feature_limits": features}
    client.write("PATCH", f"{path}/build", body)
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)

    class Copied(PterodactylDriverWithClientKey):
        """A panel that has the server three times."""

        def servers(self) -> Iterator[RemoteServerSummary]:
            for each in super().servers():
                yield from (each, replace(each, ref="9001"), replace(each, ref="9002"))

    monkeypatch.setattr(registry, "driver_of", Copied)
    sync(provider, SyncKind.SERVERS)

    found = findings()
    assert found[DriftKind.DUPLICATE].found == f"{server.ref}, 9001, 9002"
    assert lost_revenue(list(found.values()), "USD") == {
        found[DriftKind.LIMITS].pk: Money(1200, "USD"),  # the larger plan's price, less that of the one that was bought
        found[DriftKind.DUPLICATE].pk: Money(1600, "USD"),  # two copies
        found[DriftKind.SUSPENSION].pk: Money(800, "USD"),  # it runs although it is suspended
    }
    assert lost_revenue(list(found.values()), "EUR") == {}


def test_an_account_that_is_gone_is_found_and_another_one_is_linked(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    ref = PanelAccount.objects.get(user=server.owner).ref
    sync(provider, SyncKind.USERS)
    assert (findings(), PanelAccount.objects.get().email) == ({}, server.owner.email)
    PanelAccount.objects.update(ref="99999")

    sync(provider, SyncKind.USERS)
    services.repair_drift(finding=findings()[DriftKind.ACCOUNT], actor=None, at=LATER)
    run_until_quiet(LATER)
    sync(provider, SyncKind.USERS)

    assert (findings(), PanelAccount.objects.get().ref) == ({}, ref)


def test_a_server_that_is_converged_while_the_list_is_read_is_not_compared(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_running(provider)

    class Slow(PterodactylDriverWithClientKey):
        """A panel whose server is suspended by us right after it was listed."""

        def servers(self) -> Iterator[RemoteServerSummary]:
            yield from super().servers()
            services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
            run_until_quiet(AT)

    monkeypatch.setattr(registry, "driver_of", Slow)
    inventory.sync(provider_id=provider.pk, at=LATER)

    assert server.reload().status == ServerStatus.SUSPENDED
    assert findings() == {}


def test_a_server_whose_convergence_began_before_the_list_was_read_and_goes_on_is_not_compared(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider)
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=AT)
    [task] = ProvisioningTask.claim(limit=1, at=AT)  # it waits for the panel's answer

    sync(provider)
    assert findings() == {}
    task.finish(at=AT)
    sync(provider)
    assert set(findings()) == {DriftKind.SUSPENSION}
