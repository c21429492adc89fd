"""The shop's three logins, none of them a superuser, and what an administrator does once for them.

The owner migrates and owns tables and functions. The worker's login writes, for every process. The customer's login
reads what row-level security shows, for customers' pages. `core/tenancy/roles.py` has the roles they are members of.
"""

from pathlib import Path
from typing import Any

import psycopg

OWNER = "nodebyte_owner"
WORKER_LOGIN = "nodebyte_worker_login"
CUSTOMER_LOGIN = "nodebyte_customer_login"
FOLDER = Path(__file__).parent


def create_roles(administrator: "psycopg.Connection[Any]") -> None:
    """Create the cluster's roles and logins, as a superuser. Calling it again is harmless."""
    administrator.execute((FOLDER / "roles.sql").read_bytes())


def restrict_everybody(administrator: "psycopg.Connection[Any]") -> None:
    """In the database connected to, take from PUBLIC what customers must not have. Calling it again is harmless."""
    administrator.execute((FOLDER / "privileges.sql").read_bytes())
