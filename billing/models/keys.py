"""References that the database checks by another key or a trigger."""

from typing import Any

from django.db import models


def unchecked_key(model: type[models.Model] | str, **options: Any) -> "models.ForeignKey[Any, Any]":
    """A reference that migration 0002 checks: by a composite key, which has its organization too, or by a trigger.

    A run writes millions of them, and each check is a lookup. An organization is that of a row which is referenced so.
    """
    return models.ForeignKey(model, on_delete=models.PROTECT, db_constraint=False, **options)
