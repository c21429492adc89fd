"""References that the database checks by another key."""

from typing import Any

from django.db import models


def unchecked_key(model: type[models.Model] | str, **options: Any) -> "models.ForeignKey[Any, Any]":
    """A reference that is checked by a composite key of migration 0002, which has its organization too.

    A run writes millions of them, and each check is a lookup. An organization is that of a row which is referenced so.
    """
    return models.ForeignKey(model, on_delete=models.PROTECT, db_constraint=False, **options)
