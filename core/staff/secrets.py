"""Inputs for secrets: empty when the form opens, and left empty the secret stays."""

from typing import Any

from unfold.widgets import UnfoldAdminPasswordWidget

from core.encryption import SecretFormField


class SecretInput(SecretFormField):
    """A password input in the look of the staff pages."""

    widget = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False)

    def __init__(self, **options: Any) -> None:
        options.setdefault("max_length", 500)
        super().__init__(**options)
