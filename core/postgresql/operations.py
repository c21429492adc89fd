"""Django's own operations, with our compilers."""

from django.db.backends.postgresql import operations


class DatabaseOperations(operations.DatabaseOperations):
    """See core/postgresql/compiler.py."""

    compiler_module = "core.postgresql.compiler"
