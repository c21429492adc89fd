"""Every route, requested by every role with every level of access to one server: `PERMISSIONS` decides, and only it."""

from collections.abc import Iterable
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts import middleware
from accounts.models import AccessLevel, Membership, Organization, Role, User
from accounts.permissions import PERMISSIONS, Access, Action
from billing.models import Invoice
from core import tenancy
from core.ids import uuid7
from orders.models import Order
from servers import queries
from servers.live import power as live_power
from servers.models import ProvisioningStep, ProvisioningTask, Server, ServerAccess, ServerHold, ServerVariable
from tests.isolation import routes
from tests.isolation.members import HIDDEN, LEVELS, Member, make_hidden_server, make_member
from tests.isolation.tenants import Tenant
from tests.isolation.test_routes import METHODS, Requester

pytestmark = pytest.mark.django_db
# What a user does who opens the route. A new route about a tenant's row is named here, or the first test fails.
ACTIONS = {
    "servers:detail": Action.SERVER_VIEW,
    "servers:rename": Action.SERVER_RENAME,
    "servers:power": Action.SERVER_POWER,
    "servers:usage": Action.SERVER_VIEW,
    "servers:backups": Action.SERVER_BACK_UP,
    "servers:backup_act": Action.SERVER_CONTENT,
    "servers:download": Action.SERVER_CONTENT,
    "servers:databases": Action.SERVER_CONTENT,
    "servers:database_act": Action.SERVER_CONTENT,
    "servers:database_password": Action.SERVER_CONTENT,
    "servers:startup": Action.SERVER_CONTENT,
    "servers:schedules": Action.SERVER_CONTENT,
    "servers:schedule_act": Action.SERVER_CONTENT,
    "servers:network": Action.SERVER_CONTENT,
    "servers:reverse_name": Action.SERVER_CONTENT,
    "servers:rescue": Action.SERVER_CONTENT,
    "servers:rescue_link": Action.SERVER_CONTENT,
    "servers:logs": Action.SERVER_CONSOLE,
    "servers:container": Action.SERVER_CONTENT,
    "servers:reinstall": Action.SERVER_CONTENT,
    "servers:rebuild": Action.SERVER_CONTENT,
    "servers:root_password": Action.SERVER_CONTENT,
    "servers:new_root_password": Action.SERVER_CONTENT,
    "servers:settings": Action.SERVER_RENAME,
    "servers:activity": Action.SERVER_ACTIVITY,
    "servers:access": Action.SERVER_ACCESS,
    "servers:result": Action.SERVER_CONSOLE,
    "servers:files": Action.SERVER_CONTENT,
    "servers:file": Action.SERVER_CONTENT,
    "servers:file_move": Action.SERVER_CONTENT,
    "servers:file_delete": Action.SERVER_CONTENT,
    "servers:file_upload": Action.SERVER_CONTENT,
    "servers:file_upload_link": Action.SERVER_CONTENT,
    "servers:console": Action.SERVER_CONSOLE,
    "servers:console_open": Action.SERVER_CONSOLE,
    "orders:progress": Action.ORDER_VIEW,
    "orders:pay": Action.ORDER_PAY,
    "orders:choose_payment": Action.ORDER_PAY,
    "orders:confirm_charge": Action.ORDER_PAY,
    "orders:confirm_plan_change_charge": Action.PLAN_CHANGE,
    "orders:cancel": Action.ORDER_CANCEL,
    "orders:choose_plan": Action.PLAN_CHANGE,
    "orders:plan_change": Action.PLAN_CHANGE,
    "orders:confirm_plan_change": Action.PLAN_CHANGE,
    "orders:pay_plan_change": Action.PLAN_CHANGE,
    "orders:cancel_plan_change": Action.PLAN_CHANGE,
    "orders:leave_waitlist": Action.ORDER_PLACE,
    "orders:offer_server": Action.SERVER_TRANSFER,
    "orders:cancel_transfer": Action.SERVER_TRANSFER,
    "billing:invoice": Action.INVOICE_VIEW,
    "billing:pay": Action.INVOICE_PAY,
    "billing:transfer": Action.ORDER_PAY,
    "billing:confirm_charge": Action.INVOICE_PAY,
    "billing:method_default": Action.PAYMENT_METHOD_MANAGE,
    "billing:method_remove": Action.PAYMENT_METHOD_MANAGE,
    "wallet:pay_top_up": Action.WALLET_TOP_UP,
    "wallet:confirm_top_up": Action.WALLET_TOP_UP,
    "subscriptions:cancel": Action.SUBSCRIPTION_CANCEL,
    "subscriptions:undo_cancellation": Action.SUBSCRIPTION_CANCEL,
    "subscriptions:auto_renewal": Action.SUBSCRIPTION_RENEW,
    "subscriptions:pause": Action.SUBSCRIPTION_PAUSE,
    "subscriptions:end_pause": Action.SUBSCRIPTION_PAUSE,
    "billing:invoice_pdf": Action.INVOICE_VIEW,
    "billing:credit_note_pdf": Action.INVOICE_VIEW,
}


