"""Large, busy and faulty panels: the rate limit reached, a silent node, a transfer, a key without rights."""

from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.db import connection

from core import outside
from core.outside import limits
from sandbox.client import Sandbox
from servers import convergence, inventory, services
from servers.convergence import converge, scheduling
from servers.convergence.context import LATER, spec_of
from servers.drivers import registry
from servers.drivers.abilities import UsageFigures
from servers.drivers.pterodactyl import client
from servers.drivers.pterodactyl.driver import remote_server
from servers.models import Allocation, Health, HoldKind, Provider, ProvisioningTask, Server, ServerStatus, SyncState
from tests.servers.actions import control, make_running, request_count, run_until_quiet
from tests.servers.builders import AT, make_server

MINUTE = timedelta(minutes=1)


def test_a_sync_longer_than_a_minutes_calls_waits_for_the_next_minute(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[int] = []
    monkeypatch.setattr("servers.drivers.pterodactyl.client.time.sleep", waits.append)
    match = "GET /api/application/nodes/*/allocations"
    panel.arm("pterodactyl", match, "status", status=429, headers={"Retry-After": "41"})

    assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED
    assert waits == [42]


def test_a_purchase_is_not_slowed_by_a_recheck_of_many(panel: Sandbox, provider: Provider) -> None:
    control(panel, "settings", {"install_outcome": "stuck"})
    others = [make_server(provider) for _ in range(8)]
    Server.objects.filter(pk__in=[other.pk for other in others]).update(status=ServerStatus.RUNNING)
    ProvisioningTask.objects.update(run_at=AT + 60 * MINUTE)
    server = make_server(provider)

    run_until_quiet(AT, within=timedelta(seconds=5))

    assert server.reload().status == ServerStatus.INSTALLING
    assert ProvisioningTask.objects.get(server=server).run_at <= AT + timedelta(seconds=7)


def test_a_recheck_of_many_is_spread_over_minutes(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        make_server(provider)
    ProvisioningTask.objects.update(state="done", finished_at=AT)
    monkeypatch.setattr(scheduling, "RECHECK_SHARE_PERCENT", 1)  # 2 of 240 calls a minute

    assert convergence.request_recheck(at=AT) == 5
    due = ProvisioningTask.objects.order_by("run_at").values_list("run_at", flat=True)
    assert [(at - AT) // MINUTE for at in due] == [0, 0, 1, 1, 2]


def test_a_suspension_during_a_transfer_waits_for_its_end(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_running(provider)
    body = {"errors": [{"code": "ConflictHttpException", "status": "409", "detail": "transferring"}]}
    with monkeypatch.context() as transfer:
        transfer.setattr(client.PanelClient, "write", _refusing(body))
        services.hold_servers(server_ids=[server.pk], kind=HoldKind.BILLING, reason="unpaid", actor=None, at=AT)
        run_until_quiet(AT, within=timedelta(seconds=20))
        assert server.reload().status == ServerStatus.RUNNING

    run_until_quiet(AT + MINUTE)

    assert server.reload().status == ServerStatus.SUSPENDED


def _refusing(body: dict[str, Any]) -> Any:
    def refuse(self: client.PanelClient, method: str, path: str, json: Any = None) -> Any:
        error = outside.Rejected("panel POST suspend: 409", status=409, code="ConflictHttpException", body=body)
        client.raise_translated(error, is_read=False)

    return refuse


def test_a_client_key_that_sees_no_servers_waits_for_the_operator(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "servers.drivers.pterodactyl.driver.client_path", lambda _identifier, part: f"/servers/deadbeef/{part}"
    )
    server = make_server(provider)

    run_until_quiet(AT, within=timedelta(seconds=30))

    assert server.reload().status == ServerStatus.INSTALLING
    assert "root admin" in ProvisioningTask.objects.get(server=server).last_error


def test_a_node_that_is_down_does_not_stop_calls_about_others(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    driver = registry.driver_of(provider)
    assert isinstance(driver, UsageFigures)
    control(panel, "settings", {"node_mode": "refuse"})
    for _ in range(limits.FAILURES_TO_OPEN + 1):
        with pytest.raises(outside.Unavailable, match="504"):
            driver.usage(server.identifier)

    assert driver.find(spec_of(server), []) is not None


def test_usage_of_a_node_that_is_down_is_tried_once(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    control(panel, "settings", {"node_mode": "refuse"})
    before = request_count(panel, "GET /api/client/servers/*/resources")
    driver = registry.driver_of(provider)
    assert isinstance(driver, UsageFigures)
    with pytest.raises(outside.Unavailable):
        driver.usage(server.identifier)

    assert request_count(panel, "GET /api/client/servers/*/resources") == before + 1


def test_ports_that_the_key_may_not_read_are_not_removed_ports(panel: Sandbox, provider: Provider) -> None:
    attributes = {
        "status": None,
        "allocation": 1,
        "limits": {},
        "feature_limits": {},
        "relationships": {"allocations": {"object": "null_resource", "attributes": None}},
    }
    with pytest.raises(outside.Unavailable, match="allocations"):
        remote_server(attributes)


@pytest.mark.parametrize("tail", ["/", "/api", "/api/", "/api/application", "/api/client/"])
def test_an_address_copied_with_its_api_path_works(panel: Sandbox, provider: Provider, tail: str) -> None:
    server = make_running(provider)
    provider.base_url = panel.panel_url + tail

    assert registry.driver_of(provider).find(spec_of(server), []) is not None


def test_a_state_that_only_the_panel_can_end_is_polled_slowly(panel: Sandbox, provider: Provider) -> None:
    """A node under maintenance answers 409 to the root admin too, for hours."""
    server = make_server(provider)
    assert converge(server_id=server.pk, at=AT) is not None
    control(panel, "settings", {"install_seconds": 0})
    panel.arm("pterodactyl", "GET /api/client/servers/*/resources", "status", status=409, times=0)
    run_until_quiet(AT, within=timedelta(seconds=10))

    assert ProvisioningTask.objects.get(server=server).run_at >= AT + LATER.after


def test_ports_added_again_under_each_others_refs_are_followed(panel: Sandbox, provider: Provider) -> None:
    """As after a panel was put back from a backup and its ports were added again in another order."""
    one, other = Allocation.objects.filter(node__provider=provider, node__ref="1").order_by("port")[:2]
    first, second = one.ref, other.ref
    Allocation.objects.filter(pk=one.pk).update(ref="elsewhere")
    Allocation.objects.filter(pk=other.pk).update(ref=first)
    Allocation.objects.filter(pk=one.pk).update(ref=second)

    assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED
    assert (Allocation.objects.get(pk=one.pk).ref, Allocation.objects.get(pk=other.pk).ref) == (first, second)


def test_an_inventory_that_cannot_be_stored_is_a_failed_run(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: Any, **kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1 / 0")

    monkeypatch.setattr(import_module("servers.inventory.sync"), "merge_lists", full)

    run = inventory.sync(provider_id=provider.pk, at=AT)

    assert (run.reload().state, run.counts) == (SyncState.FAILED, {})
    assert Provider.objects.get(pk=provider.pk).health == Health.FAILING
