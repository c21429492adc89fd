"""What a model says of its rows' visibility: `tenancy = OWNED`, and so on."""

from dataclasses import dataclass

from django.db import models


@dataclass(frozen=True)
class Tenancy:
    """How customers see a table. `condition` is SQL over the row; None means no row-level security."""

    name: str
    is_readable: bool
    condition: str | None = None


# The sub-select makes PostgreSQL compute the list once for a statement, and use the index on the column.
_MINE = "ANY (ARRAY(SELECT unnest(app_organizations())))"
OWNED = Tenancy("owned", is_readable=True, condition=f"organization_id = {_MINE}")
PERSONAL = Tenancy("personal", is_readable=True, condition="user_id = (SELECT app_user())")
SHARED = Tenancy("shared", is_readable=True)
PRIVATE = Tenancy("private", is_readable=False)


def custom(condition: str) -> Tenancy:
    """Row-level security by another condition (SQL over the row)."""
    return Tenancy("custom", is_readable=True, condition=condition)


# Tables of libraries, by app label; what is not named here is private.
LIBRARIES = {"contenttypes": SHARED}


def tenancy_of(model: type[models.Model]) -> Tenancy | None:
    """The model's declaration, a library's default, or None where one of our models forgot."""
    declared: Tenancy | None = getattr(model, "tenancy", None)
    if declared is not None:
        return declared
    parent: object = model._meta.auto_created
    if isinstance(parent, type):  # a hidden many-to-many table is as open as a shared parent, else closed
        return SHARED if getattr(parent, "tenancy", None) is SHARED else PRIVATE
    is_ours = hasattr(model._meta.app_config, "is_nodebyte")
    return None if is_ours else LIBRARIES.get(model._meta.app_label, PRIVATE)
