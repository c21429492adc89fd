"""Many servers at all providers at once, whose customers, staff, providers and processes do what they like.

The suite lets a few live, the same on every run; `make chaos` runs 500 (docs/howto/histories.md). When all is calm
again, what is at the providers is what is in our rows.
"""

import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.core.cache import cache

from catalog.models import Plan
from core.outside.limits import reset_limits
from sandbox.client import Sandbox
from servers import convergence, inventory, resizing, services
from servers.capacity import InsufficientCapacity, Size
from servers.capacity.resizing import Growth, extend_reservation, merge_extension
from servers.drivers import registry
from servers.drivers.base import PowerAction
from servers.drivers.inventory import Inventory
from servers.live import power
from servers.models import (
    Blueprint,
    DesiredState,
    DriftFinding,
    HoldKind,
    Provider,
    Server,
    ServerStatus,
    SyncState,
)
from tests.drivers.adapters import Cloud
from tests.drivers.shops import SHOPS, sold, work
from tests.faults import forks
from tests.servers.builders import AT, assign_regions, make_server
from tests.servers.test_capacity import assert_counters_agree

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
SERVERS = int(os.environ.get("CHAOS_SERVERS", "12"))
A_ROUND = 5  # acts, before the workers work
KILLED_PERCENT = 50
LAST_POINTS = (10, 60)
OUTAGES: tuple[dict[str, Any], ...] = (
    {"kind": "lose_answer"},
    {"kind": "drop"},
    {"kind": "late_status", "status": 500},
    {"kind": "status", "status": 429, "headers": {"Retry-After": "2"}},
    {"kind": "status", "status": 503},
)


@dataclass
class Offer:
    """What one provider sells: two sizes, each with its plan and its blueprint."""

    provider: Provider
    sizes: list[tuple[Size, Plan, Blueprint]]
    was_there: int  # servers of others


class Fleet:
    """All servers, and what may happen to them; `random` decides."""

    def __init__(self, sandbox: Sandbox, offers: list[Offer], seed: int) -> None:
        self.sandbox, self.offers, self.random = sandbox, offers, random.Random(seed)
        self.at, self.kills, self.happened = AT, 0, Counter[str]()

    def some(self, **wanted: Any) -> Server | None:
        """A server that should be there."""
        rows = list(Server.objects.filter(desired_state=DesiredState.PRESENT, **wanted).order_by("pk"))
        return self.random.choice(rows) if rows else None

    def buy(self) -> None:
        """A customer gets a server, where there is room."""
        offer = self.random.choice(self.offers)
        size, plan, blueprint = offer.sizes[0]
        parts: dict[str, Any] = {"plan": plan, "blueprint": blueprint, "size": size}
        try:
            make_server(offer.provider, at=self.at, databases=0, backups=0, **parts)
        except InsufficientCapacity:
            self.happened["no room"] += 1

    def hold(self) -> None:
        """Staff suspend one."""
        if server := self.some(status=ServerStatus.RUNNING):
            services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=self.at)

    def lift(self) -> None:
        """And lift that."""
        if server := self.some(holds__lifted_at=None, holds__isnull=False):
            services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=self.at)

    def resize(self) -> None:
        """A customer changes to the larger plan; its room is reserved first, as an order does."""
        if (server := self.some(resize_asked_at=None)) is None:
            return
        offer = next(each for each in self.offers if each.provider.pk == server.blueprint.provider_id)
        (before, _plan, _blueprint), (size, plan, blueprint) = offer.sizes
        if server.plan_id == plan.pk:
            return
        new = resizing.NewSize(plan, blueprint, size, databases=0, backups=0)
        assert server.reservation_id is not None
        more = Growth(size.memory_mib - before.memory_mib, size.disk_mib - before.disk_mib, size.ports - before.ports)
        try:
            extension = extend_reservation(reservation_id=server.reservation_id, growth=more, expires_at=None)
        except InsufficientCapacity:
            return
        merge_extension(extension_id=extension.pk, at=self.at)
        resizing.resize_server(server_id=server.pk, new=new, actor=None, at=self.at)

    def rename(self) -> None:
        """A customer gives another name."""
        if server := self.some():
            services.rename_server(server=server, name=f"Tower {self.random.randrange(10**6)}", actor=None, at=self.at)

    def restart(self) -> None:
        """A customer restarts one that runs."""
        if (server := self.some(status=ServerStatus.RUNNING)) and not server.has_holds():
            power.request_power_action(server=server, action=PowerAction.RESTART, actor=None, at=self.at)

    def delete(self) -> None:
        """A subscription ends."""
        if server := self.some():
            services.delete_servers(server_ids=[server.pk], actor=None, at=self.at)

    def outage(self) -> None:
        """A few calls of some provider fail."""
        provider = self.random.choice(self.offers).provider
        self.sandbox.arm(provider.kind, "*", times=self.random.randint(1, 6), **self.random.choice(OUTAGES))

    def sync(self) -> None:
        """A provider is read in the middle of it."""
        inventory.sync(provider_id=self.random.choice(self.offers).provider.pk, at=self.at)

    def in_a_process(self, act: Callable[[], object]) -> None:
        """Do it in a process of its own, which is killed somewhere in half of the cases."""
        if self.random.randrange(100) < KILLED_PERCENT:
            exited = forks.run_and_kill_after(self.random.randint(1, self.random.choice(LAST_POINTS)), act)
            self.kills += exited.was_killed
        else:
            exited = forks.run(act)
        assert exited.was_killed or exited.status == 0, exited.output

    def round(self, acts: list[str]) -> None:
        """Some acts, a round of the workers, and time."""
        for _ in range(A_ROUND):
            name = self.random.choice(acts)
            self.happened[name] += 1
            getattr(self, name)()
        until = timedelta(seconds=self.random.choice((2, 30, 300)))
        self.in_a_process(partial(work, self.at, within=until))
        self.at += timedelta(seconds=self.random.choice((5, 60, 600)))

    def calm(self) -> None:
        """Everything answers again, and the workers finish."""
        self.sandbox.clear_faults()
        for _ in range(4):
            reset_limits()
            self.at += timedelta(hours=3)
            convergence.request_recheck(at=self.at, not_observed_for=timedelta(0))
            work(self.at)


