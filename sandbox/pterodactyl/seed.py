"""The panel's first content: locations, nodes with free ports, eggs under the ids the shop knows, an administrator."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sandbox.pterodactyl.eggs import NAMES, import_egg
from sandbox.pterodactyl.keys import new_key, random_text
from sandbox.pterodactyl.rows import Allocation, DatabaseHost, Location, Nest, Node, Runtime, Server, User
from sandbox.pterodactyl.store import Store

EGGS = Path(__file__).with_name("seed_eggs.json")
LOCATIONS = {"us-east": "United States, East", "us-west": "United States, West", "eu": "Europe"}
DOCUMENTATION_NETWORKS = ("203.0.113", "198.51.100", "192.0.2")
FIRST_PORT = 25565
PORTS_PER_ADDRESS = 1000
FIRST_ADDRESS = 10
NODES: tuple[dict[str, Any], ...] = (
    {"name": "US-East-1", "location": "us-east"},
    {"name": "US-West-1", "location": "us-west"},
    {"name": "EU-1", "location": "eu", "memory": 131072, "disk": 2048000},
)
NODE_FIELDS = {
    "memory": "memory",
    "disk": "disk",
    "memory_overallocate": "memory_overallocate",
    "disk_overallocate": "disk_overallocate",
    "public": "is_public",
    "maintenance_mode": "is_under_maintenance",
}


class BadSeed(ValueError):
    """The seed that was asked for makes no sense; the text says why."""


def load(store: Store, options: Mapping[str, Any]) -> None:
    """Replace the content; ``options`` may have its own ``nodes``. The administrator's keys stay as they are.

    Raises BadSeed.
    """
    nodes = options.get("nodes") or NODES
    check_nodes(nodes)
    keys = store.keys.where(user_id=1)
    store.clear()
    admin = store.users.add(
        User(
            uuid=str(uuid.uuid5(NAMES, "admin")),
            username="admin",
            email="admin@panel.nodebyte.test",
            first_name="Panel",
            last_name="Administrator",
            is_root_admin=True,
            password=random_text(20),
        )
    )
    for key in keys or [new_key(admin, prefix, description="seeded") for prefix in ("ptla_", "ptlc_")]:
        store.keys.add(key)
    for short, long in LOCATIONS.items():
        store.locations.add(Location(short=short, long=long))
    add_eggs(store)
    for number, wanted in enumerate(nodes, start=1):
        node = add_node(store, number, wanted)
        add_servers(store, node, wanted.get("servers", 0))
    store.database_hosts.add(DatabaseHost(name="shared", host="203.0.113.5", port=3306, username="panel"))


def check_nodes(nodes: Any) -> None:
    """Check the form of the nodes that were asked for. Raises BadSeed."""
    known = {"name", "location", "allocations", "servers", *NODE_FIELDS}
    for wanted in nodes if isinstance(nodes, list | tuple) else [None]:
        if not isinstance(wanted, Mapping) or not set(wanted) <= known:
            raise BadSeed(f"each of nodes is an object with some of {', '.join(sorted(known))}")
        if wanted.get("location", "eu") not in LOCATIONS:
            raise BadSeed(f"a node's location is one of {', '.join(LOCATIONS)}")
        if any(not isinstance(wanted.get(name, 0), int) for name in ("memory", "disk", "allocations", "servers")):
            raise BadSeed("memory, disk, allocations and servers of a node are integers")


def add_node(store: Store, number: int, wanted: Mapping[str, Any]) -> Node:
    """Add a node and its free allocations."""
    shorts = list(LOCATIONS)
    location = wanted.get("location", shorts[(number - 1) % len(shorts)])
    sizes = {"memory": 65536, "disk": 1024000}
    node = store.nodes.add(
        Node(
            uuid=str(uuid.uuid5(NAMES, f"node {number}")),
            name=wanted.get("name", f"Node-{number}"),
            location_id=shorts.index(location) + 1,
            fqdn=f"node{number}.panel.nodebyte.test",
            token=random_text(64),
            **sizes | {attribute: wanted[name] for name, attribute in NODE_FIELDS.items() if name in wanted},
        )
    )
    network = DOCUMENTATION_NETWORKS[(number - 1) % len(DOCUMENTATION_NETWORKS)]
    for index in range(wanted.get("allocations", 80)):
        host = FIRST_ADDRESS + (number - 1) // len(DOCUMENTATION_NETWORKS) * 20 + index // PORTS_PER_ADDRESS
        port = FIRST_PORT + index % PORTS_PER_ADDRESS
        store.allocations.add(Allocation(node_id=node.id, ip=f"{network}.{host}", port=port))
    return node


def add_servers(store: Store, node: Node, count: int) -> None:
    """Add so many servers that a panel had before anybody sold there, each on one of the node's allocations."""
    egg = next(iter(store.eggs))
    for allocation in store.allocations.where(node_id=node.id)[:count]:
        server = Server(
            uuid=str(uuid.uuid5(NAMES, f"server on {allocation.id}")),
            name=f"World {allocation.id}",
            user_id=1,
            node_id=node.id,
            allocation_id=allocation.id,
            nest_id=egg.nest_id,
            egg_id=egg.id,
            startup=egg.startup,
            image=next(iter(egg.docker_images.values())),
            memory=1024,
            swap=0,
            disk=4096,
            io=500,
            cpu=100,
            status=None,
            installed_at=store.servers.now(),
            runtime=Runtime(is_known=True),
        )
        allocation.server_id = store.servers.add(server).id


def add_eggs(store: Store) -> None:
    """Add the nests and eggs of the seed file."""
    content = json.loads(EGGS.read_text("utf-8"))
    for nest in content["nests"]:
        store.nests.add(Nest(uuid=str(uuid.uuid5(NAMES, f"nest {nest['id']}")), **nest))
    for exported in content["eggs"]:
        import_egg(store, store.nests.get_or_404(exported["nest"]), exported, egg_id=exported["id"])
