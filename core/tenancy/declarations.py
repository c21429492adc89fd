"""What a model declares about who sees its rows: `tenancy = OWNED`, and so on."""

from dataclasses import dataclass
from functools import cache

from django.db import models

from core.encryption import EncryptedField


@dataclass(frozen=True)
class Tenancy:
    """What customers see of a table. `condition` is SQL over the row; None means no row-level security."""

    name: str
    is_readable: bool
    condition: str | None = None


# With the sub-select PostgreSQL computes the list once per statement and uses the index on the column.
OWN_ORGANIZATIONS = "ANY (ARRAY(SELECT unnest(app_organizations())))"
OWNED = Tenancy("owned", is_readable=True, condition=f"organization_id = {OWN_ORGANIZATIONS}")
PERSONAL = Tenancy("personal", is_readable=True, condition="user_id = (SELECT app_user())")
SHARED = Tenancy("shared", is_readable=True)
PRIVATE = Tenancy("private", is_readable=False)


def custom(condition: str) -> Tenancy:
    """Row-level security by another condition (SQL over the row)."""
    return Tenancy("custom", is_readable=True, condition=condition)


# Tables of libraries, by app label; those not named here are private.
LIBRARIES = {"contenttypes": SHARED}


def tenancy_of(model: type[models.Model]) -> Tenancy | None:
    """The model's declaration, a library's default, or None for a model of ours without one."""
    declared: Tenancy | None = getattr(model, "tenancy", None)
    if declared is not None:
        return declared
    parent: object = model._meta.auto_created
    if isinstance(parent, type):  # a hidden many-to-many table is shared if its parent is, otherwise private
        return SHARED if getattr(parent, "tenancy", None) is SHARED else PRIVATE
    is_ours = hasattr(model._meta.app_config, "is_nodebyte")
    return None if is_ours else LIBRARIES.get(model._meta.app_label, PRIVATE)


@cache
def hidden_columns(model: type[models.Model]) -> frozenset[str]:
    """The columns that customers may not read even of their own rows: every encrypted one, and `hidden_fields`."""
    hidden = getattr(model, "hidden_fields", ())
    fields = model._meta.local_concrete_fields
    return frozenset(str(field.column) for field in fields if isinstance(field, EncryptedField) or field.name in hidden)
