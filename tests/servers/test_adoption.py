"""What a provider has and nobody here knows is taken over as it is, deleted there, or ignored."""

from dataclasses import replace
from datetime import date, timedelta

import pytest

from billing import ledger_audit
from billing.models import InvoiceState, SubscriptionStatus
from catalog.models import PlanPrice
from core import work
from core.models import AuditEntry, WorkState
from core.money import Money
from core.outside import limits
from orders import adoption
from orders.models import Order, OrderStatus
from sandbox.client import Sandbox
from servers import findings, inventory
from servers.adoption import NotAdoptable
from servers.drivers import registry
from servers.drivers.inventory import RemoteServerSummary, ServerLookup
from servers.drivers.pterodactyl.client import PanelClient
from servers.models import (
    Allocation,
    DriftFinding,
    DriftKind,
    Node,
    PanelAccount,
    Provider,
    RemoteDeletion,
    RemoteServerSeen,
    Server,
    ServerStatus,
    Step,
    SyncState,
)
from servers.plan_fits import lost_revenue, read_plan_fits
from tests.builders import make_price
from tests.servers.actions import make_running, panel_servers, request_count, run_until_quiet, steps_of
from tests.servers.builders import AT, make_game_blueprint, make_plan, make_user, organization_of
from tests.servers.test_convergence import make_foreign_server
from tests.threads import run_at_once

LATER = AT + timedelta(minutes=15)
BILLED_FROM = adoption.start_of(date(2026, 12, 1))


def sync(provider: Provider) -> None:
    """A full sync that must succeed."""
    run = inventory.sync(provider_id=provider.pk, at=LATER)
    assert (run.state, run.error) == (SyncState.COMPLETED, "")


def make_orphan(panel: Sandbox, provider: Provider) -> RemoteServerSeen:
    """A server that an admin made on the panel with two ports, of which the higher number is the primary one."""
    ports = list(Allocation.objects.filter(node__ref="3").order_by("port")[:2])
    key = "0198c0de-0000-7000-8000-000000000001"
    ref = make_foreign_server(panel, provider, allocation=ports[1].ref, external_id=key)
    limits = {"memory": 2048, "swap": 0, "disk": 10240, "io": 500, "cpu": 0}
    features = {"databases": 0, "backups": 0, "allocations": 0}
    body = {"allocation": int(ports[1].ref), "limits": limits, "feature_limits": features}
    PanelClient(provider).write("PATCH", f"/servers/{ref}/build", body | {"add_allocations": [int(ports[0].ref)]})
    sync(provider)
    return RemoteServerSeen.objects.get(ref=str(ref))


def look_up(provider: Provider, seen: RemoteServerSeen) -> RemoteServerSummary:
    """The server as the panel has it now."""
    driver = registry.driver_of(provider)
    assert isinstance(driver, ServerLookup)
    found = driver.look_up(seen.ref)
    assert found is not None
    return found


def node_of(seen: RemoteServerSeen) -> Node:
    """The node that the server is on."""
    return Node.objects.get(servers_seen=seen.pk)


def make_prices(provider: Provider) -> PlanPrice:
    """A plan that an orphan fits, at $8, beside a larger one and one that is too small."""
    price = make_price(make_plan(memory_mib=2048, disk_mib=10240), minor=800)
    for size, minor in ((4096, 1500), (1024, 400)):
        other = make_plan(memory_mib=size, disk_mib=size * 5)
        make_price(other, minor=minor)
        make_game_blueprint(provider, other)
    make_game_blueprint(provider, price.plan)
    return price


def make_sale(provider: Provider, price: PlanPrice, email: str = "ada@example.test") -> adoption.Sale:
    """To a customer who confirmed their address, billed from the next month on."""
    owner = make_user(email)
    fit = read_plan_fits("USD", provider_ids=[provider.pk]).of_plan(provider.pk, price.plan_id)
    assert fit is not None
    return adoption.Sale(organization_of(owner), owner, fit, price, BILLED_FROM)


