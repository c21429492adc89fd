"""Users whom a tenant let in: each role in its organization, with each level of access to one of its servers."""

from dataclasses import dataclass

from accounts.models import AccessLevel, Membership, Role, User
from servers.models import Server, ServerAccess
from tests.builders import make_user
from tests.isolation.tenants import Tenant

LEVELS: tuple[AccessLevel | None, ...] = (None, *AccessLevel)
HIDDEN = "hidden-server"


@dataclass(frozen=True)
class Member:
    """A member of a tenant's organization."""

    user: User
    role: Role
    level: AccessLevel | None

    @property
    def holds(self) -> set[str]:
        """What `PERMISSIONS` may name: their role and their level of access."""
        return {str(holder) for holder in (self.role, self.level) if holder}


def make_member(tenant: Tenant, role: Role, level: AccessLevel | None) -> Member:
    """A user with the role, and with the access to the tenant's server where a level is given."""
    user = make_user()
    Membership.objects.create(organization=tenant.organization, user=user, role=role)
    if level is not None:
        ServerAccess.objects.create(organization=tenant.organization, server=tenant.server, user=user, level=level)
    return Member(user, role, level)


def make_hidden_server(tenant: Tenant) -> Server:
    """Another server of the tenant's, to which no member was given access."""
    server = tenant.server.reload()
    return Server.objects.create(**{
        field.name: getattr(server, field.name)
        for field in Server._meta.concrete_fields
        if field.name not in {"id", "reservation", "name", "created_at", "updated_at"}
    }, name=HIDDEN)  # fmt: skip
