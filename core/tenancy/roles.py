"""The three database roles. None can log in; the login role owns the tables and is a member of each."""

CUSTOMER = "nodebyte_customer"  # reads what row-level security lets its user see, writes nothing
STAFF = "nodebyte_staff"  # the admin: sees all, writes all but what is append-only
WORKER = "nodebyte_worker"  # services and background work: as staff, and the starting role of every connection
ALL = (CUSTOMER, STAFF, WORKER)
