"""Servers converged by eight workers, while each call to their providers takes 200 ms."""

import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.db import connections
from django.utils import timezone

from accounts.models import Organization, User
from bench.environment import Environment
from bench.report import Row
from catalog.models import Kind, Plan, Product
from core import work
from nodebyte.seeding import users
from sandbox.docker.hosts import IMAGE
from servers import capacity, inventory, services
from servers.capacity import Size
from servers.models import (
    Blueprint,
    Build,
    Location,
    Placement,
    Provider,
    ProvisioningTask,
    Region,
    Server,
    ServerStatus,
)

WORKERS, CALL_SECONDS = 8, 0.2
# A lane lets three workers at one provider and two at one node, so that a slow one never has them all. Servers that are
# packed onto one node would leave two of eight workers without work.
PROVIDERS, NODES, SERVERS = 3, 2, 96
SIZE = Size(memory_mib=64, disk_mib=64, cpu_percent=10, ports=1)
IDLE_SECONDS = 0.02


def measure(environment: Environment) -> Iterator[Row]:
    """From paid to running, beside what the calls alone take when every worker always waits for one."""
    blueprints = [make_blueprint(environment, number) for number in range(PROVIDERS)]
    for number in range(SERVERS):
        make_server(blueprints[number % PROVIDERS], f"bench-{number}")
    environment.sandbox.arm("docker", "*", "delay", seconds=CALL_SECONDS, times=0)
    before = len(environment.sandbox.requests("docker"))
    began = time.perf_counter()
    workers = [threading.Thread(target=work_until_done) for _ in range(WORKERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took = time.perf_counter() - began
    environment.sandbox.clear_faults()
    calls = len(environment.sandbox.requests("docker")) - before
    assert Server.objects.filter(name__startswith="bench-", status=ServerStatus.RUNNING).count() == SERVERS
    ideal = calls * CALL_SECONDS / WORKERS
    yield Row("calls of a server, from paid to running", calls / SERVERS, "calls")
    yield Row(f"{SERVERS} servers, the calls alone", SERVERS / ideal, "/s")
    yield Row(f"{SERVERS} servers converged", SERVERS / took, "/s", ideal / took, "the calls alone")


def work_until_done() -> None:
    """What a worker does, until no server has anything left to be done."""
    try:
        while ProvisioningTask.objects.filter(state__in=["queued", "running"]).exists():
            if not work.run_due(limit=1, models=(ProvisioningTask,)):
                time.sleep(IDLE_SECONDS)
    finally:
        connections.close_all()


def make_blueprint(environment: Environment, number: int) -> Blueprint:
    """A plan of containers on the hosts of a provider of its own."""
    address = f"tcp://{environment.sandbox.base_url.removeprefix('http://')}/docker"
    hosts = [
        {
            "name": f"host-{number}-{node}",
            "address": f"{address}/host-{number}-{node}",
            "location": f"bench-{number}",
            "memory_mib": 1 << 20,
            "disk_mib": 1 << 20,
            "ip": "127.0.0.1",
            "ports": "30000-30999",
        }
        for node in range(NODES)
    ]
    provider = Provider.objects.create(
        kind="docker",
        name=f"Bench {number}",
        placement=Placement.SPREAD,
        configuration={"hosts": hosts, "images": [IMAGE]},
    )
    assert inventory.sync(provider_id=provider.pk, at=timezone.now()).error == ""
    region = Region.objects.create(code=f"bench-{number}", city="Bench")
    Location.objects.filter(provider=provider).update(region=region)
    product = Product.objects.create(kind=Kind.GAME, slug=f"bench-{number}", name=f"Bench {number}")
    sizes = {"memory_mib": SIZE.memory_mib, "disk_mib": SIZE.disk_mib, "cpu_percent": SIZE.cpu_percent}
    plan = Plan.objects.create(product=product, code=f"bench-{number}", name="Bench", **sizes, ports=1)
    container = {"build": Build.CONTAINER, "image": IMAGE, "startup": "httpd -f", "container_ports": [8080]}
    return Blueprint.objects.create(name=f"Bench {number}", product=product, provider=provider, plan=plan, **container)


def make_server(blueprint: Blueprint, name: str) -> None:
    """A paid server that no worker has seen."""
    owner, at = User.objects.get(email=users.CUSTOMER_EMAIL), timezone.now()
    organization = Organization.objects.get(owner=owner, is_personal=True)
    region = Region.objects.get(locations__provider=blueprint.provider)
    reserved: dict[str, Any] = {"organization": organization, "blueprints": [blueprint], "region": region, "size": SIZE}
    reservation = capacity.reserve(**reserved, at=at, expires_at=at + timedelta(hours=1))
    assert capacity.confirm(reservation_ids=[reservation.pk])
    assert blueprint.plan is not None
    parts: dict[str, Any] = {"databases": 0, "backups": 0, "variables": {}, "reservation": reservation, "size": SIZE}
    new = services.NewServer(organization=organization, owner=owner, name=name, plan=blueprint.plan, **parts)
    services.create_servers([new], at=at)
