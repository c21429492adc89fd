"""The sections of a running server, with something in each."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.urls import reverse

from accounts.models import User
from servers.drivers.base import PowerState, Usage
from servers.live import history
from servers.models import PanelAccount, Server
from servers.self_service import operations
from tests.shop import Clock, run_until_idle


def make_sections(server: Server, owner: User, clock: Clock) -> dict[str, str]:
    """Two backups, one of them locked, and one being made, and the first files; the addresses of the pages."""
    for quarter in range(60):
        used = Usage(PowerState.RUNNING, Decimal(40 + 35 * (quarter % 7)), 900 + 20 * quarter, 4096, 0, 0, 60)
        history.roll_up(server, used, at=clock.now - quarter * timedelta(minutes=15))
    asked: dict[str, Any] = {"server": server, "actor": owner}
    for name in ("before the update", "Sunday"):
        operations.request(**asked, kind="backup.create", arguments={"name": name}, at=clock.now)
        run_until_idle(clock, steps=3)
        clock.pass_by(timedelta(minutes=12))  # the panel makes two in ten minutes
    newest, oldest = _read(server, "backups", clock)
    operations.request(**asked, kind="backup.lock", target=oldest["ref"], arguments={"is_locked": True}, at=clock.now)
    run_until_idle(clock, steps=3)
    operations.request(**asked, kind="backup.download", target=newest["ref"], at=clock.now)
    run_until_idle(clock, steps=3)
    _read(server, "backups", clock)
    made = _make_contents(server, asked, clock)
    _read(server, "files", clock)
    files = reverse("servers:files", args=[server.pk])
    return made | {
        "server usage": reverse("servers:usage", args=[server.pk]),
        "server backups": reverse("servers:backups", args=[server.pk]),
        "server backup restore": reverse("servers:backup_act", args=[server.pk, oldest["ref"], "restore"]),
        "server backup delete": reverse("servers:backup_act", args=[server.pk, newest["ref"], "delete"]),
        "server files": files,
        "server file": f"{reverse('servers:file', args=[server.pk])}?path=notes.txt&new=1",
        "server file move": f"{reverse('servers:file_move', args=[server.pk])}?path=&name=eula.txt",
        "server file delete": f"{reverse('servers:file_delete', args=[server.pk])}?path=&name=logs",
        "server upload": reverse("servers:file_upload", args=[server.pk]),
        "server console": reverse("servers:console", args=[server.pk]),
    }


def _make_contents(server: Server, asked: dict[str, Any], clock: Clock) -> dict[str, str]:
    """A database whose password can be shown, two schedules, one of them off, a changed and a refused setting."""
    schedule = {"name": "Every night", "cron": "0 4 * * *", "action": "backup", "payload": ""}
    weekly = {"name": "Fresh start", "cron": "30 5 * * 1", "action": "power", "payload": "restart"}
    for kind, target, arguments in (
        ("database.create", "", {"name": "players", "remote": "%"}),
        ("schedule.create", "", schedule),
        ("schedule.create", "", weekly),
        ("startup.variable", "BUILD_NUMBER", {}),
    ):
        operations.request(**asked, kind=kind, target=target, arguments=arguments, content="4711", at=clock.now)
        run_until_idle(clock, steps=3)
    [database] = _read(server, "databases", clock)
    refs = [each["ref"] for each in _read(server, "schedules", clock)]
    operations.request(**asked, kind="schedule.switch", target=refs[1], arguments={"is_active": False}, at=clock.now)
    run_until_idle(clock, steps=3)
    for kind in ("schedules", "startup", "network"):
        _read(server, kind, clock)
    account = PanelAccount.objects.get(user=server.owner)
    _read(server, "sftp", clock, target=account.username)
    sections = ("databases", "startup", "schedules", "network", "settings", "activity", "access")
    return {
        **{f"server {name}": reverse(f"servers:{name}", args=[server.pk]) for name in sections},
        "server database delete": reverse("servers:database_act", args=[server.pk, database["ref"], "delete"]),
        "server reinstall": reverse("servers:reinstall", args=[server.pk]),
    }


def _read(server: Server, kind: str, clock: Clock, target: str = "") -> list[dict[str, str]]:
    """What a worker reads now."""
    operations.show(server, kind, at=clock.now, target=target)
    run_until_idle(clock, steps=3)
    return list(operations.show(server, kind, at=clock.now, target=target).rows)
