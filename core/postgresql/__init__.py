"""Django's PostgreSQL backend, with roles that work in its connection pool."""
