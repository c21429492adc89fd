"""Django's PostgreSQL backend, with roles that work with its connection pool."""
