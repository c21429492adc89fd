"""The pages of a server, as tabs: what its provider can do, and what the user may."""

import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from accounts.permissions import Action
from core import tenancy
from servers.drivers import registry
from servers.drivers.abilities import AllowedImages, UsageFigures
from servers.drivers.base import Driver
from servers.drivers.self_service import (
    Backups,
    Console,
    Databases,
    Files,
    Logs,
    Network,
    ReverseDns,
    Schedules,
    Startup,
)
from servers.models import Blueprint, Server

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

REMEMBERED_SECONDS = 60.0  # what a provider can do changes when staff enter another key


@dataclass(frozen=True)
class Section:
    """A page of a server. Its driver needs one of the `abilities` for it; where there are none, every server has it."""

    name: str  # of its URL, in the namespace "servers"
    label: "StrOrPromise"
    action: Action
    abilities: tuple[type, ...] = ()

    def is_of(self, driver: Driver) -> bool:
        """Whether the driver's servers have the page."""
        return not self.abilities or isinstance(driver, self.abilities)


SECTIONS = (
    Section("detail", _("Overview"), Action.SERVER_VIEW),
    Section("console", _("Console"), Action.SERVER_CONSOLE, (Console,)),
    Section("logs", _("Output"), Action.SERVER_CONSOLE, (Logs,)),
    Section("container", _("Container"), Action.SERVER_CONTENT, (AllowedImages,)),
    Section("files", _("Files"), Action.SERVER_CONTENT, (Files,)),
    Section("usage", _("Usage"), Action.SERVER_VIEW, (UsageFigures,)),
    Section("backups", _("Backups"), Action.SERVER_BACK_UP, (Backups,)),
    Section("databases", _("Databases"), Action.SERVER_CONTENT, (Databases,)),
    Section("startup", _("Startup"), Action.SERVER_CONTENT, (Startup,)),
    Section("schedules", _("Schedules"), Action.SERVER_CONTENT, (Schedules,)),
    Section("network", _("Network"), Action.SERVER_CONTENT, (Network, ReverseDns)),
    Section("settings", _("Settings"), Action.SERVER_RENAME),
    Section("activity", _("Activity"), Action.SERVER_ACTIVITY),
    Section("access", _("Access"), Action.SERVER_ACCESS),
)
_able: dict[UUID, tuple[float, frozenset[str]]] = {}  # by blueprint


@dataclass(frozen=True)
class Tab:
    """A link to a section."""

    name: str
    label: "StrOrPromise"
    url: str


def tabs(server: Server, allowed: Collection[Action]) -> list[Tab]:
    """The sections of the server that the user may open."""
    able = _sections_of(server.blueprint_id)
    return [
        Tab(each.name, each.label, reverse(f"servers:{each.name}", args=[server.pk]))
        for each in SECTIONS
        if each.action in allowed and each.name in able
    ]


def has_section(server: Server, name: str) -> bool:
    """Whether the server's provider can do what the section is for."""
    return name in _sections_of(server.blueprint_id)


def _sections_of(blueprint_id: UUID) -> frozenset[str]:
    """The sections for which the blueprint's provider has the ability; asked of the database once a minute."""
    until, names = _able.get(blueprint_id, (0.0, frozenset()))
    if time.monotonic() < until:
        return names
    with tenancy.as_worker_without_row():
        provider = Blueprint.objects.select_related("provider").get(pk=blueprint_id).provider
    driver = registry.driver_of(provider)
    names = frozenset(each.name for each in SECTIONS if each.is_of(driver))
    _able[blueprint_id] = time.monotonic() + REMEMBERED_SECONDS, names
    return names