def test_an_orphan_is_taken_over_as_it_is_and_billed_from_the_chosen_day(panel: Sandbox, provider: Provider) -> None:
    price = make_prices(provider)
    seen = make_orphan(panel, provider)
    before = look_up(provider, seen)
    orphan = DriftFinding.objects.get(kind=DriftKind.ORPHAN, closed_at=None)
    assert lost_revenue([orphan], "USD") == {orphan.pk: Money(800, "USD")}
    node = node_of(seen)
    assert node.memory_foreign_mib == 2048

    server = adoption.adopt(seen=seen, sale=make_sale(provider, price), actor=None, at=LATER)
    run_until_quiet(LATER)
    sync(provider)

    server = server.reload()
    account = PanelAccount.objects.get(user=server.owner)
    assert (server.status, server.failure, steps_of(server)) == (ServerStatus.RUNNING, "", [Step.ADOPTED])
    # Nothing but its key and its owner is another one: above all not its primary port.
    assert look_up(provider, seen) == replace(before, key=str(server.pk), account_ref=account.ref)
    assert not request_count(panel, "power") + request_count(panel, "reinstall")
    assert not DriftFinding.objects.filter(closed_at=None, kind__in=["orphan", "ghost", "limits", "key"]).exists()
    node = node.reload()
    assert (node.memory_foreign_mib, node.memory_reserved_mib, node.servers_reserved) == (0, 2048, 1)
    assert Allocation.objects.filter(reservation=server.reservation).count() == 2
    order = Order.objects.get(items__server=server)
    subscription = order.items.get().subscription
    assert (order.status, order.invoice.state, order.invoice.total_minor) == (OrderStatus.ACTIVE, InvoiceState.PAID, 0)
    assert (subscription.status, subscription.amount_minor) == (SubscriptionStatus.ACTIVE, 800)
    assert (subscription.current_period_end, subscription.anchor_day) == (BILLED_FROM, 1)
    assert AuditEntry.objects.filter(action="server.adopt", entity_id=str(server.pk)).exists()
    assert ledger_audit.broken_rules() == {}


def test_of_two_who_take_over_the_same_server_one_has_it(panel: Sandbox, provider: Provider) -> None:
    price = make_prices(provider)
    seen = make_orphan(panel, provider)
    sales = [make_sale(provider, price), make_sale(provider, price, "bob@example.test")]

    errors = run_at_once(lambda: adoption.adopt(seen=seen, sale=sales.pop(), actor=None, at=LATER), times=2)

    assert [type(error) for error in errors] == [NotAdoptable]
    assert "a server of this shop already" in str(errors[0])  # not only because its ports are taken
    server = Server.objects.get()
    assert Order.objects.get().organization == server.organization
    assert node_of(seen).servers_reserved == 1


def test_a_suspended_server_stays_suspended_when_it_is_taken_over(panel: Sandbox, provider: Provider) -> None:
    price = make_prices(provider)
    seen = make_orphan(panel, provider)
    PanelClient(provider).write("POST", f"/servers/{seen.ref}/suspend")
    sync(provider)

    server = adoption.adopt(seen=seen.reload(), sale=make_sale(provider, price), actor=None, at=LATER)
    run_until_quiet(LATER)

    assert (server.reload().status, server.holds.get().kind) == (ServerStatus.SUSPENDED, "manual")
    assert look_up(provider, seen).is_suspended


def test_what_cannot_be_taken_over_says_why_and_changes_nothing(panel: Sandbox, provider: Provider) -> None:
    price = make_prices(provider)
    seen = make_orphan(panel, provider)
    sale = make_sale(provider, price)
    owner = sale.owner
    owner.set_password("x" * 12)
    owner.save()
    refused = {
        "has not confirmed": (seen, sale),
        "must be a later one": (seen, replace(sale, billed_from=LATER)),
    }
    other_egg = seen.reload()
    RemoteServerSeen.objects.filter(pk=seen.pk).update(build_ref="7")

    for text, (row, wanted) in refused.items():
        with pytest.raises(NotAdoptable, match=text):
            adoption.adopt(seen=row, sale=wanted, actor=None, at=LATER)
    owner.set_unusable_password()
    owner.save()
    with pytest.raises(NotAdoptable, match="of something else"):
        adoption.adopt(seen=other_egg, sale=replace(sale, owner=owner), actor=None, at=LATER)
    RemoteServerSeen.objects.filter(pk=seen.pk).update(build_ref="39", identifier="")
    with pytest.raises(NotAdoptable, match="cannot make it one of ours"):
        adoption.adopt(seen=other_egg, sale=replace(sale, owner=owner), actor=None, at=LATER)

    assert not Server.objects.exists()
    assert not Order.objects.exists()
    assert sale.organization.reload().currency_fixed_at is None


def test_an_account_there_is_the_owners_only_where_the_address_is_exactly_theirs(
    panel: Sandbox, provider: Provider
) -> None:
    price = make_prices(provider)
    names = {"first_name": "A", "last_name": "B", "password": "x" * 12}
    client = PanelClient(provider)
    for username, email in (("bda", "bada@example.test"), ("ada", "Ada@Example.test")):
        made = client.write("POST", "/users", {**names, "username": username, "email": email})
    seen, sale = make_orphan(panel, provider), make_sale(provider, price)
    with pytest.raises(NotAdoptable, match="Another account there"):  # who entered it need not be her
        adoption.adopt(seen=seen, sale=sale, actor=None, at=LATER)
    details = {"name": seen.name, "external_id": None, "description": "", "user": made["attributes"]["id"]}
    client.write("PATCH", f"/servers/{seen.ref}/details", details)
    sync(provider)

    server = adoption.adopt(seen=seen.reload(), sale=sale, actor=None, at=LATER)
    run_until_quiet(LATER)

    account = PanelAccount.objects.get(user=server.owner)
    assert (account.username, server.reload().failure) == ("ada", "")
    assert look_up(provider, seen).account_ref == account.ref


