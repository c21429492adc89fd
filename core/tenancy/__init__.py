"""Who may see which row, kept by PostgreSQL: declarations on models, roles, and the binding of a request."""

from core.tenancy.binding import Bound, as_worker, bind, current, non_atomic_view
from core.tenancy.declare import OWNED, PERSONAL, PRIVATE, SHARED, Tenancy
from core.tenancy.roles import CUSTOMER, STAFF, WORKER

__all__ = [
    "CUSTOMER",
    "OWNED",
    "PERSONAL",
    "PRIVATE",
    "SHARED",
    "STAFF",
    "WORKER",
    "Bound",
    "Tenancy",
    "as_worker",
    "bind",
    "current",
    "non_atomic_view",
]
