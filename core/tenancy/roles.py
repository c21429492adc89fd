"""The three database roles. None can log in; the login role owns the tables and is a member of all three."""

CUSTOMER = "nodebyte_customer"  # reads what row-level security shows its user; writes nothing
STAFF = "nodebyte_staff"  # the admin: reads everything, writes everything except append-only tables
WORKER = "nodebyte_worker"  # services and background work: rights as staff; every connection starts as this role
