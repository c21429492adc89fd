"""Providers of servers. Their API keys can be set here, never read."""

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget

from core.admin_base import ActionContext, ReadOnlyAdmin, StaffAction
from core.encryption import SecretFormField, UndecryptableError, is_set
from servers import services
from servers.admin.sync import RESYNC, DriftInline, SyncRunInline
from servers.drivers import registry
from servers.models import PanelAccount, Provider

KEYS = ("application_key", "client_key")
KEY_INPUT = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False)


def accept_missing(provider: Provider, context: ActionContext) -> str:
    """Let each missing server be marked as failed, which its staff and its customer then see."""
    services.accept_missing_servers(provider_id=provider.pk, actor=context.user, at=context.at)
    return _("Missing servers are marked as failed within some minutes. Each has to be retried or refunded.")


class ProviderForm(forms.ModelForm):  # type: ignore[type-arg]
    """A provider, with an input for each of its keys."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=lambda: [(kind, facts.label) for kind, facts in registry.facts().items()],
        widget=UnfoldAdminSelectWidget,
    )
    application_key = SecretFormField(label=gettext_lazy("Application API key"), max_length=500, widget=KEY_INPUT)
    client_key = SecretFormField(label=gettext_lazy("Client API key"), max_length=500, widget=KEY_INPUT)

    class Meta:
        model = Provider
        fields = ("kind", "name", "base_url", "configuration", "is_active")

    def clean(self) -> dict[str, Any]:
        """A new address needs its keys entered again: the stored ones must not be sent to it."""
        cleaned = super().clean() or self.cleaned_data
        is_moved = self.instance.pk and "base_url" in self.changed_data and is_set(self.instance, "credentials")
        if is_moved and not all(cleaned.get(key) for key in stored_keys(self.instance)):
            self.add_error("base_url", _("Enter the keys again to use them at another address."))
        return cleaned

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Store the entered keys among the credentials."""
        entered = {key: self.cleaned_data[key] for key in KEYS if self.cleaned_data.get(key)}
        if entered:
            self.instance.credentials = {**stored_keys(self.instance), **entered}
        return super().save(commit)


def stored_keys(provider: Provider) -> dict[str, str]:
    """The stored keys; none if they can no longer be decrypted, so that new ones can be set."""
    try:
        return dict(provider.credentials or {})
    except UndecryptableError:
        return {}


@admin.register(Provider)
class ProviderAdmin(ReadOnlyAdmin):
    """A panel: its address, whether it answers, and its keys."""

    form = ProviderForm
    editable = ("name", "base_url", *KEYS, "configuration", "is_active")
    addable = ("kind", *editable)
    list_display = ("name", "kind", "base_url", "is_active", "health", "health_note", "checked_at", "suspected_at")
    list_filter = ("kind", "is_active", "health")
    search_fields = ("name", "base_url")
    inlines = (SyncRunInline, DriftInline)
    sections = (
        (None, ("kind", "name", "base_url", "is_active")),
        (gettext_lazy("Keys"), ("stored_key_names", *KEYS)),
        (gettext_lazy("Configuration"), ("configuration",)),
        (
            gettext_lazy("Health"),
            (
                *("health", "health_note", "checked_at", "suspected_at", "missing_accepted_until"),
                *("created_at", "updated_at"),
            ),
        ),
    )
    staff_actions = (
        RESYNC,
        StaffAction(
            name="accept_missing",
            label=gettext_lazy("Accept missing servers"),
            run=accept_missing,
            permissions=("servers.change_provider",),
            description=gettext_lazy(
                "For an hour, each server that the provider does not have counts as gone with its data. Do this only "
                "where you know why they are missing: first check the provider's address and its keys."
            ),
            is_available=lambda provider: provider.suspected_at is not None,
            icon="rule",
            is_destructive=True,
        ),
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, dict[str, Any]]]:
        """Without inputs for keys if the user may not set them."""
        sections = super().get_fieldsets(request, obj)
        if obj is None or self.has_change_permission(request, obj):
            return sections
        names = [(title, flatten(options["fields"])) for title, options in sections]
        return [(title, {"fields": [name for name in fields if name not in KEYS]}) for title, fields in names]

    @admin.display(description=gettext_lazy("stored keys"))
    def stored_key_names(self, provider: Provider) -> str:
        """The labels of the keys that are set; their values are never shown."""
        stored = stored_keys(provider)
        labels = [str(ProviderForm.base_fields[key].label) for key in KEYS if stored.get(key)]
        return ", ".join(labels) or _("not set")

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Entered keys are stored in the credentials column."""
        if change and set(form.changed_data) & set(KEYS):
            obj.save(update_fields=["credentials"])
        super().save_model(request, obj, form, change)


@admin.register(PanelAccount)
class PanelAccountAdmin(ReadOnlyAdmin):
    """The panel's accounts of our users."""

    list_display = ("user", "provider", "ref", "username", "is_panel_admin", "created_at")
    list_filter = ("provider", "is_panel_admin")
    list_select_related = ("user", "provider")
    search_fields = ("user__email", "=ref", "username")