OF_ONE_USER = {"orders:transfer", "orders:answer_transfer"}  # to whom a server is offered, whatever their roles


def test_every_route_about_a_row_names_its_action() -> None:
    named = {route.name for route in routes.routes() if route.names_a_row and not route.is_staff}
    assert named - OF_ONE_USER == set(ACTIONS)


@pytest.fixture(autouse=True)
def _no_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    """No provider can be asked."""
    monkeypatch.setattr(live_power, "request_power_action", lambda **_: None)


@pytest.fixture
def members(ada: Tenant) -> list[Member]:
    """One of each kind. What is given to those who may do everything anyway neither adds nor takes anything."""
    levels = {Role.MEMBER: LEVELS}
    return [make_member(ada, role, level) for role in Role for level in levels.get(role, (None, AccessLevel.VIEW))]


def test_a_route_opens_exactly_for_those_who_may_do_its_action(ada: Tenant, members: list[Member]) -> None:
    urls = [(route.name, url, True) for route in routes.routes() if route.name in ACTIONS for url in route.urls(ada)]
    hidden = make_hidden_server(ada)
    of_server = [route.name for route in routes.routes() if route.name in ACTIONS and route.parameters == {"pk"}]
    urls += [(name, reverse(name, args=[hidden.pk]), False) for name in of_server if name.startswith("servers:")]
    owner = Requester(ada.user)
    opened = {url: statuses(owner, url, METHODS) for _name, url, _is_given in urls}
    wrong = []
    for member in members:
        requester = Requester(member.user)
        for name, url, is_given in urls:  # access to one server opens no other
            holds = member.holds if is_given else {str(member.role)}
            found = statuses(requester, url, opened[url])
            expected = opened[url] if PERMISSIONS[ACTIONS[name]] & holds else not_found(opened[url])
            if found != expected:
                wrong.append(f"{name} {url} as {member.role} with {member.level}: {found}, not {expected}")
    assert wrong == []
    assert {200, 302} <= {status for found in opened.values() for status in found.values()}


def statuses(requester: Requester, url: str, methods: Iterable[str]) -> dict[str, int]:
    """The answer's status by method, of those that the page takes."""
    found = {method: requester.request(method, url).status_code for method in methods}
    return {method: status for method, status in found.items() if status != 405}


def not_found(opened: dict[str, int]) -> dict[str, int]:
    """What those get who may not: no such page, whatever the method."""
    return dict.fromkeys(opened, 404)


def test_no_page_shows_more_than_a_member_may_see(ada: Tenant, members: list[Member]) -> None:
    make_hidden_server(ada)
    private = (HIDDEN, "ada7f3-unpaid", "ada7f3-billing", "ada7f3-street", "ada7f3-visa", ada.user.email)
    for member in members:
        shown = all_pages(member, ada)
        if member.role == Role.MEMBER:
            assert [text for text in private if text in shown] == [], member
            assert ("ada7f3-paid" in shown) == (member.level is not None), member
        else:
            assert all(text in shown for text in (HIDDEN, "ada7f3-unpaid", "ada7f3-paid")), member


def all_pages(member: Member, tenant: Tenant) -> str:
    """Every page about the tenant, as the member gets it while the tenant's organization is the current one."""
    requester = Requester(member.user)
    choose(tenant.organization, requester)
    found = [route for route in routes.routes() if not route.is_staff and not route.name.startswith("account")]
    responses = [requester.request("get", url) for route in found for url in route.urls(tenant)]
    return "".join(response.content.decode(errors="replace") for response in responses if not response.streaming)


def choose(organization: Organization, requester: Requester) -> None:
    """Make it the current organization."""
    session = requester.client.session
    session[middleware.CURRENT] = str(organization.pk)
    session.save()


def test_a_servers_page_offers_only_what_the_member_may_do(ada: Tenant, members: list[Member]) -> None:
    for member in members:
        response = Requester(member.user).request("get", reverse("servers:detail", args=[ada.server.pk]))
        for name in ("servers:settings", "servers:power", "servers:activity", "servers:access"):
            is_offered = f'="{reverse(name, args=[ada.server.pk])}"' in response.content.decode()
            assert is_offered == bool(PERMISSIONS[ACTIONS[name]] & member.holds), (name, member)


