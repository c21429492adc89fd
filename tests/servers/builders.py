"""Rows for tests about servers: a provider, nodes with free capacity, a blueprint, a server to converge."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import requests

from accounts.models import Organization, User, UserStatus
from accounts.services import ensure_personal_organization
from catalog.models import Kind, Plan, Product
from sandbox.client import Sandbox
from servers import capacity, inventory, services
from servers.capacity import Size
from servers.models import (
    Allocation,
    Blueprint,
    Build,
    Egg,
    EggVariable,
    Location,
    Nest,
    Node,
    Provider,
    Region,
    Reservation,
    Server,
)

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
SMALL = Size(memory_mib=1024, disk_mib=5120, cpu_percent=100)
_number = count(1)


def make_user(email: str = "", **fields: Any) -> User:
    """A verified customer with a personal organization."""
    address = email or f"customer{next(_number)}@example.com"
    user = User.objects.create_user(address, None, status=UserStatus.ACTIVE, **fields)
    ensure_personal_organization(user=user)
    return user


def organization_of(user: User) -> Organization:
    """The user's personal organization."""
    return Organization.objects.get(owner=user, is_personal=True)


def make_provider(base_url: str = "http://panel.invalid", **fields: Any) -> Provider:
    """A panel, by default one that cannot be reached."""
    number = next(_number)
    return Provider.objects.create(
        kind=fields.pop("kind", "pterodactyl"),
        name=fields.pop("name", f"Panel {number}"),
        base_url=base_url,
        credentials=fields.pop("credentials", {"application_key": "ptla_none", "client_key": "ptlc_none"}),
        **fields,
    )


def make_location(provider: Provider, code: str = "eu") -> Location:
    """A location in the region of the same code."""
    region = make_region(code)
    return Location.objects.create(
        provider=provider, ref=str(next(_number)), code=code, name=code.upper(), region=region
    )


def make_region(code: str = "eu") -> Region:
    """The shop's region of this code."""
    return Region.objects.get_or_create(code=code, defaults={"city": code.upper()})[0]


def assign_regions(provider: Provider) -> None:
    """Put each of the provider's locations into a region of the same code."""
    for location in Location.objects.filter(provider=provider, region=None):
        Location.objects.filter(pk=location.pk).update(region=make_region(location.code))


def region_of(location: Location) -> Region:
    """The region that a location is in."""
    assert location.region is not None
    return location.region


def make_node(
    location: Location, *, memory_mib: int = 8192, disk_mib: int = 81920, ports: int = 8, **fields: Any
) -> Node:
    """A node whose memory and disk can all be sold, with free ports on one address."""
    number = next(_number)
    node = Node.objects.create(
        provider_id=location.provider_id,
        location=location,
        ref=str(number),
        name=f"node-{number}",
        memory_mib=memory_mib,
        disk_mib=disk_mib,
        memory_sellable_mib=memory_mib,
        disk_sellable_mib=disk_mib,
        **fields,
    )
    make_ports(node, ports)
    return node


def make_ports(node: Node, number: int, ip: str = "192.0.2.1", first: int = 25565) -> None:
    """Free ports of a node, with consecutive numbers."""
    Allocation.objects.bulk_create(
        Allocation(node=node, ref=str(next(_number)), ip=ip, port=first + offset) for offset in range(number)
    )


def make_plan(**fields: Any) -> Plan:
    """A plan of its own product."""
    number = next(_number)
    product = Product.objects.create(kind=Kind.GAME, slug=f"game-{number}", name=f"Game {number}")
    sizes = {"cpu_percent": SMALL.cpu_percent, "memory_mib": SMALL.memory_mib, "disk_mib": SMALL.disk_mib}
    return Plan.objects.create(product=product, code=f"plan-{number}", name="Small", **{**sizes, **fields})


def make_blueprint(provider: Provider, plan: Plan | None = None, **fields: Any) -> Blueprint:
    """How a plan's product is built: as a machine where a provider's plan is named, else from an egg."""
    plan = plan or make_plan()
    named = {"name": f"Blueprint {next(_number)}", "product": plan.product, "provider": provider}
    if "plan_ref" in fields:
        named |= {"build": Build.MACHINE, "image": "debian-13", "plan": plan}
    elif "egg" not in fields:
        named["egg"] = make_egg(provider)
    return Blueprint.objects.create(**named | fields)


def make_egg(provider: Provider, *, number: str = "1", name: str = "Paper", rules: str = "") -> Egg:
    """An egg that can be built, unless it has a variable with rules that its empty default breaks."""
    nest = Nest.objects.get_or_create(provider=provider, ref="1", defaults={"name": "Minecraft"})[0]
    defaults = {"name": name, "first_image": "java:21", "startup": "java"}
    egg = Egg.objects.get_or_create(nest=nest, ref=number, defaults=defaults)[0]
    if rules:
        EggVariable.objects.create(egg=egg, name="Licence", env_variable="LICENCE", rules=rules)
    return egg


def make_reservation(blueprint: Blueprint, location: Location, size: Size = SMALL, **fields: Any) -> Reservation:
    """Capacity reserved for ten minutes."""
    organization = fields.pop("organization", None) or organization_of(make_user())
    options = {"at": AT, "expires_at": AT + timedelta(minutes=10), **fields}
    return capacity.reserve(
        organization=organization, blueprints=[blueprint], region=region_of(location), size=size, **options
    )


def connect_panel(sandbox: Sandbox, **fields: Any) -> Provider:
    """The stand-in panel as a provider with its keys and its inventory."""
    provider = make_provider(sandbox.panel_url, credentials=panel_keys(sandbox), **fields)
    run = inventory.sync(provider_id=provider.pk, at=AT)
    assert run.error == ""
    assign_regions(provider)
    return provider


def panel_keys(sandbox: Sandbox) -> dict[str, str]:
    """The administrator's two keys."""
    found = requests.get(f"{sandbox.base_url}/_control/pterodactyl/keys", timeout=10).json()
    return {"application_key": found["application"], "client_key": found["client"]}


def make_game_blueprint(
    provider: Provider, plan: Plan | None = None, egg: Egg | None = None, **fields: Any
) -> Blueprint:
    """A blueprint for an egg of the stand-in panel whose defaults the panel accepts."""
    egg = egg or Egg.objects.get(nest__provider=provider, name="Minecraft Paper")
    return make_blueprint(provider, plan, egg=egg, **fields)


def make_server(provider: Provider, *, at: datetime = AT, size: Size = SMALL, **fields: Any) -> Server:
    """A paid server of the stand-in panel that has not been converged yet."""
    plan = fields.pop("plan", None) or make_plan()
    owner = fields.pop("owner", None) or make_user()
    blueprint = fields.pop("blueprint", None) or make_game_blueprint(provider, plan)
    location = fields.pop("location", None) or Location.objects.filter(provider=provider).order_by("code")[0]
    reservation = make_reservation(
        blueprint, location, size, organization=organization_of(owner), at=at, expires_at=at + timedelta(hours=1)
    )
    assert capacity.confirm(reservation_ids=[reservation.pk])
    options = {"name": "My server", "databases": 1, "backups": 2, "variables": {}, **fields}
    return services.create_servers(
        [
            services.NewServer(
                organization=organization_of(owner),
                owner=owner,
                plan=plan,
                size=size,
                reservation=reservation,
                **options,
            )
        ],
        at=at,
    )[reservation.pk]
