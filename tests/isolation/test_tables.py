"""Every table of ours shows a tenant its own rows only. A new table is tested without being named here."""

from typing import Any, NamedTuple
from uuid import UUID

import pytest
from django.db import connection, models

from accounts.models import Membership, Organization, User
from core import schema, tenancy
from core.ids import uuid7
from core.tenancy.declarations import OWNED, PERSONAL, SHARED, tenancy_of
from orders.models import ServerTransfer
from servers.models import Allocation, ServerAccess
from servers.models.access import PART_OF_SERVER, SERVER
from tests.isolation.tables import as_owner, is_readable, is_secured, put_row

pytestmark = pytest.mark.django_db
# Tables with their own condition, and the columns that say to whom a row belongs.
CUSTOM: dict[type[models.Model], dict[str, str]] = {
    Organization: {"id": "organization"},
    User: {"id": "user"},
    Membership: {"organization_id": "organization", "user_id": "user"},
    ServerAccess: {"organization_id": "organization", "user_id": "user"},
    ServerTransfer: {"organization_id": "organization", "recipient_id": "user"},
}
# Tables that a tenant's rows are only part of; tests/isolation/test_hostile_statements.py tries them.
OPEN = {Allocation: "which ports are free is public, and a tenant's are those of its reservations"}


class Tenant(NamedTuple):
    """The ids of a user and an organization."""

    user: UUID
    organization: UUID


def new_tenant() -> Tenant:
    return Tenant(uuid7(), uuid7())


def own_columns(model: type[models.Model]) -> dict[str, str]:
    """The columns that say to whom a row belongs: `{"organization_id": "organization"}`."""
    declared = tenancy_of(model)
    owned = {"organization_id": "organization"}
    known = {OWNED: owned, SERVER: owned, PART_OF_SERVER: owned, PERSONAL: {"user_id": "user"}}
    return known.get(declared) or CUSTOM[model]  # type: ignore[arg-type]


def conditioned() -> list[type[models.Model]]:
    """Every model whose rows belong to a tenant."""
    return [
        model for model in schema.own_models() if getattr(tenancy_of(model), "condition", None) and model not in OPEN
    ]


def undeclared() -> list[str]:
    """Models of ours without a tenancy declaration."""
    return [model._meta.label for model in schema.own_models() if tenancy_of(model) is None]


def exposed() -> list[str]:
    """Tables with tenants' data that customers may read without a policy, according to PostgreSQL."""
    return [
        model._meta.label
        for model in schema.own_models()
        if holds_tenant_data(model) and is_readable(model) and not is_secured(model)
    ]


def holds_tenant_data(model: type[models.Model]) -> bool:
    """Whether a row references an organization, a user, or a row that does."""
    names = {field.name for field in model._meta.get_fields() if field.concrete}
    if names & {"organization", "organization_id", "user", "user_id", "owner"} or model in CUSTOM:
        return True
    targets = {field.related_model for field in model._meta.get_fields() if field.concrete and field.is_relation}
    return model not in OPEN and bool(targets & set(conditioned()))


def count_visible(model: type[models.Model]) -> int:
    """How many rows the current role sees."""
    return model._base_manager.count()


def as_customer(tenant: Tenant | None) -> Any:
    if tenant is None:
        return tenancy.as_role(role=tenancy.CUSTOMER)
    return tenancy.as_role(role=tenancy.CUSTOMER, user_id=tenant.user, organizations=[tenant.organization])


def test_every_model_declares_its_tenancy() -> None:
    assert undeclared() == []


def test_a_model_without_a_declaration_is_found() -> None:
    class Undeclared:
        _meta = Organization._meta

    assert tenancy_of(Undeclared) is None  # type: ignore[arg-type]


def test_no_table_with_tenant_data_is_unprotected() -> None:
    assert exposed() == []


@pytest.mark.parametrize("model", conditioned(), ids=lambda model: model._meta.label)
def test_a_table_without_its_policy_is_found(model: type[models.Model]) -> None:
    with as_owner() as cursor:
        cursor.execute(f'ALTER TABLE "{model._meta.db_table}" DISABLE ROW LEVEL SECURITY')
    assert exposed() == [model._meta.label]


@pytest.mark.parametrize("model", conditioned(), ids=lambda model: model._meta.label)
def test_a_tenant_sees_its_own_rows_only(model: type[models.Model]) -> None:
    ada, bob, stranger = new_tenant(), new_tenant(), new_tenant()
    with as_owner() as cursor:
        cursor.execute(f'DELETE FROM "{model._meta.db_table}"')
    for tenant in (ada, bob):
        put_row(model, **{column: getattr(tenant, owner) for column, owner in own_columns(model).items()})

    assert seen_by(model, ada) == seen_by(model, bob) == 1
    assert seen_by(model, stranger) == seen_by(model, None) == 0
    for role in (tenancy.STAFF, tenancy.WORKER):
        with tenancy.as_role(role=role):
            assert count_visible(model) == 2


def seen_by(model: type[models.Model], tenant: Tenant | None) -> int:
    """How many rows the tenant sees, without a filter and with one for its own."""
    with as_customer(tenant):
        total = count_visible(model)
        filtered = [
            model._base_manager.filter(**{column: getattr(tenant, owner)}).count()
            for column, owner in own_columns(model).items()
            if tenant is not None
        ]
    assert all(count == total for count in filtered)
    return total


@pytest.mark.parametrize(
    "model",
    [model for model in conditioned() if tenancy_of(model) is OWNED and model._meta.get_field("organization").null],
    ids=lambda model: model._meta.label,
)
def test_rows_without_an_organization_are_hidden_from_customers(model: type[models.Model]) -> None:
    tenant = new_tenant()
    put_row(model, organization_id=None)
    assert seen_by(model, tenant) == 0
    assert seen_by(model, None) == 0


def test_a_member_of_two_organizations_sees_both_and_its_fellow_members() -> None:
    ada, bob = new_tenant(), new_tenant()
    for tenant in (ada, bob):
        put_row(Organization, id=tenant.organization)
        put_row(User, id=tenant.user)
        put_row(Membership, organization_id=tenant.organization, user_id=tenant.user)
    with tenancy.as_role(role=tenancy.CUSTOMER, user_id=ada.user, organizations=[ada.organization, bob.organization]):
        assert set(Organization.objects.values_list("pk", flat=True)) == {ada.organization, bob.organization}
        assert set(User.objects.values_list("pk", flat=True)) == {ada.user, bob.user}
    with as_customer(ada):
        assert set(User.objects.values_list("pk", flat=True)) == {ada.user}


@pytest.mark.parametrize("forged", ["", "x", "::", "{user}:{organization}:", "{user}:{organization}:' OR true --"])
def test_a_binding_that_is_not_signed_shows_nothing(forged: str) -> None:
    tenant = new_tenant()
    put_row(Organization, id=tenant.organization)
    with as_customer(tenant):
        assert Organization.objects.count() == 1
        with connection.cursor() as cursor:
            text = forged.format(user=tenant.user, organization=tenant.organization)
            cursor.execute("SELECT set_config('app.binding', %s, true)", [text])
        assert Organization.objects.count() == 0


def test_shared_tables_hold_no_tenant_data() -> None:
    shared = [model for model in schema.own_models() if tenancy_of(model) is SHARED]
    assert shared
    assert [model._meta.label for model in shared if holds_tenant_data(model)] == []