def run_deletions() -> RemoteDeletion:
    """Perform the deletion until nothing of it is due."""
    task = RemoteDeletion.objects.get()
    for _round in range(5):
        limits.reset_limits()
        if task.state != WorkState.QUEUED:
            break
        work.run_due(at=task.run_at, models=(RemoteDeletion,))
        task = task.reload()
    return task


def test_an_orphan_is_deleted_there_also_when_the_answer_is_lost(panel: Sandbox, provider: Provider) -> None:
    seen = make_orphan(panel, provider)
    orphan = DriftFinding.objects.get(kind=DriftKind.ORPHAN, closed_at=None)
    panel.arm("pterodactyl", "DELETE /api/application/servers", "lose_answer", times=1)

    findings.request_deletion(finding=orphan, ref=seen.ref, actor=None, at=LATER)
    findings.request_deletion(finding=orphan, ref=seen.ref, actor=None, at=LATER)
    task = run_deletions()

    assert (task.state, panel_servers(panel)) == (WorkState.DONE, [])
    assert request_count(panel, "DELETE /api/application/servers") == 1
    assert (orphan.reload().closed_at is not None, seen.reload().is_present) == (True, False)
    assert node_of(seen).memory_foreign_mib == 0
    assert AuditEntry.objects.filter(action__in=["drift.delete", "drift.deleted"]).count() == 2


def test_one_of_ours_is_never_deleted_as_an_orphan(panel: Sandbox, provider: Provider) -> None:
    price = make_prices(provider)
    seen = make_orphan(panel, provider)
    orphan = DriftFinding.objects.get(kind=DriftKind.ORPHAN, closed_at=None)
    adopted = adoption.adopt(seen=seen, sale=make_sale(provider, price), actor=None, at=LATER)
    with pytest.raises(findings.NotDeletable):
        findings.request_deletion(finding=orphan.reload(), ref=seen.ref, actor=None, at=LATER)
    # And one that was taken over after staff asked.
    named = {"provider": provider, "node": adopted.node, "name": "By hand", "run_at": LATER}
    task = RemoteDeletion.objects.create(ref=seen.ref, identifier=seen.identifier, **named)

    task = run_deletions()

    assert (task.state, "server of this shop" in task.last_error) == (WorkState.DEAD, True)
    assert len(panel_servers(panel)) == 1


def test_another_server_with_the_same_number_is_not_deleted(panel: Sandbox, provider: Provider) -> None:
    seen = make_orphan(panel, provider)
    orphan = DriftFinding.objects.get(kind=DriftKind.ORPHAN, closed_at=None)
    findings.request_deletion(finding=orphan, ref=seen.ref, actor=None, at=LATER)
    RemoteDeletion.objects.update(identifier="another1")

    assert run_deletions().state == WorkState.DEAD
    assert len(panel_servers(panel)) == 1


def test_an_ignored_finding_stays_ignored_until_it_says_something_else(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    client = PanelClient(provider)

    def change_limits(memory: int) -> DriftFinding:
        limits_there = {"memory": memory, "swap": 0, "disk": 5120, "io": 500, "cpu": 100}
        features = {"databases": 1, "backups": 2, "allocations": 0}
        body = {"allocation": int(server.observed["addresses"][0]["ref"]), "limits": limits_there}
        client.write("PATCH", f"/servers/{server.ref}/build", body | {"feature_limits": features})
        sync(provider)
        return DriftFinding.objects.get(kind=DriftKind.LIMITS, closed_at=None)

    finding = change_limits(4096)
    assert findings.ignore_finding(finding=finding, reason="a gift", actor=None, at=LATER)
    assert not findings.ignore_finding(finding=finding, reason="again", actor=None, at=LATER)
    sync(provider)
    assert finding.reload().ignore_reason == "a gift"
    assert change_limits(8192).ignored_at is None
    assert findings.ignore_finding(finding=finding, reason="a gift", actor=None, at=LATER)
    assert findings.stop_ignoring(finding=finding, actor=None, at=LATER)
    assert finding.reload().ignored_at is None
    assert AuditEntry.objects.filter(action__in=["drift.ignore", "drift.stop_ignoring"]).count() == 3
