"""What most tables share: a time-ordered id, the two instants, and two kinds of constraint."""

from typing import Self

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from core.ids import uuid7


class Entity(models.Model):
    """A row with a uuid7 key. Other systems are given the same key."""

    id = models.UUIDField(_("ID"), primary_key=True, default=uuid7, editable=False)

    class Meta:
        abstract = True

    def reload(self) -> Self:
        """This row as it is now in the database."""
        return type(self)._default_manager.get(pk=self.pk)


class Timestamped(models.Model):
    """`created_at` and `updated_at`; a database trigger sets the second (core/schema.py)."""

    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        abstract = True


def choices_check(name: str, field: str, choices: type[models.TextChoices]) -> models.CheckConstraint:
    """A constraint that the column holds one of the choices."""
    return models.CheckConstraint(name=name, condition=models.Q(**{f"{field}__in": choices.values}))


def iff(name: str, one: models.Q, other: models.Q) -> models.CheckConstraint:
    """A constraint that both conditions hold or neither does, such as "deleted" and `deleted_at` set."""
    return models.CheckConstraint(name=name, condition=(one & other) | (~one & ~other))
