"""Which database login a query of the ORM uses: the one that the context in force works with."""

from typing import Any

from django.db import models

from core.tenancy.context import current, database_of


class TenancyRouter:
    """A customer's queries use the customers' login, all others the workers'. Both reach the same tables."""

    def db_for_read(self, model: type[models.Model], **_hints: Any) -> str:
        """The alias of the login in force."""
        return database_of(current())

    db_for_write = db_for_read

    def allow_relation(self, _one: models.Model, _other: models.Model, **_hints: Any) -> bool:
        """Rows read with one login may refer to rows read with the other."""
        return True

    def allow_migrate(self, db: str, _app_label: str, **_hints: Any) -> bool | None:
        """The customers' login changes no table."""
        return None if db == "default" else False
