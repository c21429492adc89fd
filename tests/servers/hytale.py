"""Hytale's stand-in beside the shop: one clock for both, sign-ins, and an egg that takes the tokens."""

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from core import work
from core.models import WorkItem
from core.outside import limits
from sandbox.client import Sandbox
from servers.drivers.base import PowerAction
from servers.hytale import sign_in
from servers.hytale.variables import IDENTITY, SESSION
from servers.live import power
from servers.models import (
    Egg,
    EggVariable,
    HytaleAccount,
    HytaleSession,
    HytaleSignIn,
    PowerTask,
    Provider,
    Server,
    ServerStatus,
)
from tests.builders import make_staff
from tests.servers.actions import control, panel_servers, run_until_quiet
from tests.servers.builders import (
    AT,
    make_blueprint,
    make_egg,
    make_game_blueprint,
    make_location,
    make_node,
    make_plan,
    make_provider,
    make_server,
)

EGG = "Hytale"
BASES = ("HYTALE_OAUTH_BASE", "HYTALE_ACCOUNT_BASE", "HYTALE_SESSIONS_BASE")


class Hytale:
    """The stand-in, whose clock goes with `at`."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox, self.at = sandbox, AT
        sandbox.set_clock(AT.timestamp())

    def later(self, **time: float) -> datetime:
        """So much later for both."""
        self.at += timedelta(**time)
        self.sandbox.advance(timedelta(**time).total_seconds())
        return self.at

    def run(self, *models: type[WorkItem]) -> None:
        """Do what is due of this work, once."""
        limits.reset_limits()
        work.run_due(at=self.at, models=models or (HytaleSignIn, HytaleSession))

    def make_account(self, name: str = "Host", **fields: Any) -> HytaleAccount:
        """An account that nobody is signed in with."""
        return HytaleAccount.objects.create(name=name, **fields)

    def begin(self, account: HytaleAccount) -> HytaleSignIn:
        """A sign-in whose code can be entered."""
        row = sign_in.request_sign_in(account=account, actor=make_staff(), at=self.at)
        self.run()
        return row.reload()

    def sign_in(self, name: str = "Host", *, of: str = "host", **fields: Any) -> HytaleAccount:
        """An account that somebody has signed in with; its first profile is chosen."""
        account = self.make_account(name, **fields)
        row = self.begin(account)
        self.sandbox.hytale_change("decide", user_code=row.user_code, answer="approved", account=of)
        self.later(seconds=5)
        self.run()
        account = account.reload()
        HytaleAccount.objects.filter(pk=account.pk).update(profile=account.profiles[0]["uuid"])
        return account.reload()

    def sessions(self) -> dict[str, Any]:
        """Those that live at Hytale, by their tokens."""
        return dict(self.sandbox.hytale_state()["sessions"])

    def renew(self, token: str) -> None:
        """As a server that runs does by itself."""
        url, headers = f"{self.sandbox.hytale_url}/game-session/refresh", {"Authorization": f"Bearer {token}"}
        assert requests.post(url, headers=headers, timeout=10).ok

    def asked(self, match: str) -> int:
        """How many requests of this kind it saw."""
        return len(self.sandbox.requests("hytale", match))

    def power(self, server: Server, action: PowerAction) -> PowerTask:
        """Ask for a power action, and have a worker try it once."""
        server = server.reload()
        power.request_power_action(server=server, action=action, actor=server.owner, at=self.at)
        self.run(PowerTask)
        return PowerTask.objects.get(server=server)


def import_egg(sandbox: Sandbox, folder: Path) -> None:
    """An egg with the two variables on the stand-in panel."""
    shown: dict[str, Any] = {"description": "", "default_value": "", "rules": "nullable|string"}
    shown |= {"user_viewable": False, "user_editable": False}
    egg = {
        "name": EGG,
        "author": "shop@example.com",
        "docker_images": {"Java 25": "java:25"},
        "startup": "java -jar Server/HytaleServer.jar",
        "config": {"files": "{}", "startup": '{"done": "Hytale Server Booted"}', "logs": "{}", "stop": "/stop"},
        "scripts": {"installation": {"script": "true", "entrypoint": "sh", "container": "alpine"}},
        "variables": [{"name": name, "env_variable": name, **shown} for name in (SESSION, IDENTITY)]
        + [{"name": "Mode", "env_variable": "HYTALE_AUTH_MODE", **shown | {"default_value": "authenticated"}}],
    }
    (folder / "hytale.json").write_text(json.dumps(egg))
    control(sandbox, "eggs", {"folder": str(folder), "nest": "Hytale"})


def make_hytale_server(provider: Provider, **fields: Any) -> Server:
    """A paid server that has not been converged yet."""
    plan, egg = make_plan(), Egg.objects.get(nest__provider=provider, name=EGG)
    return make_server(provider, plan=plan, blueprint=make_game_blueprint(provider, plan, egg), **fields)


def make_running_hytale(hytale: Hytale, provider: Provider) -> Server:
    """A server that was installed and started with a game session."""
    server = make_hytale_server(provider, at=hytale.at)
    while server.status != ServerStatus.RUNNING:  # what the shop waits for passes at the panel too
        at = run_until_quiet(hytale.at, within=timedelta(seconds=25))
        hytale.later(seconds=max(25, (at - hytale.at).total_seconds()))
        server = server.reload()
    return server


class FakePanel:
    """A provider's driver that keeps what it was told."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, str]] = {}
        self.sent: list[tuple[str, str]] = []

    def send_power_action(self, identifier: str, action: PowerAction) -> None:
        """Of the server with this identifier."""
        self.sent.append((identifier, action.value))

    def set_hidden_variables(self, ref: str, values: Mapping[str, str]) -> None:
        """Of the server with this ref."""
        self.values[ref] = dict(values)


def make_stopped_servers(count: int) -> list[Server]:
    """Servers that were installed on a provider that nobody asks, and take tokens."""
    provider = make_provider()
    location, plan = make_location(provider), make_plan()
    make_node(location)
    egg = make_egg(provider, name=EGG)
    for name in (SESSION, IDENTITY):
        hidden = {"is_user_viewable": False, "is_user_editable": False}
        EggVariable.objects.create(egg=egg, name=name, env_variable=name, **hidden)
    blueprint = make_blueprint(provider, plan, egg=egg)
    made = [make_server(provider, plan=plan, blueprint=blueprint, location=location) for _ in range(count)]
    for number, server in enumerate(made):
        installed = {"status": ServerStatus.STOPPED, "ref": str(number), "identifier": f"server{number}"}
        Server.objects.filter(pk=server.pk).update(**installed, running_at=AT)
    return [server.reload() for server in made]


def environment_of(sandbox: Sandbox, server: Server) -> dict[str, str]:
    """What the panel starts the server with."""
    return dict(next(each["environment"] for each in panel_servers(sandbox) if each["external_id"] == str(server.pk)))
