"""Many servers at all providers at once, whose customers, staff, providers and processes do what they like.

The suite lets a few live, the same on every run; `make chaos` runs 500 (docs/howto/histories.md). When all is calm
again, what is at the providers is what is in our rows.
"""

import os
import sys

import pytest
from django.core.cache import cache
from django.db.models import F

from billing import ledger_audit
from catalog.models import PlanPrice
from core import audit, site_settings
from orders.changes.models import OPEN as OPEN_CHANGES
from orders.models import OrderItem, PlanChange
from sandbox.client import Sandbox
from servers import draining, inventory
from servers.models import (
    DesiredState,
    Location,
    Node,
    Provider,
    Reservation,
    ReservationState,
    Server,
    ServerMove,
    ServerStatus,
    SyncState,
)
from tests.builders import make_plan, make_price, make_product
from tests.drivers.adapters import Cloud
from tests.drivers.fleet import Fleet, Offer, at_provider
from tests.drivers.shops import SHOPS, Shop
from tests.servers.builders import AT, assign_regions, make_blueprint, make_game_blueprint, region_of
from tests.servers.test_capacity import assert_counters_agree

pytestmark = [pytest.mark.faults, pytest.mark.django_db(transaction=True)]
SERVERS = int(os.environ.get("CHAOS_SERVERS", "12"))
STAFF = ["hold", "lift", "lift", "delete", "outage", "sync", "sync", "drain", "move", "make_foreign", "take_over"]
ACTS = [*STAFF, "change_plan", "change_plan", "transfer", "transfer", "rename", "restart"]


@pytest.fixture
def fleet(request: pytest.FixtureRequest, sandbox: Sandbox, without_pauses: None) -> Fleet:
    """All providers, synced and with nothing sold."""
    cache.clear()
    site_settings.set_value("orders.delivery_hours", 2)
    site_settings.set_value("orders.failed_refund_hours", 1)
    site_settings.set_value("orders.max_unpaid_of_new_customer", 100)  # many are given servers before they buy one
    offers = []
    for name, shop in SHOPS.items():
        adapter = request.getfixturevalue(name)
        if isinstance(adapter, Cloud):
            adapter.set(droplet_limit=10_000)
        provider = shop.provider(sandbox)
        provider.save()
        assert inventory.sync(provider_id=provider.pk, at=AT).state == SyncState.COMPLETED
        assign_regions(provider)
        first = Location.objects.filter(provider=provider).order_by("code")[0]
        if name == "pterodactyl":  # so that what leaves a node has somewhere to go
            Location.objects.filter(provider=provider).update(region=first.region)
        small, large = prices_at(provider, shop)
        offers.append(Offer(provider, region_of(first), small, large, len(at_provider(provider))))
    return Fleet(sandbox, offers, seed=int(os.environ.get("CHAOS_SEED", "1")), size=SERVERS)


def prices_at(provider: Provider, shop: Shop) -> list[PlanPrice]:
    """Both plans of one product, and how they are built there."""
    product, prices = make_product(), []
    for number, (size, parts) in enumerate(shop.sizes()):
        sizes = {"memory_mib": size.memory_mib, "disk_mib": size.disk_mib, "cpu_percent": size.cpu_percent}
        prices.append(make_price(make_plan(product, **sizes, ports=size.ports), minor=800 * (number + 1)))
        if "plan_ref" in parts or number == 0:  # of what is no machine, one builds both
            build = make_blueprint if parts else make_game_blueprint
            build(provider, prices[-1].plan, **parts)
    return prices


@pytest.mark.timeout(7200)
def test_what_is_at_the_providers_is_what_is_in_our_rows_when_all_is_calm(fleet: Fleet) -> None:
    while Server.objects.count() < SERVERS:
        fleet.round(["buy"] * 12 + ACTS)
    for _ in range(SERVERS // 4):
        fleet.round(ACTS)
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
    assert set(fleet.open_findings()) <= fleet.found_before
    wrong = {}
    for server in Server.objects.exclude(status=ServerStatus.DELETED).select_related("blueprint__provider"):
        wanted = ServerStatus.SUSPENDED if server.has_holds() else ServerStatus.RUNNING
        if (server.status, server.failure, server.desired_state) != (wanted, "", DesiredState.PRESENT):
            wrong[str(server.pk)] = (server.blueprint.provider.kind, server.status, server.failure, wanted)
    assert wrong == {}
    assert_nothing_is_left_open()


def assert_nothing_is_left_open() -> None:
    """Capacity is that of the servers, each is one organization's and is paid for, and the books hold."""
    assert_counters_agree()
    assert not ServerMove.objects.filter(draining.OPEN).exists()
    assert not PlanChange.objects.filter(status__in=OPEN_CHANGES).exists()
    kept = Server.objects.exclude(status=ServerStatus.DELETED)
    held = Reservation.objects.exclude(state=ReservationState.RELEASED)
    assert set(held.values_list("pk", flat=True)) == set(kept.values_list("reservation_id", flat=True))
    sold = OrderItem.objects.filter(subscription__status="active")
    charged = sold.filter(
        organization=F("server__organization"),
        subscription__items__valid_until=None,
        subscription__items__plan_price__plan=F("server__plan"),
    )
    assert charged.count() == sold.count()
    assert sorted(charged.values_list("server", flat=True)) == sorted(kept.values_list("pk", flat=True))
    oversold = Node.objects.filter(memory_reserved_mib__gt=F("memory_sellable_mib") + F("memory_oversold_mib"))
    assert not oversold.filter(is_elastic=False).exists()
    assert ledger_audit.broken_rules() == {}
    assert audit.verify() == []
