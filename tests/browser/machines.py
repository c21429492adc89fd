"""The sections of a running server, with something in each."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django.urls import reverse

from accounts import ssh_keys
from accounts.models import User
from catalog.models import Kind
from sandbox.client import Sandbox
from servers import inventory
from servers.capacity import Size
from servers.drivers.base import PowerState, Usage
from servers.live import history
from servers.models import Build, PanelAccount, Provider, Server
from servers.self_service import operations
from tests.drivers.adapters import CONTAINER_IMAGE, docker_provider, virtfusion_provider
from tests.drivers.linode import Linode, linode_provider
from tests.servers.builders import assign_regions, make_blueprint, make_plan, make_server
from tests.shop import Clock, run_until_idle

CONTAINER: dict[str, Any] = {
    "build": Build.CONTAINER,
    "egg": None,
    "image": CONTAINER_IMAGE,
    "startup": "httpd -f",
    "container_ports": [8080],
    "volumes": ["/data"],
    "environment": {"TOKEN": "{{secret}}", "MODE": "a"},
}


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


def make_machines(sandbox: Sandbox, owner: User, clock: Clock) -> dict[str, str]:
    """A machine at VirtFusion, one at Linode and a container, with what their sections show."""
    address = f"tcp://{sandbox.base_url.removeprefix('http://')}/docker/local"
    Linode(sandbox)  # everything there takes no time
    kinds: dict[str, tuple[Provider, dict[str, Any], int]] = {
        "vps-frankfurt": (virtfusion_provider(sandbox), {"plan_ref": "12", "image": "5"}, 0),
        "mail": (linode_provider(sandbox), {"plan_ref": "g6-nanode-1", "image": "linode/debian12"}, 0),
        "shop-cache": (docker_provider(address), CONTAINER, 1),
    }
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    ssh_keys.add_key(user=owner, name="ada@laptop", public_key=ssh_keys.parse(key))
    made = []
    for name, (provider, parts, ports) in kinds.items():
        provider.save()
        inventory.sync(provider_id=provider.pk, at=clock.now)
        assign_regions(provider)
        size = Size(memory_mib=1024, disk_mib=20480, cpu_percent=100, ports=ports)
        plan = make_plan(memory_mib=1024, disk_mib=20480, cpu_percent=100, ports=ports)
        plan.product.kind, plan.product.is_active = Kind.CONTAINER if ports else Kind.VPS, False
        plan.product.save()
        options: dict[str, Any] = {"plan": plan, "size": size, "owner": owner, "name": name, "at": clock.now}
        blueprint = make_blueprint(provider, plan, **parts)
        made.append(make_server(provider, blueprint=blueprint, databases=0, backups=0, **options))
    run_until_idle(clock)
    machine, mail, cache = (each.reload() for each in made)
    _read(mail, "reverse_dns", clock)
    asked: dict[str, Any] = {"server": mail, "actor": owner, "target": mail.address}
    operations.request(**asked, kind="network.name", arguments={"name": "mail.example.com"}, at=clock.now)
    run_until_idle(clock, steps=3)
    _read(cache, "logs", clock)
    return {
        "server machine settings": reverse("servers:settings", args=[machine.pk]),
        "server machine network": reverse("servers:network", args=[mail.pk]),
        "server rebuild": reverse("servers:rebuild", args=[mail.pk]),
        "server container": reverse("servers:container", args=[cache.pk]),
        "server output": reverse("servers:logs", args=[cache.pk]),
    }


def _read(server: Server, kind: str, clock: Clock, target: str = "") -> list[dict[str, str]]:
    """What a worker reads now."""
    operations.show(server, kind, at=clock.now, target=target)
    run_until_idle(clock, steps=3)
    return list(operations.show(server, kind, at=clock.now, target=target).rows)
