"""Hytale servers on a panel: installed, started with a game session, stopped, suspended and deleted."""

import logging
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from core.models import AuditEntry
from sandbox.client import Sandbox
from servers import inventory, services
from servers.drivers.base import PowerAction
from servers.hytale.variables import SESSION
from servers.models import (
    HoldKind,
    HytaleAccount,
    HytaleSession,
    Listing,
    PowerOutcome,
    PowerTask,
    Provider,
    ProvisioningTask,
    Server,
    ServerStatus,
    SessionStatus,
)
from servers.self_service import operations
from tests.servers.actions import control, panel_servers, request_count, run_until_quiet
from tests.servers.hytale import BASES, Hytale, environment_of, import_egg, make_running_hytale

NEW = "POST /game-session/new"
START, STOP, RESTART = PowerAction.START, PowerAction.STOP, PowerAction.RESTART


@pytest.fixture
def panel(sandbox: Sandbox, tmp_path: Path) -> Sandbox:
    """The stand-in panel with an egg that takes the tokens."""
    import_egg(sandbox, tmp_path)
    control(sandbox, "settings", {"install_seconds": 0, "power_seconds": 0, "stats_cache_seconds": 0})
    return sandbox


@pytest.fixture
def hytale(panel: Sandbox, provider: Provider, settings: Any) -> Hytale:
    for name in BASES:
        setattr(settings, name, panel.hytale_url)
    return Hytale(panel)


def console_of(hytale: Hytale, server: Server) -> list[str]:
    row = next(each for each in panel_servers(hytale.sandbox) if each["external_id"] == str(server.pk))
    return list(row["runtime"]["console"])


def test_a_server_starts_signed_in_and_only_after_its_install(hytale: Hytale, provider: Provider) -> None:
    account = hytale.sign_in()

    server = make_running_hytale(hytale, provider)

    assert server.status == ServerStatus.RUNNING
    (session,) = HytaleSession.objects.all()
    assert (session.status, session.account, session.identity_token) == (SessionStatus.OPEN, account, None)
    assert list(hytale.sessions()) == [session.session_token]
    assert server.installed_at
    assert session.requested_at >= server.installed_at
    assert "Hytale Server Booted" in console_of(hytale, server)
    assert not any("/auth login" in line for line in console_of(hytale, server))
    assert request_count(hytale.sandbox, "POST */reinstall") == 0


def test_a_stop_ends_the_session_and_the_next_start_has_another(hytale: Hytale, provider: Provider) -> None:
    hytale.sign_in()
    server = make_running_hytale(hytale, provider)

    hytale.power(server, STOP)
    hytale.run()
    assert hytale.sessions() == {}
    assert HytaleSession.objects.get().status == SessionStatus.ENDED
    assert HytaleSession.objects.get().session_token is None

    hytale.later(hours=2)
    task = hytale.power(server, START)

    assert task.outcome == PowerOutcome.SENT
    (token,) = hytale.sessions()
    assert environment_of(hytale.sandbox, server)[SESSION] == token
    assert environment_of(hytale.sandbox, server)["HYTALE_AUTH_MODE"] == "authenticated"
    assert console_of(hytale, server)[-1] != "No valid token: /auth login device"


@pytest.mark.parametrize("act", ["suspend", "delete"])
def test_a_server_that_is_suspended_or_deleted_frees_its_slot(hytale: Hytale, provider: Provider, act: str) -> None:
    hytale.sign_in()
    server = make_running_hytale(hytale, provider)
    about = {"server_ids": [server.pk], "actor": None, "at": hytale.at}
    if act == "suspend":
        services.hold_servers(kind=HoldKind.ABUSE, reason="test", **about)  # type: ignore[arg-type]
    else:
        services.delete_servers(**about)  # type: ignore[arg-type]
    run_until_quiet(hytale.at)
    hytale.later(seconds=30)
    hytale.run()
    assert hytale.sessions() == {}
    assert not HytaleSession.objects.exclude(status=SessionStatus.ENDED).exists()

    if act == "suspend":
        services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=hytale.at)
        run_until_quiet(hytale.later(minutes=1))
        assert server.reload().status == ServerStatus.RUNNING
        assert [environment_of(hytale.sandbox, server)[SESSION]] == list(hytale.sessions())


def test_no_token_is_shown_or_logged_anywhere(
    hytale: Hytale, provider: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    account = hytale.sign_in()
    server = make_running_hytale(hytale, provider)
    hytale.sandbox.arm("hytale", NEW, "status", status=500)
    hytale.power(server, RESTART)
    hytale.later(seconds=20)
    hytale.run(PowerTask)
    operations.show(server, "startup", at=hytale.at)
    hytale.run(Listing)
    inventory.sync(provider_id=provider.pk, at=hytale.at)

    session = HytaleSession.objects.get(status=SessionStatus.OPEN)
    secrets = [account.refresh_token, account.access_token, session.session_token, *hytale.sessions()]
    assert all(secrets)
    listing = Listing.objects.get(kind="startup")
    assert listing.result["variables"] == []
    with connection.cursor() as cursor:
        cursor.execute("SET ROLE NONE")
        texts = [caplog.text, str(listing.result), str(list(AuditEntry.objects.values()))]
        for model in (HytaleAccount, HytaleSession, PowerTask, ProvisioningTask, Server):
            cursor.execute(f"SELECT row_to_json(row)::text FROM {model._meta.db_table} AS row")
            texts += [text for (text,) in cursor.fetchall()]
    for secret in secrets:
        assert not any(str(secret) in text for text in texts)
