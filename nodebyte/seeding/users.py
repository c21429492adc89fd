"""The first users of a shop: staff with a generated password and, for a demo, a customer."""

import secrets
from dataclasses import dataclass

from allauth.account.models import EmailAddress
from django.contrib.auth.models import Group

from accounts import permissions, services
from accounts.models import User, UserStatus
from core import audit, tenancy

DEMO_PASSWORD = "nodebyte-demo"  # noqa: S105 - the demo's, refused in production
STAFF_EMAIL = "admin@nodebyte.test"
CUSTOMER_EMAIL = "ada@nodebyte.test"


@dataclass(frozen=True)
class Login:
    """The login of a new user. The password is shown once, by `seed`."""

    role: str
    email: str
    password: str


def seed_staff(*, email: str, password: str | None) -> Login | None:
    """The first superadmin; None when the address exists already, whose password stays as it is."""
    return seed_user(email=email, password=password, staff_role=permissions.SUPERADMIN)


def seed_customer(*, email: str, password: str | None) -> Login | None:
    """A customer with a verified address, for a demo."""
    return seed_user(email=email, password=password, staff_role=None)


def seed_user(*, email: str, password: str | None, staff_role: str | None) -> Login | None:
    """A user with a verified address: staff with a role, or a customer. None when the address exists already."""
    role, is_staff = "staff" if staff_role else "customer", staff_role is not None
    with tenancy.as_worker():
        if User.objects.filter(email__iexact=email).exists():
            return None
        chosen = password or secrets.token_urlsafe(15)
        user = User.objects.create_user(
            email,
            chosen,
            status=UserStatus.ACTIVE,
            is_staff=is_staff,
            is_superuser=staff_role == permissions.SUPERADMIN,
            first_name=role.title(),
        )
        EmailAddress.objects.create(user=user, email=email, verified=True, primary=True)
        services.ensure_personal_organization(user=user)
        if is_staff:
            user.groups.add(*Group.objects.filter(name=staff_role))
        audit.record(action="user.seed", entity=user, actor="seed", new={"role": role})
    return Login(role, email, chosen)
