"""The sections of a running server, with something in each."""

from datetime import timedelta
from typing import Any

from django.urls import reverse

from accounts.models import User
from servers.models import Server
from servers.self_service import operations
from tests.shop import Clock, run_until_idle


def make_sections(server: Server, owner: User, clock: Clock) -> dict[str, str]:
    """Two backups, one of them locked, and one being made; the addresses of the pages."""
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
    return {
        "server backups": reverse("servers:backups", args=[server.pk]),
        "server backup restore": reverse("servers:backup_act", args=[server.pk, oldest["ref"], "restore"]),
        "server backup delete": reverse("servers:backup_act", args=[server.pk, newest["ref"], "delete"]),
    }


def _read(server: Server, kind: str, clock: Clock) -> list[dict[str, str]]:
    """What a worker reads now."""
    operations.show(server, kind, at=clock.now)
    run_until_idle(clock, steps=3)
    return list(operations.show(server, kind, at=clock.now).rows)
