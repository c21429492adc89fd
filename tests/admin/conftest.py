"""Staff signed in, by role."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts import permissions
from accounts.models import User
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
