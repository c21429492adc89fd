"""Many servers at all providers at once, and what customers, staff, providers and processes do with them."""

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import requests
from django.db.models import F

from billing import grants
from billing.models import GrantKind
from catalog.models import PlanPrice
from core.ids import uuid7
from core.money import Money
from core.outside import OutsideError
from core.outside.limits import reset_limits
from orders import adoption, cancellation, fulfilment, placement
from orders.changes import applying, ending, making, quoting
from orders.models import OrderItem, WaitlistEntry
from orders.transfers import transferring
from orders.waitlist import entries, offering
from sandbox.client import Sandbox
from servers import convergence, draining, findings, inventory, services
from servers.adoption import NotAdoptable
from servers.capacity import InsufficientCapacity
from servers.drivers import registry
from servers.drivers.base import PowerAction
from servers.drivers.inventory import Inventory
from servers.live import power
from servers.models import (
    Allocation,
    DesiredState,
    DriftFinding,
    DriftKind,
    HoldKind,
    Node,
    Provider,
    Region,
    RemoteServerSeen,
    Server,
    ServerMove,
    ServerStatus,
)
from servers.plan_fits import read_plan_fits
from tests.builders import make_organization, make_user
from tests.drivers.shops import work
from tests.faults import forks
from tests.orders.sold import pay
from tests.servers.builders import AT
from tests.servers.test_convergence import make_foreign_server

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
PER_CUSTOMER = 8  # servers, of which some are given to others


@dataclass
class Offer:
    """What one provider sells in a region: a smaller and a larger plan."""

    provider: Provider
    region: Region
    small: PlanPrice
    large: PlanPrice
    was_there: int  # servers of others


