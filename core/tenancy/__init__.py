"""Who may see which row, kept by PostgreSQL: declarations on models, roles, and the binding of a request."""

from core.tenancy.binding import Bound, bind, current, in_steps, system
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
    "bind",
    "current",
    "in_steps",
    "system",
]
