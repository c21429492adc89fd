"""Columns that hold secrets: encrypted in the database, decrypted only where code asks a row for the value.

A loaded row holds the ciphertext; reading the attribute decrypts it. Listing, printing or logging a row does not.
"""

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django import forms
from django.conf import settings
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import models
from django.db.models.lookups import Lookup
from django.db.models.query_utils import DeferredAttribute
from django.utils.translation import gettext_lazy as _

PREFIX = "fernet:"  # distinguishes a stored token from any other text


class UndecryptableError(Exception):
    """No key in FIELD_ENCRYPTION_KEYS decrypts the stored value. The text names the row, never the value."""


class Ciphertext:
    """A stored token that has not been decrypted."""

    __slots__ = ("token",)

    def __init__(self, token: str) -> None:
        self.token = token

    def __repr__(self) -> str:
        return "<encrypted>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ciphertext) and other.token == self.token

    def __hash__(self) -> int:
        return hash(self.token)


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    if not keys:
        raise ImproperlyConfigured("FIELD_ENCRYPTION_KEYS is empty")
    return MultiFernet([Fernet(key) for key in keys])


def _keys() -> tuple[str, ...]:
    return tuple(cast("Sequence[str]", settings.FIELD_ENCRYPTION_KEYS))


def encrypt(text: str) -> Ciphertext:
    """Encrypt with the first key."""
    return Ciphertext(PREFIX + _fernet(_keys()).encrypt(text.encode()).decode())


def decrypt(ciphertext: Ciphertext) -> str:
    """Decrypt with any of the keys; InvalidToken when none fits."""
    return _fernet(_keys()).decrypt(ciphertext.token.removeprefix(PREFIX)).decode()


def reencrypt(ciphertext: Ciphertext) -> Ciphertext | None:
    """The same secret under the first key, or None when it already is; InvalidToken when no key fits."""
    token = ciphertext.token.removeprefix(PREFIX)
    try:
        _fernet(_keys()[:1]).decrypt(token)
    except InvalidToken:
        return Ciphertext(PREFIX + _fernet(_keys()).rotate(token).decode())
    return None


def is_set(instance: models.Model, field_name: str) -> bool:
    """Whether the row holds a secret in this column, without decrypting it: all that staff may see."""
    if field_name in instance.get_deferred_fields():
        stored = type(instance)._base_manager.values_list(field_name, flat=True).get(pk=instance.pk)
    else:
        stored = instance.__dict__.get(field_name)
    return stored not in (None, "")


class DecryptingAttribute(DeferredAttribute):
    """Decrypts when the attribute is read: only there is the row known, which the error names."""

    field: "EncryptedField"

    def __get__(self, instance: models.Model | None, cls: type[models.Model] | None = None) -> Any:
        value = super().__get__(instance, cls)
        if instance is None or not isinstance(value, Ciphertext):
            return value
        try:
            decrypted = self.field.read_secret(decrypt(value))
        except (InvalidToken, ValueError):
            row = f"{instance._meta.label}.{self.field.name} of row {instance.pk}"
            raise UndecryptableError(f"{row} cannot be decrypted with the keys in FIELD_ENCRYPTION_KEYS") from None
        instance.__dict__[self.field.attname] = decrypted
        return decrypted

    def __set__(self, instance: models.Model, value: Any) -> None:
        """Store the value. Only with a setter does Python call `__get__` although the instance holds a value."""
        instance.__dict__[self.field.attname] = value


class SecretFormField(forms.CharField):
    """An input that never shows the current secret; left empty, it keeps the secret."""

    widget = forms.PasswordInput(attrs={"autocomplete": "new-password"}, render_value=False)

    def __init__(self, **options: Any) -> None:
        options.setdefault("help_text", _("Leave empty to keep the present value."))
        options["required"] = False
        super().__init__(**options)

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Only something typed is a change."""
        return bool(data)


class SecretJSONFormField(SecretFormField):
    """A secret input whose text must be JSON."""

    def to_python(self, value: Any) -> Any:
        """The parsed JSON; None when left empty."""
        if not value:
            return None
        try:
            return json.loads(value)
        except ValueError:
            raise forms.ValidationError(_("Enter valid JSON."), code="invalid") from None


class EncryptedField(models.TextField):  # type: ignore[type-arg]
    """The base of both encrypted fields."""

    descriptor_class = DecryptingAttribute
    form_class: type[SecretFormField] = SecretFormField
    # The admin looks the value of a read-only field up among these, so it never prints a secret.
    flatchoices = [("", "")]

    def read_secret(self, text: str) -> Any:
        """The decrypted text as this field's Python value."""
        return text

    def write_secret(self, value: Any) -> str:
        """The Python value as the text to encrypt."""
        return str(value)

    def from_db_value(self, value: str | None, *_: Any) -> Ciphertext | str | None:
        """Wrap the stored token; empty stays empty."""
        return Ciphertext(value) if value else value

    def get_prep_value(self, value: Any) -> str | None:
        """Encrypt on the way into the database; tokens pass through."""
        if value is None or value == "":
            return None if self.null else ""
        ciphertext = value if isinstance(value, Ciphertext) else encrypt(self.write_secret(value))
        return ciphertext.token

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:  # noqa: FBT001 - Django's signature
        """Save a token that was not decrypted as it is."""
        current = model_instance.__dict__.get(self.attname)
        return current if isinstance(current, Ciphertext) else super().pre_save(model_instance, add)

    def to_python(self, value: Any) -> Any:
        """The token of a fixture as ciphertext; anything else unchanged."""
        return Ciphertext(value) if isinstance(value, str) and value.startswith(PREFIX) else value

    def value_to_string(self, obj: models.Model) -> str:
        """The token, for `dumpdata`: an export holds no secret."""
        return str(self.get_prep_value(self.pre_save(obj, add=False)) or "")

    def get_lookup(self, lookup_name: str) -> "type[Lookup[Any]] | None":
        """Only `isnull`: the same secret encrypts differently each time, so nothing else could match."""
        if lookup_name != "isnull":
            raise FieldError(f"{self.name} is encrypted and cannot be searched by {lookup_name}")
        return super().get_lookup(lookup_name)

    def formfield(self, **options: Any) -> Any:
        """A password input that is empty when the form opens."""
        texts = {name: options[name] for name in ("label", "help_text") if name in options}
        return self.form_class(**{"label": self.verbose_name, **texts})

    def save_form_data(self, instance: models.Model, data: Any) -> None:
        """Store what was typed; keep the current secret when nothing was."""
        if data not in (None, ""):
            super().save_form_data(instance, data)


class EncryptedTextField(EncryptedField):
    """A secret text. Null or empty means not set."""


class EncryptedJSONField(EncryptedField):
    """A secret JSON value, such as a set of credentials. Null means not set."""

    if TYPE_CHECKING:  # what django-stubs reads of a field
        _pyi_private_set_type: Any
        _pyi_private_get_type: Any

    form_class = SecretJSONFormField

    def read_secret(self, text: str) -> Any:
        """The decrypted JSON."""
        return json.loads(text)

    def write_secret(self, value: Any) -> str:
        """The JSON to encrypt."""
        return json.dumps(value, separators=(",", ":"))


def encrypted_fields(model: type[models.Model]) -> list[EncryptedField]:
    """The model's own encrypted columns."""
    return [field for field in model._meta.local_concrete_fields if isinstance(field, EncryptedField)]
