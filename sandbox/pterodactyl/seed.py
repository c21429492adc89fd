"""The panel's first content: places, nodes with free ports, eggs under the ids the shop knows, an administrator."""

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox.pterodactyl.eggs import NAMES, import_egg
from sandbox.pterodactyl.keys import new_key, random_text
from sandbox.pterodactyl.rows import Allocation, ApiKey, DatabaseHost, Location, Nest, Node, User

if TYPE_CHECKING:
    from sandbox.pterodactyl.panel import Panel

EGGS = Path(__file__).with_name("seed_eggs.json")
PLACES = (("us-east", "United States, East"), ("us-west", "United States, West"), ("eu", "Europe"))
DOCUMENTATION_NETWORKS = ("203.0.113", "198.51.100", "192.0.2")
FIRST_PORT = 25565
PORTS_PER_ADDRESS = 1000
FIRST_ADDRESS = 10
NODES: tuple[dict[str, Any], ...] = (
    {"name": "US-East-1", "location": "us-east", "memory": 65536, "disk": 1024000, "allocations": 80},
    {"name": "US-West-1", "location": "us-west", "memory": 65536, "disk": 1024000, "allocations": 80},
    {"name": "EU-1", "location": "eu", "memory": 131072, "disk": 2048000, "allocations": 80},
)
NODE_SWITCHES = {
    "memory_overallocate": "memory_overallocate",
    "disk_overallocate": "disk_overallocate",
    "public": "is_public",
    "maintenance_mode": "is_under_maintenance",
}


class BadSeed(ValueError):
    """The seed that was asked for makes no sense; the text says why."""


def load(panel: "Panel", options: Mapping[str, Any]) -> None:
    """Replace the panel's content; ``options`` may bring own ``nodes``. The administrator's keys stay as they are.

    Raises BadSeed.
    """
    nodes = options.get("nodes") or NODES
    check_nodes(nodes)
    store = panel.store
    kept = [key for key in store.keys if key.user_id == 1]
    store.clear()
    seed_administrator(panel, kept)
    for short, long in PLACES:
        store.locations.add(Location(short=short, long=long))
    for number, wanted in enumerate(nodes, start=1):
        seed_node(panel, number, wanted)
    seed_eggs(panel)
    store.database_hosts.add(DatabaseHost(name="shared", host="203.0.113.5", port=3306, username="panel"))


def check_nodes(nodes: Any) -> None:
    """Refuse nodes of a wrong shape. Raises BadSeed."""
    known = {"name", "location", "memory", "disk", "allocations", *NODE_SWITCHES}
    for wanted in nodes if isinstance(nodes, list | tuple) else [None]:
        if not isinstance(wanted, Mapping) or not set(wanted) <= known:
            raise BadSeed(f"each of nodes is an object with some of {', '.join(sorted(known))}")
        if wanted.get("location", "eu") not in {short for short, _ in PLACES}:
            raise BadSeed("a node's location is one of us-east, us-west, eu")
        if any(not isinstance(wanted.get(name, 0), int) for name in ("memory", "disk", "allocations")):
            raise BadSeed("memory, disk and allocations of a node are integers")


def seed_administrator(panel: "Panel", kept: list[ApiKey]) -> None:
    """Add the root admin, with the keys from before or, the first time, with new ones."""
    admin = panel.store.users.add(
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
    new = [new_key(admin, prefix, description="seeded") for prefix in ("ptla_", "ptlc_")]
    for key in kept or new:
        panel.store.keys.add(key)


def seed_node(panel: "Panel", number: int, wanted: Mapping[str, Any]) -> None:
    """Add a node and its free allocations."""
    shorts = [short for short, _ in PLACES]
    place = wanted.get("location", shorts[(number - 1) % len(shorts)])
    node = panel.store.nodes.add(
        Node(
            uuid=str(uuid.uuid5(NAMES, f"node {number}")),
            name=wanted.get("name", f"Node-{number}"),
            location_id=shorts.index(place) + 1,
            fqdn=f"node{number}.panel.nodebyte.test",
            memory=wanted.get("memory", 65536),
            disk=wanted.get("disk", 1024000),
            token=random_text(64),
            **{attribute: wanted[name] for name, attribute in NODE_SWITCHES.items() if name in wanted},
        )
    )
    network = DOCUMENTATION_NETWORKS[(number - 1) % len(DOCUMENTATION_NETWORKS)]
    for index in range(wanted.get("allocations", 80)):
        host = FIRST_ADDRESS + (number - 1) // len(DOCUMENTATION_NETWORKS) * 20 + index // PORTS_PER_ADDRESS
        port = FIRST_PORT + index % PORTS_PER_ADDRESS
        panel.store.allocations.add(Allocation(node_id=node.id, ip=f"{network}.{host}", port=port))


def seed_eggs(panel: "Panel") -> None:
    """Add the nests and eggs that come with the stand-in."""
    content = json.loads(EGGS.read_text("utf-8"))
    nests = {}
    for each in content["nests"]:
        nests[each["id"]] = panel.store.nests.add(
            Nest(
                id=each["id"],
                uuid=str(uuid.uuid5(NAMES, f"nest {each['id']}")),
                name=each["name"],
                description=each["description"],
            )
        )
    for exported in content["eggs"]:
        import_egg(panel, nests[exported["nest"]], exported, egg_id=exported["id"])
