"""Staff signed in, by role."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.http import HttpRequest
from django.test import Client

from accounts import permissions
from accounts.models import User
from nodebyte import admin_site
from nodebyte.admin_site import StaffSite
from tests.builders import make_staff


@pytest.fixture
def staff(db: None) -> Callable[[str], Client]:
    """A client signed in as a new member of staff with this role."""
    permissions.ensure_staff_roles()

    def signed_in(role: str) -> Client:
        user = make_staff(f"{role}@staff.example.com")
        user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return signed_in


@pytest.fixture
def superadmin(staff: Callable[[str], Client]) -> Client:
    """A client with every permission."""
    return staff(permissions.SUPERADMIN)


def signed_in_user(client: Client) -> User:
    """The user that the client is signed in as."""
    return User.objects.get(pk=client.session["_auth_user_id"])


@pytest.fixture
def no_menu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without the menu, half of their work and the same on each; test_site.py and test_roles.py read it."""
    app_list = StaffSite.get_app_list

    def only_of_one_app(site: StaffSite, request: HttpRequest, app_label: str | None = None) -> Any:
        return app_list(site, request, app_label) if app_label else []

    monkeypatch.setattr(StaffSite, "get_app_list", only_of_one_app)
    monkeypatch.setattr(admin_site, "MENU", ())
