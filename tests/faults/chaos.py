"""Many purchases at once, and what goes wrong in each round, chosen by a seeded generator."""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Thread
from typing import Any
from uuid import UUID

import requests
from django.db import connections
from django.test import Client
from django.urls import reverse

from core.ids import uuid7
from core.outside import OutsideError
from core.outside.limits import reset_limits
from orders import paying
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox, SandboxError
from servers import convergence
from servers.capacity import InsufficientCapacity
from servers.models import Node, Region, Server
from tests import shop as shops
from tests.faults import forks
from tests.shop import Clock, Shop

KILLED_PERCENT = 60
LAST_POINTS = (12, 80)  # most acts come to so many, and the longest
OUTAGES: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("stripe", "POST /v1/checkout/sessions", {"kind": "lose_answer"}),
    ("stripe", "GET /v1/*", {"kind": "status", "status": 503}),
    ("pterodactyl", "POST /api/application/servers", {"kind": "lose_answer"}),
    ("pterodactyl", "POST /api/application/servers", {"kind": "hang", "seconds": 1.0}),
    ("pterodactyl", "POST /api/application/users", {"kind": "lose_answer"}),
    ("pterodactyl", "GET /api/application/*", {"kind": "drop"}),
    ("pterodactyl", "GET /api/client/*", {"kind": "status", "status": 502}),
)
# Of a node that is silent, what the panel asks of it does not answer.
HANGING_NODE = ("GET /api/client/*", "POST /api/client/*", "POST /api/application/servers")