@pytest.fixture
def fleet(request: pytest.FixtureRequest, sandbox: Sandbox) -> Fleet:
    """All providers, synced and with nothing sold."""
    cache.clear()
    offers = []
    for name, shop in SHOPS.items():
        adapter = request.getfixturevalue(name)
        if isinstance(adapter, Cloud):
            adapter.set(droplet_limit=10_000)
        provider = shop.provider(sandbox)
        provider.save()
        assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED
        assign_regions(provider)
        sizes = [(size, *sold(provider, size, parts)) for size, parts in shop.sizes()]
        offers.append(Offer(provider, sizes, len(at_provider(provider))))
    return Fleet(sandbox, offers, int(os.environ.get("CHAOS_SEED", "1")))


def at_provider(provider: Provider) -> list[str]:
    """The keys of all servers that the provider has."""
    driver = registry.driver_of(provider)
    assert isinstance(driver, Inventory)
    return [each.key for each in driver.servers()]


@pytest.mark.timeout(7200)
def test_what_is_at_the_providers_is_what_is_in_our_rows_when_all_is_calm(fleet: Fleet) -> None:
    open_before = set(DriftFinding.objects.filter(closed_at=None).values_list("kind", "subject_ref"))
    while Server.objects.count() < SERVERS:
        fleet.round(["buy"] * 6 + ["hold", "lift", "resize", "rename", "restart", "delete", "outage", "sync"])
    for _ in range(SERVERS // 4):
        fleet.round(["hold", "lift", "lift", "resize", "rename", "restart", "delete", "outage", "sync"])
    fleet.calm()

    sys.stdout.write(f"{Server.objects.count()} servers, {fleet.kills} kills, {dict(fleet.happened)}\n")
    assert fleet.kills
    for offer in fleet.offers:
        run = inventory.sync(provider_id=offer.provider.pk, at=fleet.at)
        assert (run.state, run.error) == (SyncState.COMPLETED, "")
        ours = Server.objects.filter(blueprint__provider=offer.provider).exclude(status=ServerStatus.DELETED)
        there = at_provider(offer.provider)
        assert sorted(key for key in there if key) == sorted(str(pk) for pk in ours.values_list("pk", flat=True))
        assert len(there) == ours.count() + offer.was_there
    found = set(DriftFinding.objects.filter(closed_at=None).values_list("kind", "subject_ref"))
    assert found <= open_before
    for server in Server.objects.exclude(status=ServerStatus.DELETED).select_related("blueprint__provider", "node"):
        wanted = ServerStatus.SUSPENDED if server.has_holds() else ServerStatus.RUNNING
        assert (server.status, server.failure) == (wanted, ""), server.blueprint
        assert server.desired_state == DesiredState.PRESENT
    assert_counters_agree()
