"""Typed reading of a JSON object, with complaints that name the file and the field's full path."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from django.utils.translation import gettext as _


class EggInvalid(Exception):
    """An exported egg cannot be used; the text is a sentence naming the file and, if it is one, the field."""

    def __init__(self, source: str, field: str, complaint: str) -> None:
        sentence = _("{source} cannot be used: {complaint}.") if not field else _("{source}, {field}: {complaint}.")
        super().__init__(sentence.format(source=source, field=field, complaint=complaint))
        self.source = source
        self.field = field


@dataclass(frozen=True)
class Fields:
    """One JSON object of an exported file and the path that leads to it."""

    source: str
    values: Mapping[str, object]
    path: str = ""

    def has(self, key: str) -> bool:
        """Whether the key is there with anything but null."""
        return self.values.get(key) is not None

    def invalid(self, key: str, complaint: str) -> EggInvalid:
        """The error to raise about one of this object's keys."""
        return EggInvalid(self.source, self.path_of(key), complaint)

    def path_of(self, key: str) -> str:
        """The key with all that leads to it, such as `variables[3].rules`."""
        return f"{self.path}.{key}" if self.path else key

    def text(self, key: str) -> str:
        """The text under a key; absent and null count as empty. Raises EggInvalid on anything else."""
        value = self.values.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self.invalid(key, _("it must be text"))
        return self.storable(key, value)

    def storable(self, key: str, text: str) -> str:
        """The text itself. Raises EggInvalid if a database cannot hold it: JSON can write NUL and half characters."""
        if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
            raise self.invalid(key, _("it holds characters that are no text"))
        return text

    def required_text(self, key: str) -> str:
        """The text under a key, without blanks around it. Raises EggInvalid if nothing is left."""
        text = self.text(key).strip()
        if not text:
            raise self.invalid(key, _("it is missing or empty"))
        return text

    def scalar_text(self, key: str) -> str:
        """Text, number or boolean as the text a panel stores for it: true is "1", false "0", null "".

        Raises EggInvalid on a list or an object.
        """
        value = self.values.get(key)
        if isinstance(value, bool):
            return str(int(value))
        if isinstance(value, int):
            return str(value)
        return self.text(key)

    def flag(self, key: str) -> bool:
        """A boolean, also written as 0, 1, "0" or "1"; absent and null are false. Raises EggInvalid on else."""
        text = self.scalar_text(key)
        if text not in {"", "0", "1"}:
            raise self.invalid(key, _("it must be true or false"))
        return text == "1"

    def json_text(self, key: str) -> str:
        """JSON held as text, or written out in place and turned into text here."""
        value = self.values.get(key)
        return json.dumps(value) if isinstance(value, dict | list) else self.text(key)

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts. Raises EggInvalid if it is no list or holds anything else."""
        entries = self._list(key)
        if not all(isinstance(entry, str) for entry in entries):
            raise self.invalid(key, _("it must be a list of texts"))
        return tuple(self.storable(key, entry) for entry in cast("list[str]", entries))

    def child(self, key: str) -> "Fields":
        """The object under a key; absent, null and `[]` (PHP's empty object) are empty. Raises EggInvalid on else."""
        value = self.values.get(key)
        if value is None or value == []:
            value = {}
        if not isinstance(value, dict):
            raise self.invalid(key, _("it must be an object"))
        return Fields(self.source, cast("Mapping[str, object]", value), self.path_of(key))

    def children(self, key: str) -> list["Fields"]:
        """The objects of a list. Raises EggInvalid if it is no list or holds anything else."""
        entries = []
        for index, entry in enumerate(self._list(key)):
            path = f"{self.path_of(key)}[{index}]"
            if not isinstance(entry, dict):
                raise EggInvalid(self.source, path, _("it must be an object"))
            entries.append(Fields(self.source, cast("Mapping[str, object]", entry), path))
        return entries

    def _list(self, key: str) -> list[object]:
        value = self.values.get(key)
        if value is None or value == {}:
            return []
        if not isinstance(value, list):
            raise self.invalid(key, _("it must be a list"))
        return cast("list[object]", value)
