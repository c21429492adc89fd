"""Who may see which row, enforced by PostgreSQL: declarations on models, database roles, and the role of a request."""

from core.tenancy.context import (
    BindingRefused,
    ForeignRow,
    NoRowNamed,
    TenantContext,
    acts_on,
    as_role,
    as_worker,
    as_worker_without_row,
    current,
    database_of,
    in_request,
    non_atomic_view,
    require_verified_binding,
    within_worker,
)
from core.tenancy.declarations import OWNED, PERSONAL, PRIVATE, SHARED, Tenancy
from core.tenancy.roles import CUSTOMER, STAFF, WORKER

__all__ = [
    "CUSTOMER",
    "OWNED",
    "PERSONAL",
    "PRIVATE",
    "SHARED",
    "STAFF",
    "WORKER",
    "BindingRefused",
    "ForeignRow",
    "NoRowNamed",
    "Tenancy",
    "TenantContext",
    "acts_on",
    "as_role",
    "as_worker",
    "as_worker_without_row",
    "current",
    "database_of",
    "in_request",
    "non_atomic_view",
    "require_verified_binding",
    "within_worker",
]
