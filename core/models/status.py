"""Statuses: a closed set of words, each with the tone in which pages and the admin show it."""

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Self

from django.db import models
from django.db.models.enums import ChoicesType

if TYPE_CHECKING:
    from django.db.models.expressions import Combinable

    TextField = models.CharField[str | Combinable, str]
else:
    TextField = models.CharField


class Tone(StrEnum):
    """What a status means to its reader, as a colour."""

    SUCCESS = "success"
    INFO = "info"
    WARNING = "warning"
    DANGER = "danger"
    NEUTRAL = "neutral"


class StatusChoices(models.TextChoices):
    """Choices that declare a tone: `RUNNING = "running", Tone.SUCCESS, _("Running")`."""

    tone: Tone

    def __new__(cls, value: str, tone: Tone = Tone.NEUTRAL) -> Self:
        member = str.__new__(cls, value)
        member._value_ = value
        member.tone = tone
        return member


class StatusField(TextField):
    """A CharField over StatusChoices. Rows read from the database hold the member, with its label and its tone."""

    def __init__(self, *args: Any, **options: Any) -> None:
        choices: Any = options.get("choices")
        # Migrations clone the field with a list of pairs.
        statuses: Any = choices if isinstance(choices, ChoicesType) else ()
        self.members = {status.value: status for status in statuses}
        super().__init__(*args, **options)

    def from_db_value(self, value: str | None, *_: Any) -> str | None:
        """The member; a value that the code does not know stays text."""
        return self.members.get(value, value)

    def deconstruct(self) -> Any:
        """Migrations see a plain CharField."""
        name, _path, args, kwargs = super().deconstruct()
        return name, "django.db.models.CharField", args, kwargs
