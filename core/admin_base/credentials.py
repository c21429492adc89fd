"""Inputs for keys that can be set and never read: those which the driver of a row's kind names."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
)

from core.admin_base.model_admin import ReadOnlyAdmin
from core.credentials import CredentialField
from core.encryption import SecretFormField, UndecryptableError

KEY = "key_"  # before the name of a key, in the form
MAX_LENGTH, MAX_LENGTH_OF_LINES = 500, 20_000


def stored_keys(row: Any) -> dict[str, str]:
    """The row's stored keys; none if they can no longer be decrypted, so that new ones can be set."""
    try:
        return dict(row.credentials or {})
    except UndecryptableError:
        return {}


def key_inputs(row: Any, fields: Sequence[CredentialField]) -> dict[str, forms.Field]:
    """An input for each key, by its name in the form. A secret says only whether it is set."""
    stored, inputs = stored_keys(row), dict[str, forms.Field]()
    for each in fields:
        value = stored.get(each.name, "")
        state = (_("Set. Leave empty to keep it.") if value else _("Not set.")) if each.is_secret else ""
        options: dict[str, Any] = {
            "label": str(each.label),
            "help_text": f"{state} {each.help_text}".strip(),
            "max_length": MAX_LENGTH_OF_LINES if each.is_multiline else MAX_LENGTH,
        }
        if not each.is_secret:
            widget = UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"})
            inputs[KEY + each.name] = forms.CharField(**options, required=False, initial=value, widget=widget)
        elif each.is_multiline:
            widget = UnfoldAdminTextareaWidget(attrs={"autocomplete": "off", "spellcheck": "false", "rows": 4})
            inputs[KEY + each.name] = SecretFormField(**options, widget=widget)
        else:
            attributes = {"autocomplete": "new-password"}
            widget = UnfoldAdminPasswordWidget(attrs=attributes, render_value=False)
            inputs[KEY + each.name] = SecretFormField(**options, widget=widget)
    return inputs


class CredentialsForm(forms.ModelForm):  # type: ignore[type-arg]
    """A form of a row with encrypted `credentials`; `CredentialsAdmin` gives it its inputs."""

    def entered_keys(self) -> dict[str, str]:
        """What was typed, by the names of the keys; one that is shown and was emptied is empty."""
        names = [name for name in self.changed_data if name.startswith(KEY)]
        return {name.removeprefix(KEY): str(self.cleaned_data.get(name) or "").strip() for name in names}

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Store the entered keys among the others; one that is shown and was emptied is taken out."""
        if entered := self.entered_keys():
            kept = {**stored_keys(self.instance), **entered}
            self.instance.credentials = {name: value for name, value in kept.items() if value}
        return super().save(commit)


class CredentialsAdmin(ReadOnlyAdmin):
    """The admin of rows whose kind says which keys they have. They are entered once the row is there.

    The second of `sections` is that of the keys.
    """

    form: type[CredentialsForm]

    def credential_fields(self, row: Any) -> Sequence[CredentialField]:
        """The keys of the row's kind."""
        raise NotImplementedError

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        """With an input for each key of the row's kind, where the user may set them."""
        sections = super().get_fieldsets(request, obj)
        if obj is None or not self.has_change_permission(request, obj):
            return sections
        first, (title, options), *others = sections
        return [first, (title, {"fields": [*options["fields"], *self._inputs(obj)]}), *others]

    def get_editable(self, request: HttpRequest, obj: Any) -> tuple[str, ...]:
        """The keys of its kind too."""
        return (*super().get_editable(request, obj), *(self._inputs(obj) if obj else ()))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        """The form with an input for each key."""
        shown = set(self.get_readonly_fields(request, obj)) & set(self.form.base_fields)
        inputs: dict[str, Any] = dict.fromkeys(shown)  # what is shown as text has no input
        if obj and self.has_change_permission(request, obj):
            inputs |= self._inputs(obj)
        return super().get_form(request, obj, change, form=type("KeysForm", (self.form,), inputs), **kwargs)

    def _inputs(self, row: Model) -> dict[str, forms.Field]:
        return key_inputs(row, self.credential_fields(row))

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Entered keys are stored in the credentials column."""
        if change and form.entered_keys():
            obj.save(update_fields=["credentials"])
        super().save_model(request, obj, form, change)