class Fleet:
    """All servers, and what may happen to them; `random` decides."""

    def __init__(self, sandbox: Sandbox, offers: list[Offer], seed: int, size: int) -> None:
        self.sandbox, self.offers, self.random = sandbox, offers, random.Random(seed)
        self.panel = next(each.provider for each in offers if each.provider.kind == "pterodactyl")
        self.at, self.kills, self.happened = AT, 0, Counter[str]()
        self.found_before = set(self.open_findings())
        self.customers = [make_user() for _ in range(size // PER_CUSTOMER + 2)]
        for customer in self.customers:
            grants.grant_credit(
                organization=make_organization(customer),
                amount=Money(10_000_00, "USD"),
                kind=GrantKind.WALLET,
                reason="for changes of plans",
                form_token=uuid7(),
                actor="test",
                at=AT,
            )

    def open_findings(self) -> list[tuple[str, str]]:
        """What is open of each kind, and what about."""
        return list(DriftFinding.objects.filter(closed_at=None).values_list("kind", "subject_ref"))

    def some(self, **wanted: Any) -> Server | None:
        """A server that should be there."""
        rows = Server.objects.filter(desired_state=DesiredState.PRESENT, **wanted).order_by("pk")
        ids = list(rows.values_list("pk", flat=True))
        return Server.objects.get(pk=self.random.choice(ids)) if ids else None

    def buy(self) -> None:
        """A customer buys and pays one; who has waited for it first. Where there is no room, they wait."""
        offered = WaitlistEntry.objects.filter(status="offered").order_by("pk").first()
        offer = self.random.choice(self.offers)
        user = self.random.choice(self.customers)
        if offered is not None and offered.joined_by is not None:
            offer = next(each for each in self.offers if each.small.plan_id == offered.plan_id)
            user = offered.joined_by
        item = placement.ItemRequest(plan_price=offer.small, region=offer.region, server_name="Castle")
        organization = make_organization(user)
        buyer: dict[str, Any] = {"organization": organization, "user": user, "form_token": uuid7()}
        try:
            order = placement.place_order(**buyer, order_request=placement.OrderRequest([item]), at=self.at)
        except InsufficientCapacity:
            self.happened["no room"] += 1
            joined: dict[str, Any] = {"plan": offer.small.plan, "region": offer.region, "actor": user}
            with suppress(entries.TooManyEntries):
                entries.join(organization=organization, **joined, at=self.at)
        else:
            pay(order.invoice, self.at)

    def hold(self) -> None:
        """Staff suspend one."""
        if server := self.some(status=ServerStatus.RUNNING):
            services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=self.at)

    def lift(self) -> None:
        """And lift that."""
        if server := self.some(holds__lifted_at=None, holds__isnull=False):
            services.lift_holds(server_ids=[server.pk], kind=HoldKind.ABUSE, actor=None, at=self.at)

    def change_plan(self) -> None:
        """A customer changes to the larger plan and pays that with credit, or cancels what does not begin now."""
        server = self.some(resize_asked_at=None)
        if server is None or (item := item_of(server)) is None:
            return
        offer = next(each for each in self.offers if each.provider.pk == server.blueprint.provider_id)
        with suppress(quoting.ChangeRefused, making.AnotherChangeOpen, InsufficientCapacity):
            selection = quoting.Selection(offer.large)
            change = making.request_change(item=item, selection=selection, actor=server.owner, at=self.at)
            change = making.confirm(change=change, actor=server.owner, at=self.at)
            if making.pay_with_credit(change=change, at=self.at):
                self.happened["plan changed"] += 1
            else:  # what was adopted may have more than the larger plan: then it would begin with the next period
                assert ending.cancel(change=change, actor=server.owner, at=self.at)

    def transfer(self) -> None:
        """A customer gives one to another, who takes it."""
        server, recipient = self.some(), self.random.choice(self.customers)
        if server is None or (item := item_of(server)) is None:
            return
        with suppress(transferring.TransferRefused):
            offered = transferring.offer(item=item, recipient=recipient, actor=server.owner, at=self.at)
            taker: dict[str, Any] = {"organization": make_organization(recipient), "actor": recipient}
            transferring.accept(transfer=offered, **taker, at=self.at)
            self.happened["transferred"] += 1

    def rename(self) -> None:
        """A customer gives another name."""
        if server := self.some():
            services.rename_server(server=server, name=f"Tower {self.random.randrange(10**6)}", actor=None, at=self.at)

    def restart(self) -> None:
        """A customer restarts one that runs."""
        if (server := self.some(status=ServerStatus.RUNNING)) and not server.has_holds():
            power.request_power_action(server=server, action=PowerAction.RESTART, actor=None, at=self.at)

    def delete(self) -> None:
        """Staff delete one, with its subscription."""
        if server := self.some():
            services.delete_servers(server_ids=[server.pk], actor=None, at=self.at)

    def outage(self) -> None:
        """A few calls of some provider fail."""
        provider = self.random.choice(self.offers).provider
        self.sandbox.arm(provider.kind, "*", times=self.random.randint(1, 6), **self.random.choice(OUTAGES))

    def sync(self) -> None:
        """A provider is read in the middle of it."""
        inventory.sync(provider_id=self.random.choice(self.offers).provider.pk, at=self.at)

    def drain(self) -> None:
        """Staff drain a node of the panel, or stop doing so."""
        drained = Node.objects.filter(drain_asked_at__isnull=False).first()
        if drained is not None:
            draining.cancel(node=drained, actor=self.customers[0], at=self.at)
        else:
            nodes = list(Node.objects.filter(provider=self.panel).order_by("pk"))
            draining.start(node=self.random.choice(nodes), actor=self.customers[0], at=self.at)

    def move(self) -> None:
        """Staff move a server on the panel: one with a place reserved elsewhere, else any to where there is room."""
        planned = {
            move.server.ref: int(move.reservation.node.ref)
            for move in ServerMove.objects.filter(draining.OPEN).select_related("server", "reservation__node")
            if move.reservation is not None
        }
        there = [row for row in self.sandbox.panel_state()["servers"] if row["status"] is None]
        wanted = [row for row in there if str(row["id"]) in planned] or there
        if not wanted:
            return
        row = self.random.choice(wanted)
        with_room = Node.objects.filter(provider=self.panel).exclude(ref=row["node_id"]).order_by("pk")
        with_room = with_room.filter(
            memory_sellable_mib__gte=F("memory_reserved_mib") + F("memory_foreign_mib") + row["memory"]
        )
        target = planned.get(str(row["id"])) or next((int(node.ref) for node in with_room), None)
        if target is None:
            return
        address = f"{self.sandbox.base_url}/_control/pterodactyl/servers/{row['id']}/transfer"
        requests.post(address, json={"node": target}, timeout=10)  # refused where the node has no free port
        self.happened["moved for a drain"] += str(row["id"]) in planned

    def make_foreign(self) -> None:
        """A server appears on the panel that another shop made."""
        free = Allocation.objects.filter(node__provider=self.panel, reservation=None, is_taken_elsewhere=False)
        refs = list(free.order_by("pk").values_list("ref", flat=True))
        key = UUID(int=self.random.getrandbits(128), version=4)
        if refs:
            with suppress(OutsideError):
                port = self.random.choice(refs)
                make_foreign_server(self.sandbox, self.panel, allocation=port, external_id=str(key))

    def take_over(self) -> None:
        """Staff adopt what is not ours, or have it deleted."""
        orphans = DriftFinding.objects.filter(kind=DriftKind.ORPHAN, closed_at=None).order_by("pk")
        rows = [row for row in orphans if (row.kind, row.subject_ref) not in self.found_before]
        if not rows:
            return
        finding = self.random.choice(rows)
        try:
            if self.random.randrange(2):
                self.adopt(finding)
            else:
                findings.request_deletion(finding=finding, ref=finding.subject_ref, actor=None, at=self.at)
                self.happened["orphan deleted"] += 1
        except (NotAdoptable, findings.NotDeletable) as error:
            self.happened[f"{type(error).__name__}: {error}"] += 1

    def adopt(self, finding: DriftFinding) -> None:
        """It becomes a customer's, as the smaller plan. Raises NotAdoptable."""
        seen = RemoteServerSeen.objects.get(provider=finding.provider_id, ref=finding.subject_ref)
        offer = next(each for each in self.offers if each.provider.pk == finding.provider_id)
        owner = self.random.choice(self.customers)
        fit = read_plan_fits("USD", provider_ids=[offer.provider.pk]).of_plan(offer.provider.pk, offer.small.plan_id)
        assert fit is not None
        billed_from = adoption.start_of(adoption.first_of_next_month(self.at.date()))
        sale = adoption.Sale(make_organization(owner), owner, fit, offer.small, billed_from)
        adoption.adopt(seen=seen, sale=sale, actor=None, at=self.at)
        self.happened["adopted"] += 1

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
        self.in_a_process(partial(work_and_schedule, self.at, until))
        self.at += timedelta(seconds=self.random.choice((5, 60, 600)))

    def calm(self) -> None:
        """Everything answers again, staff end what they began, and the workers finish."""
        self.sandbox.clear_faults()
        reset_limits()
        for node in Node.objects.filter(drain_asked_at__isnull=False):
            draining.cancel(node=node, actor=self.customers[0], at=self.at)
        for entry in WaitlistEntry.objects.filter(status__in=("waiting", "offered")):
            entries.leave(entry=entry, actor=self.customers[0], at=self.at)
        for _ in range(4):
            reset_limits()
            self.at += timedelta(hours=3)
            for offer in self.offers:
                inventory.sync(provider_id=offer.provider.pk, at=self.at)
            while set(self.orphans()) - self.found_before:
                self.take_over()
                work_and_schedule(self.at, timedelta(minutes=5))
            convergence.request_recheck(at=self.at, not_observed_for=timedelta(0))
            work_and_schedule(self.at, timedelta(hours=1))

    def orphans(self) -> list[tuple[str, str]]:
        """The open findings about what is no server of ours."""
        return [each for each in self.open_findings() if each[0] == DriftKind.ORPHAN]


def work_and_schedule(at: datetime, within: timedelta) -> None:
    """What the schedule does, and all that the workers have to do."""
    for advance in (
        *(draining.advance, offering.advance, applying.apply_due, ending.expire_due),
        *(fulfilment.fail_overdue, fulfilment.retry_waiting, cancellation.refund_overdue),
    ):
        advance(at=at)
    work(at, within=within)


def item_of(server: Server) -> OrderItem | None:
    """What it was ordered as, as pages look it up."""
    return OrderItem.objects.filter(server=server).first()


def at_provider(provider: Provider) -> list[str]:
    """The keys of all servers that the provider has."""
    driver = registry.driver_of(provider)
    assert isinstance(driver, Inventory)
    return [each.key for each in driver.servers()]