@dataclass
class Chaos:
    """The shop, its customers' purchases by their form tokens, and what may happen to them."""

    shop: Shop
    clock: Clock
    random: random.Random
    customers: list[Shop]
    tokens: list[UUID] = field(default_factory=list)
    kills: int = 0
    page_seconds: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tokens = [uuid7() for _ in self.customers]
        self.regions = list(Region.objects.filter(locations__nodes__isnull=False).distinct().order_by("code"))

    def attempt(self, number: int) -> None:
        """A customer orders and pays, or goes on with what they have; an outage is an error page to them."""
        theirs, at = self.customers[number], self.clock.now
        own = Sandbox(self.shop.sandbox.base_url, self.shop.sandbox.smtp_port)  # a process's own sockets
        region = self.regions[number % len(self.regions)]
        with suppress(OutsideError, SandboxError, InsufficientCapacity, paying.OrderClosed):
            order = shops.place_order(theirs, token=self.tokens[number], at=at, region=region)
            if order.reload().status == OrderStatus.PENDING_PAYMENT:
                paying.reopen_payment(order=order, at=at)
                own.pay(shops.create_session(order, at=at))

    def work(self) -> None:
        """Webhooks arrive, some of them twice or never, and the workers do one round."""
        sandbox = Sandbox(self.shop.sandbox.base_url, self.shop.sandbox.smtp_port)
        client = Client()
        for event in shops.signed_events(sandbox)[-20:]:
            client.post(shops.WEBHOOK, **event)
        shops.run_once(self.clock.now)

    def in_a_process(self, act: Callable[[], object]) -> None:
        """Do it in a process of its own, which is often killed somewhere."""

        def done() -> None:
            reset_limits()
            act()

        if self.random.randrange(100) < KILLED_PERCENT:
            exited = forks.run_and_kill_after(self.random.randint(1, self.random.choice(LAST_POINTS)), done)
            self.kills += exited.was_killed
            assert exited.was_killed or exited.status == 0, exited.output
        else:
            exited = forks.run(done)
            assert exited.status == 0, exited.output

    def outage(self) -> None:
        """The next few calls of a kind fail."""
        service, match, fault = self.random.choice(OUTAGES)
        self.shop.sandbox.arm(service, match, times=self.random.randint(1, 4), **fault)

    def transfer(self) -> None:
        """An admin of the panel moves a server to another node."""
        if remote := self._some_remote():
            nodes = [node.ref for node in Node.objects.all() if int(node.ref) != remote["node_id"]]
            self._control(f"servers/{remote['id']}/transfer", {"node": int(self.random.choice(nodes))})

    def erase_external_id(self) -> None:
        """An admin of the panel saves a server's details, which erases our id."""
        if remote := self._some_remote():
            key = self.shop.sandbox.panel_keys()["application"]
            requests.patch(
                f"{self.shop.sandbox.panel_url}/api/application/servers/{remote['id']}/details",
                json={"name": remote["name"], "user": remote["user_id"]},
                headers={"Accept": "application/json", "Authorization": f"Bearer {key}"},
                timeout=10,
            ).raise_for_status()

    def restart_node(self) -> None:
        """A node's daemon restarts, and forgets what it was installing."""
        self._control(f"nodes/{self.random.choice(list(Node.objects.all())).ref}/restart", {})

    def look_while_a_node_hangs(self) -> None:
        """Customers open their pages while a node does not answer and the workers ask it: no page waits for it."""
        sandbox = self.shop.sandbox
        number = self.random.randrange(len(self.customers))
        client, owner = Client(), self.customers[number]
        client.force_login(owner.customer)
        pages = ["/", "/products/", "/products/minecraft/", "/invoices/", "/servers/", "/health/live"]
        pages += [reverse("orders:progress", args=[row.pk]) for row in Order.objects.filter(placed_by=owner.customer)]
        pages += [reverse("servers:detail", args=[row.pk]) for row in Server.objects.filter(owner=owner.customer)]
        for page in pages:
            client.get(page)  # a process compiles each template once
        for match in HANGING_NODE:
            sandbox.arm("pterodactyl", match, "hang", seconds=1.0, times=2)
        for server in Server.objects.filter(owner=owner.customer):
            client.post(reverse("servers:power", args=[server.pk]), {"action": "restart"})
        worker = Thread(target=self._ask_the_node)
        worker.start()
        while worker.is_alive() or not self.page_seconds:
            for page in pages:
                began = time.perf_counter()
                assert client.get(page).status_code == 200, page  # 500 for a page that calls the panel itself
                self.page_seconds.append(time.perf_counter() - began)
        worker.join()

    def _ask_the_node(self) -> None:
        """A worker's round while the node is silent, in a thread with a connection of its own."""
        try:
            shops.run_once(self.clock.now)
        finally:
            connections.close_all()

    def round(self) -> None:
        """One thing goes wrong, some customers go on, the workers work, and time passes."""
        happenings = (self.outage, self.outage, self.transfer, self.erase_external_id, self.restart_node)
        self.random.choice((*happenings, self.look_while_a_node_hangs))()
        for _ in range(3):
            number = self.random.randrange(len(self.customers))
            self.in_a_process(lambda number=number: self.attempt(number))  # type: ignore[misc]
        self.in_a_process(self.work)
        self.clock.pass_by(timedelta(seconds=self.random.choice((5, 20, 60, 600))))

    def end(self) -> None:
        """Everything answers again, those who have not paid press until they have, and the workers finish."""
        self.shop.sandbox.clear_faults()
        reset_limits()
        self.clock.pass_by(timedelta(minutes=6))  # beyond every lease of a killed process
        for _ in range(4):
            for number, token in enumerate(self.tokens):
                if Order.objects.filter(form_token=token, status=OrderStatus.CANCELED).exists():
                    self.tokens[number] = uuid7()  # it was not paid in time, so they order again
                self.attempt(number)
            self.work()
            shops.run_until_idle(self.clock, steps=40, step=timedelta(seconds=20))
            convergence.request_recheck(at=self.clock.now, not_observed_for=timedelta(0))
        shops.run_until_idle(self.clock, steps=40, step=timedelta(seconds=20))

    def _some_remote(self) -> dict[str, Any] | None:
        """A server of the panel that is not just being installed."""
        settled = [row for row in shops.panel_servers(self.shop.sandbox) if row["status"] is None]
        return self.random.choice(settled) if settled else None

    def _control(self, path: str, body: dict[str, Any]) -> None:
        requests.post(f"{self.shop.sandbox.base_url}/_control/pterodactyl/{path}", json=body, timeout=10)
