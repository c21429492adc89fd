"""What most tables share: a time-ordered id, and the two instants."""

from typing import Any, Self

from django.db import models
from django.db.models.functions import Now

from core.ids import uuid7


class Entity(models.Model):
    """A row with a uuid7 key, which is also the key that outside systems are given."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta:
        abstract = True

    def reload(self) -> Self:
        """This row as it now stands in the database."""
        return type(self)._default_manager.get(pk=self.pk)


class Timestamped(models.Model):
    """`created_at` and `updated_at`; the database keeps the second by trigger (core/schema.py)."""

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True


def choices_check(name: str, field: str, choices: type[models.TextChoices]) -> models.CheckConstraint:
    """A constraint that the column holds one of the choices: the database refuses a state the code does not know."""
    condition: Any = models.Q(**{f"{field}__in": choices.values})
    return models.CheckConstraint(name=name, condition=condition)