def test_pages_cost_a_plain_member_at_most_one_statement_more_than_the_owner(ada: Tenant) -> None:
    member = make_member(ada, Role.MEMBER, AccessLevel.MANAGE)
    pages = [reverse("dashboard"), reverse("servers:list"), reverse("servers:detail", args=[ada.server.pk])]
    for url in pages:
        counts = []
        for user in (ada.user, member.user):
            requester = Requester(user)
            requester.request("get", url)  # what is read once and kept
            with CaptureQueriesContext(connection) as statements:
                assert requester.request("get", url).status_code == 200
            counts.append(len(statements))
        assert counts[1] <= counts[0] + 1, url


def test_row_level_security_knows_access_to_single_servers(ada: Tenant, bob: Tenant, members: list[Member]) -> None:
    for server in (ada.server, make_hidden_server(ada), bob.server):
        make_parts(server)
    for member in members:
        is_whole = member.role in PERMISSIONS[Action.ORGANIZATION_VIEW]
        expected = 2 if is_whole else 1 if member.level else 0
        with tenancy.as_role(
            role=tenancy.CUSTOMER,
            user_id=member.user.pk,
            organizations=[ada.organization.pk] if is_whole else [],
        ):
            seen = {model: model._default_manager.count() for model in (Server, ServerHold, ServerVariable)}
            assert set(seen.values()) == {expected}, (member, seen)
            assert ProvisioningTask.objects.count() == min(expected, 1)
            assert ProvisioningStep.objects.exists() == bool(expected)
            assert Order.objects.count() == (2 if is_whole else 0)
            assert Invoice.objects.exists() == is_whole
            assert Organization.objects.filter(pk=ada.organization.pk).exists() == is_whole
            assert User.objects.filter(pk=ada.user.pk).exists() == is_whole
            assert not Server.objects.filter(organization=bob.organization).exists()
            if not is_whole:
                assert set(ServerAccess.objects.values_list("user_id", flat=True)) <= {member.user.pk}


def make_parts(server: Server) -> None:
    """A hold and a variable of the server."""
    owner: dict[str, Any] = {"organization_id": server.organization_id, "server": server}
    ServerHold.objects.create(**owner, kind="manual", reason="", placed_at=server.created_at)
    ServerVariable.objects.create(**owner, env_variable="X")


def test_a_list_shows_the_servers_given_in_other_organizations(ada: Tenant) -> None:
    member = make_member(ada, Role.MEMBER, AccessLevel.VIEW)
    page = Requester(member.user).request("get", reverse("servers:list")).content.decode()

    assert "ada7f3-paid" in page


def test_a_member_cannot_order_for_the_organization(ada: Tenant) -> None:
    requester = Requester(make_member(ada, Role.MEMBER, AccessLevel.MANAGE).user)
    choose(ada.organization, requester)
    url = reverse("storefront:configure", args=["minecraft"])

    assert "Continue to payment" not in requester.request("get", url).content.decode()
    response = requester.request("post", url)
    assert response.status_code == 422
    assert "Only the owner and admins of" in response.content.decode()


def test_who_leaves_the_organization_loses_access_to_its_servers(ada: Tenant) -> None:
    member = make_member(ada, Role.MEMBER, AccessLevel.MANAGE)
    Membership.objects.filter(user=member.user, organization=ada.organization).delete()

    assert not ServerAccess.objects.exists()
    assert Requester(member.user).request("get", reverse("servers:detail", args=[ada.server.pk])).status_code == 404


def test_an_access_whose_membership_is_missing_opens_nothing(ada: Tenant) -> None:
    """The lookup asks for the membership too, whatever the table says."""
    access = Access(uuid7(), {})
    assert not queries.servers_for(access, Action.SERVER_VIEW).exists()


@pytest.mark.parametrize(
    ("organization", "server", "user"),
    [("ada", "ada", "bob"), ("bob", "ada", "bob"), ("ada", "bob", "ada"), ("ada", "bob", "bob")],
)
def test_the_database_refuses_access_across_organizations(
    ada: Tenant, bob: Tenant, organization: str, server: str, user: str
) -> None:
    tenants = {"ada": ada, "bob": bob}
    connection.check_constraints()
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO servers_serveraccess (id, organization_id, server_id, user_id, level)"
            " VALUES (uuidv7(), %s, %s, %s, 'manage')",
            [tenants[organization].organization.pk, tenants[server].server.pk, tenants[user].user.pk],
        )
        with pytest.raises(IntegrityError), transaction.atomic():
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        transaction.set_rollback(True)


def test_no_customer_gives_themselves_access(ada: Tenant) -> None:
    member = make_member(ada, Role.MEMBER, AccessLevel.VIEW)
    with (
        pytest.raises(DatabaseError, match="permission denied"),
        tenancy.as_role(role=tenancy.CUSTOMER, user_id=member.user.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute("UPDATE servers_serveraccess SET level = 'manage'")
