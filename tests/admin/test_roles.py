"""Each role sees and does what its permissions allow, and no more; nobody raises their own."""

from collections.abc import Callable

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group
from django.test import Client
from django.urls import reverse

from accounts import permissions
from accounts.models import User
from orders.models import ServerImport
from servers.models import DriftFinding, Server
from tests.admin.action_pages import page_of, payment_under_review, submit
from tests.admin.conftest import signed_in_user
from tests.admin.rows import Rows
from tests.builders import make_staff, make_user

pytestmark = pytest.mark.django_db
Staff = Callable[[str], Client]


def status(client: Client, name: str) -> int:
    return client.get(reverse(f"admin:{name}_changelist")).status_code


def test_roles_are_made_once_and_kept() -> None:
    permissions.ensure_staff_roles()
    Group.objects.get(name=permissions.SUPPORT).permissions.clear()
    permissions.ensure_staff_roles()

    assert set(Group.objects.values_list("name", flat=True)) == set(permissions.STAFF_ROLES)
    assert Group.objects.get(name=permissions.SUPPORT).permissions.filter(codename="add_serverhold").exists()
    assert not Group.objects.get(name=permissions.ADMIN).permissions.filter(codename="change_group").exists()


@pytest.mark.parametrize(
    ("role", "seen", "unseen"),
    [
        (
            permissions.SUPPORT,
            ["servers_server", "orders_order", "billing_payment"],
            ["billing_posting", "core_auditentry"],
        ),
        (permissions.BILLING, ["billing_posting", "billing_payment", "catalog_plan"], ["servers_node", "core_setting"]),
        (
            permissions.ADMIN,
            ["core_setting", "core_auditentry", "servers_provider"],
            ["auth_group", "usersessions_usersession"],
        ),
        (permissions.SUPERADMIN, ["auth_group", "usersessions_usersession", "admin_logentry"], []),
    ],
)
def test_a_role_sees_only_what_it_may(staff: Staff, role: str, seen: list[str], unseen: list[str]) -> None:
    client = staff(role)

    assert [status(client, name) for name in seen] == [200] * len(seen)
    assert [status(client, name) for name in unseen] == [403] * len(unseen)


@pytest.mark.parametrize("role", sorted(permissions.STAFF_ROLES))
def test_the_start_page_opens_for_every_role(staff: Staff, role: str) -> None:
    Rows(1)

    assert staff(role).get(reverse("admin:index")).status_code == 200


def test_the_menu_holds_only_what_the_user_may_view(staff: Staff) -> None:
    client = staff(permissions.SUPPORT)

    page = client.get(reverse("admin:index")).content.decode()

    for model in admin.site._registry:
        address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
        if f'href="{address}"' in page:
            assert client.get(address).status_code == 200


def test_support_neither_refunds_nor_deletes(staff: Staff) -> None:
    rows, client = Rows(1), staff(permissions.SUPPORT)

    assert submit(client, payment_under_review(rows), "refund", amount="1", reason="x").status_code == 403
    assert submit(client, rows.servers[0], "delete_server", name="server0", reason="x").status_code == 403
    orphan = DriftFinding.objects.get(kind="orphan")
    for action in ("adopt", "delete_there", "ignore"):
        assert submit(client, orphan, action, reason="x", name="Found", ref="0").status_code == 403
        listed = client.get(reverse("admin:servers_driftfinding_changelist")).content.decode()
        assert f'value="{action}"' not in listed
    assert submit(client, ServerImport.objects.get(), "start").status_code == 403
    assert "Delete the server" not in client.get(page_of(rows.servers[0])).content.decode()


def test_staff_without_a_role_sees_no_table() -> None:
    client = Client()
    client.force_login(make_staff())
    page = client.get(reverse("admin:index"))

    assert "You have no role yet" in page.content.decode()
    assert status(client, "accounts_user") == 403


def profile(user: User, **data: object) -> dict[str, object]:
    inline = {f"memberships-{name}_FORMS": 0 for name in ("TOTAL", "INITIAL", "MIN_NUM", "MAX_NUM")}
    return {"first_name": "Ada", "timezone": "UTC", "locale": "en", **inline, **data}


def test_an_admin_cannot_make_staff_or_superusers(staff: Staff) -> None:
    client, user = staff(permissions.ADMIN), make_user()
    group = Group.objects.get(name=permissions.SUPERADMIN)

    client.post(page_of(user), profile(user, is_staff="on", is_superuser="on", groups=[group.pk], status="deleted"))

    changed = user.reload()
    assert changed.first_name == "Ada"
    assert (changed.is_staff, changed.is_superuser, changed.groups.count(), changed.status) == (
        False,
        False,
        0,
        "active",
    )


def test_an_admin_cannot_change_a_colleague(staff: Staff) -> None:
    client, colleague = staff(permissions.ADMIN), make_staff("boss@example.com")

    client.post(page_of(colleague), profile(colleague))
    submit(client, colleague, "suspend", reason="coup")

    assert (colleague.reload().first_name, colleague.reload().status) == ("", "active")


def test_a_superadmin_gives_a_role_but_never_to_themselves(superadmin: Client) -> None:
    user, group = make_user(), Group.objects.get(name=permissions.SUPPORT)

    superadmin.post(page_of(user), profile(user, is_staff="on", groups=[group.pk]))
    superadmin.post(page_of(signed_in_user(superadmin)), profile(user, is_superuser="on", groups=[]))

    assert (user.reload().is_staff, user.reload().is_superuser) == (True, False)
    assert list(user.groups.all()) == [group]
    assert permissions.SUPERADMIN in signed_in_user(superadmin).role_names


def test_a_superadmin_cannot_change_a_superuser(superadmin: Client) -> None:
    root = make_user("root@example.com", is_staff=True, is_superuser=True)

    superadmin.post(page_of(root), profile(root))
    submit(superadmin, root, "suspend", reason="coup")

    assert (root.reload().first_name, root.reload().status) == ("", "active")


def test_view_permission_alone_changes_nothing(staff: Staff) -> None:
    rows, client = Rows(1), staff(permissions.SUPPORT)

    client.post(page_of(rows.plans[0]), {"name": "stolen"})
    client.post(page_of(rows.servers[0]), {"name": "stolen"})

    assert (rows.plans[0].reload().name, Server.objects.get().name) == ("1 GB", "server0")
