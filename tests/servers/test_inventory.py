"""The inventory of a panel is mirrored completely, without needless writes, and nothing is deleted."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from core.outside import Expect, OutsideSession
from sandbox.client import Sandbox
from servers import inventory
from servers.drivers import registry
from servers.drivers.pterodactyl.client import PanelClient
from servers.drivers.pterodactyl.driver import PterodactylDriver
from servers.inventory import SyncBusy
from servers.locks import advisory_lock
from servers.models import (
    Allocation,
    DriftFinding,
    Egg,
    EggVariable,
    Health,
    Location,
    Node,
    Provider,
    RemoteServerSeen,
    Server,
    SyncKind,
    SyncRun,
    SyncState,
)
from tests.servers.actions import control, make_running
from tests.servers.builders import AT, connect_panel, make_server
from tests.servers.test_capacity import in_threads
from tests.servers.test_convergence import make_foreign_server

EGGS = Path(__file__).resolve().parents[3] / "shared" / "eggs"
TABLES = [
    *("servers_location", "servers_node", "servers_allocation"),
    *("servers_nest", "servers_egg", "servers_eggvariable"),
    *("servers_remoteserverseen", "servers_driftfinding"),
]
OFFERED = ("locations", "nodes", "servers", "allocations", "nests", "eggs", "accounts")
NOTHING_NEW = {"added": 0, "changed": 0, "removed": 0}
LATER = AT + timedelta(minutes=15)


def sync(provider: Provider) -> SyncRun:
    """A sync that must succeed."""
    run = inventory.sync(provider_id=provider.pk, at=LATER)
    assert run.error == ""
    return run


def row_versions() -> dict[str, list[Any]]:
    """The versions of the rows: any write, even a lock, makes another."""
    found = {}
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"SELECT id, xmin::text, xmax::text FROM {table} ORDER BY id")
            found[table] = cursor.fetchall()
    return found


def written(rows: list[Any]) -> set[Any]:
    """The rows as written, whoever locked them: for a foreign key, or to keep the lock order."""
    return {(pk, xmin) for pk, xmin, _xmax in rows}


def kinds() -> set[tuple[str, str]]:
    """The kinds and subjects of the open findings."""
    return set(DriftFinding.objects.filter(closed_at=None).values_list("kind", "subject"))


def test_everything_the_panel_has_is_mirrored(panel: Sandbox, provider: Provider) -> None:
    state = panel.panel_state()
    counts = SyncRun.objects.get().counts

    assert {location.code for location in Location.objects.all()} == {"us-east", "us-west", "eu"}
    assert Allocation.objects.count() == len(state["allocations"]) == counts["allocations"]["added"]
    assert Egg.objects.count() == state["eggs"] == counts["eggs"]["read"]
    for node in state["nodes"]:
        ours = Node.objects.get(ref=str(node["id"]))
        assert (ours.name, ours.memory_sellable_mib) == (node["name"], node["memory"])
    assert (provider.reload().health, provider.reload().checked_at) == (Health.HEALTHY, AT)


def test_a_second_sync_writes_nothing(provider: Provider) -> None:
    before = {table: written(rows) for table, rows in row_versions().items()}

    run = sync(provider)

    assert {table: written(rows) for table, rows in row_versions().items()} == before
    assert set(run.counts) == {*OFFERED, "variables"}
    assert all({**kind, "read": 0} == {"read": 0, **NOTHING_NEW} for kind in run.counts.values())


def test_only_what_changed_is_written(panel: Sandbox, provider: Provider) -> None:
    before = row_versions()
    control(panel, "nodes/2", {"memory": 70000})

    run = sync(provider)

    after = row_versions()
    assert run.counts["nodes"] == {"read": 3, "added": 0, "changed": 1, "removed": 0}
    changed = {table: written(after[table]) - written(before[table]) for table in TABLES}
    assert {table: len(rows) for table, rows in changed.items() if rows} == {"servers_node": 1}
    assert Node.objects.get(ref="2").memory_sellable_mib == 70000


def test_what_was_removed_from_the_panel_is_marked_and_can_return(panel: Sandbox, provider: Provider) -> None:
    port = Allocation.objects.filter(node__ref="1").first()
    assert port is not None
    PanelClient(provider).write("DELETE", f"/nodes/1/allocations/{port.ref}")

    assert sync(provider).counts["allocations"] == {"read": 239, "added": 0, "changed": 0, "removed": 1}
    assert not port.reload().is_present
    assert sync(provider).counts["allocations"]["removed"] == 0

    add_port(provider, port)
    sync(provider)
    again = port.reload()
    assert again.is_present
    assert again.ref != port.ref


def add_port(provider: Provider, port: Allocation) -> None:
    """Add an address on the panel again."""
    headers = {"Accept": "application/json", "Authorization": f"Bearer {provider.credentials['application_key']}"}
    session = OutsideSession("test", f"{provider.base_url}/api/application", headers)
    body = {"ip": port.ip, "ports": [str(port.port)]}
    session.call("POST", f"/nodes/{port.node.ref}/allocations", json=body, expects=Expect.NOTHING)


def test_foreign_servers_reduce_what_can_be_sold(panel: Sandbox, provider: Provider) -> None:
    port = Allocation.objects.filter(node__ref="3").order_by("port").first()
    assert port is not None
    make_foreign_server(panel, provider, allocation=port.ref)

    sync(provider)

    node = Node.objects.get(ref="3")
    assert (node.memory_foreign_mib, node.disk_foreign_mib) == (2048, 10240)
    assert node.memory_sellable_mib == node.memory_mib - 2048
    assert port.reload().is_taken_elsewhere


def test_our_own_servers_are_not_foreign(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)

    sync(provider)

    node = server.node
    assert node is not None
    assert (node.reload().memory_foreign_mib, node.reload().memory_reserved_mib) == (0, 1024)
    assert not Allocation.objects.filter(is_taken_elsewhere=True).exists()


def test_a_foreign_server_on_a_reserved_port_is_noticed(panel: Sandbox, provider: Provider) -> None:
    server = make_server(provider)
    port = Allocation.objects.get(reservation=server.reservation)
    make_foreign_server(panel, provider, allocation=port.ref)

    sync(provider)

    assert port.reload().is_taken_elsewhere
    assert port.reload().reservation == server.reservation


def test_a_sync_of_nodes_alone_leaves_the_ports_of_our_new_servers(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)

    inventory.sync(provider_id=provider.pk, at=AT, kind=SyncKind.NODES)

    [port] = Allocation.objects.filter(reservation=server.reservation)
    assert not port.is_taken_elsewhere


def test_a_port_of_a_server_that_was_created_while_lists_were_read_is_not_taken_elsewhere(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Server] = []
    servers = PterodactylDriver.servers

    def and_create_one(driver: PterodactylDriver) -> Iterator[Any]:
        yield from servers(driver)
        made.append(make_running(provider))

    monkeypatch.setattr(PterodactylDriver, "servers", and_create_one)

    inventory.sync(provider_id=provider.pk, at=AT)

    [port] = Allocation.objects.filter(reservation=made[0].reservation)
    assert not port.is_taken_elsewhere


def test_a_node_that_shrank_below_its_reservations_keeps_them_and_is_reported(
    panel: Sandbox, provider: Provider
) -> None:
    server = make_running(provider)
    node = server.node
    assert node is not None
    control(panel, f"nodes/{node.ref}", {"memory": 512})

    sync(provider)

    assert (node.reload().memory_sellable_mib, node.reload().memory_oversold_mib) == (512, 512)
    assert ("node_shrunk", node.name) in kinds()


def test_headroom_and_overcommit_set_by_staff_are_kept(provider: Provider) -> None:
    Node.objects.filter(ref="1").update(memory_overcommit_percent=50, memory_headroom_mib=1000, is_enabled=False)

    sync(provider)

    node = Node.objects.get(ref="1")
    assert node.memory_sellable_mib == node.memory_mib * 150 // 100 - 1000
    assert not node.is_enabled


def test_eggs_with_refused_defaults_are_reported(provider: Provider) -> None:
    assert ("egg_default", "Palworld") in kinds()


def test_variables_of_one_name_become_one_and_are_reported(panel: Sandbox, provider: Provider, tmp_path: Path) -> None:
    variable = {"name": "A", "description": "", "env_variable": "TWICE", "default_value": "1", "user_viewable": True}
    variable |= {"user_editable": True, "rules": "required|string"}
    egg = {
        "meta": {"version": "PTDL_v2"},
        "name": "Odd",
        "author": "a@example.com",
        "description": "",
        "docker_images": {"z": "img:z", "a": "img:a"},
        "startup": "./run",
        "config": {"files": "{}", "startup": "{}", "logs": "{}", "stop": "^C"},
        "scripts": {"installation": {"script": "", "container": "c", "entrypoint": "sh"}},
        "variables": [variable, {**variable, "name": "B", "default_value": "2", "rules": "string|max:0"}],
    }
    (tmp_path / "egg-odd.json").write_text(json.dumps(egg))
    control(panel, "eggs", {"folder": str(tmp_path), "nest": "Odd ones"})

    sync(provider)

    kept = EggVariable.objects.get(egg__name="Odd")
    assert (kept.env_variable, kept.default_value) == ("TWICE", "2")
    assert {("egg_variable", "Odd"), ("egg_default", "Odd")} <= kinds()
    assert Egg.objects.get(name="Odd").default_image == "img:z"


@pytest.mark.skipif(not EGGS.is_dir(), reason="the collection of 250 exported eggs is not beside the project")
def test_two_hundred_and_fifty_eggs_are_mirrored_with_their_variables(panel: Sandbox, provider: Provider) -> None:
    imported = control(panel, "eggs", {"folder": str(EGGS), "nest": "All"})["eggs"]
    assert len(imported) == 250

    run = sync(provider)

    ours = set(Egg.objects.filter(nest__name="All").values_list("ref", flat=True))
    assert ours == {str(egg["id"]) for egg in imported}
    assert run.counts["variables"]["added"] > 1000
    assert sync(provider).counts["eggs"] == {"read": len(ours) + 13, **NOTHING_NEW}


@pytest.mark.parametrize("kind", ["html", "huge", "drop", "status"])
def test_an_answer_that_is_not_understood_makes_a_failed_run_and_changes_nothing(
    panel: Sandbox, provider: Provider, kind: str
) -> None:
    Node.objects.update(silent_since=LATER)  # that it is silent would be noted
    before = row_versions()
    panel.arm("pterodactyl", "GET /api/application/nodes", kind, times=0)

    run = inventory.sync(provider_id=provider.pk, at=LATER)

    assert run.state == SyncState.FAILED
    assert run.error
    assert provider.reload().health == Health.FAILING
    assert row_versions() == before


def test_no_secret_is_in_the_report_of_a_failure(panel: Sandbox, provider: Provider) -> None:
    Provider.objects.update(base_url="http://127.0.0.1:9")

    run = inventory.sync(provider_id=provider.pk, at=LATER)

    assert provider.credentials["application_key"] not in run.error + provider.reload().health_note


def test_two_syncs_at_once_are_one(panel: Sandbox, provider: Provider) -> None:
    with advisory_lock(f"sync:{provider.pk}") as is_locked:
        assert is_locked
        [outcome] = in_threads(lambda _number: inventory.sync(provider_id=provider.pk, at=LATER), 1, 1)

    assert isinstance(outcome, SyncBusy)
    assert SyncRun.objects.count() == 1


def test_the_command_reports_and_fails_loudly(panel: Sandbox, provider: Provider) -> None:
    out = StringIO()
    call_command("sync_inventory", provider=provider.name, stdout=out)
    assert "240 read" in out.getvalue()

    Provider.objects.update(base_url="http://127.0.0.1:9")
    with pytest.raises(CommandError, match="1 of 1"):
        call_command("sync_inventory", stdout=StringIO())
    with pytest.raises(CommandError, match="no provider"):
        call_command("sync_inventory", provider="nobody", stdout=StringIO())
    with pytest.raises(CommandError, match="invalid choice: 'planets'"):
        call_command("sync_inventory", "--type", "planets", stdout=StringIO())


def test_the_command_reads_only_the_lists_of_its_type(panel: Sandbox, provider: Provider) -> None:
    types = {
        "locations": {"locations"},
        "nodes": {"locations", "nodes", "allocations"},
        "servers": {"servers"},
        "eggs": {"nests", "eggs", "variables"},
        "users": {"accounts"},
    }
    for kind, lists in types.items():
        out = StringIO()
        call_command("sync_inventory", "--type", kind, stdout=out)

        assert set(re.findall(r"^  (\w+): ", out.getvalue(), re.MULTILINE)) == lists
        run = SyncRun.objects.order_by("-pk")[0]
        assert (run.kind, run.state, set(run.counts)) == (kind, SyncState.COMPLETED, lists)


def test_two_panels_do_not_affect_each_other(panel: Sandbox, provider: Provider) -> None:
    other = connect_panel(panel)

    sync(provider)

    assert Node.objects.filter(provider=other, is_present=True).count() == 3
    assert Egg.objects.filter(is_present=True).count() == 26


def test_a_fault_of_ours_with_one_panel_does_not_stop_the_others(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = sorted([provider, connect_panel(panel)], key=lambda each: each.name)
    driver_of = registry.driver_of

    def failing(asked: Provider) -> Any:
        if asked.pk == first.pk:
            raise RuntimeError("a fault of ours")
        return driver_of(asked)

    monkeypatch.setattr(registry, "driver_of", failing)

    assert [run.provider_id for run in inventory.sync_all(at=LATER)] == [second.pk]


def test_a_sync_of_one_type_reads_only_its_lists(panel: Sandbox, provider: Provider) -> None:
    make_foreign_server(panel, provider, allocation=Allocation.objects.filter(node__ref="3")[0].ref)
    control(panel, "nodes/2", {"memory": 70000})

    run = inventory.sync(provider_id=provider.pk, kind=SyncKind.SERVERS, at=LATER)

    assert (run.state, set(run.counts), run.progress_percent) == (SyncState.COMPLETED, {"servers"}, 100)
    assert RemoteServerSeen.objects.get().server is None
    assert Node.objects.get(ref="3").memory_foreign_mib == 2048
    assert Node.objects.get(ref="2").memory_mib != 70000


def test_a_list_is_staged_in_batches_and_the_run_says_how_far_it_is(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, int]] = []
    save = SyncRun.save

    def saving(run: SyncRun, **options: Any) -> None:
        save(run, **options)
        seen.append((SyncRun.objects.get(pk=run.pk).state, run.counts.get("allocations", {}).get("read", 0)))

    monkeypatch.setattr("servers.inventory.staging.BATCH", 100)
    monkeypatch.setattr(SyncRun, "save", saving)

    run = sync(provider)

    assert [count for state, count in dict.fromkeys(seen) if state == SyncState.RUNNING] == [0, 100, 200, 240]
    assert run.metadata.keys() > {"locations", "allocations", "accounts"}


def test_a_requested_run_is_pending_until_a_sync_takes_it(provider: Provider) -> None:
    requested = inventory.request_sync(provider=provider, kind=SyncKind.EGGS, actor=None)
    again = inventory.request_sync(provider=provider, kind=SyncKind.EGGS, actor=None)
    assert (requested.pk, requested.state) == (again.pk, SyncState.PENDING)

    runs = inventory.sync_all(at=LATER)

    assert [(run.kind, run.state) for run in runs] == [("eggs", SyncState.COMPLETED), ("full", SyncState.COMPLETED)]
    assert runs[0].pk == requested.pk


def test_a_run_whose_process_ended_is_failed_by_the_next(provider: Provider) -> None:
    killed = SyncRun.objects.create(provider=provider, state=SyncState.RUNNING, started_at=AT)

    sync(provider)

    assert killed.reload().state == SyncState.FAILED
    assert killed.reload().error


def test_lists_that_a_driver_does_not_have_leave_what_staff_entered(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Bare:
        """A driver without any list."""

    monkeypatch.setattr(registry, "driver_of", lambda _provider: Bare())

    assert sync(provider).counts == {}
    assert Location.objects.filter(is_present=True).count() == 3
