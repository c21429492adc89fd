"""Providers of servers. Their API keys can be set here, never read."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget

from core import formats
from core.admin_base import ActionContext, ReadOnlyAdmin, StaffAction
from core.admin_base.credentials import CredentialsAdmin, CredentialsForm, stored_keys
from core.credentials import CredentialField
from core.encryption import is_set
from servers import builds, services
from servers.admin.sync import RESYNC, DriftInline, SyncRunInline
from servers.drivers import registry
from servers.models import PanelAccount, Provider


def accept_missing(provider: Provider, context: ActionContext) -> str:
    """Let each missing server be marked as failed, which its staff and its customer then see."""
    services.accept_missing_servers(provider_id=provider.pk, actor=context.user, at=context.at)
    return _("Missing servers are marked as failed within some minutes. Each has to be retried or refunded.")


class ProviderForm(CredentialsForm):
    """A provider; its kind is one that has a driver, its credentials can be set and never read."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=lambda: [(kind, facts.label) for kind, facts in registry.facts().items()],
        widget=UnfoldAdminSelectWidget,
    )

    class Meta:
        model = Provider
        fields = ("kind", "name", "base_url", "configuration", "is_console_relayed", "is_active")

    def clean(self) -> dict[str, Any]:
        """A cloud has its own address. A new one needs its keys again: the stored ones must not be sent to it.

        Of some providers the configuration says what they are, and it has to be complete.
        """
        cleaned = super().clean() or self.cleaned_data
        facts = registry.facts().get(cleaned.get("kind") or self.instance.kind)
        check = facts.configuration_problem if facts and "configuration" in cleaned else None
        if check and (problem := check(cleaned["configuration"])):
            self.add_error("configuration", problem)
        if facts and not facts.has_address:
            if cleaned.get("base_url"):
                self.add_error("base_url", _("Leave it empty: the addresses are in the configuration."))
        elif not cleaned.get("base_url") and "base_url" not in self.errors:
            if facts is None or not facts.default_url:
                self.add_error("base_url", _("Enter the provider's address."))
            else:
                cleaned["base_url"] = facts.default_url
        is_moved = self.instance.pk and "base_url" in self.changed_data and is_set(self.instance, "credentials")
        entered = self.entered_keys()
        if is_moved and not all(entered.get(key) for key in stored_keys(self.instance)):
            self.add_error("base_url", _("Enter the keys again to use them at another address."))
        return cleaned


@admin.register(Provider)
class ProviderAdmin(CredentialsAdmin):
    """A panel or a cloud: its address, whether it answers, and its keys."""

    form = ProviderForm
    editable = ("name", "base_url", "configuration", "placement", "is_console_relayed", "is_active")
    addable = ("kind", *editable)
    list_display = ("name", "kind", "base_url", "is_active", "health", "health_note", "checked_at", "suspected_at")
    list_filter = ("kind", "is_active", "health")
    search_fields = ("name", "base_url")
    inlines = (SyncRunInline, DriftInline)
    sections = (
        (None, ("kind", "name", "base_url", "placement", "is_console_relayed", "is_active")),
        (gettext_lazy("Keys"), ("stored_key_names",)),
        (gettext_lazy("Configuration"), ("configuration",)),
        (
            gettext_lazy("Health"),
            (
                *("health", "health_note", "checked_at", "unreachable", "suspected_at"),
                "missing_accepted_until",
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

    def credential_fields(self, row: Provider) -> Sequence[CredentialField]:
        """The keys of the provider's kind; none for an unknown kind."""
        facts = registry.facts().get(row.kind)
        return facts.credentials if facts else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """What may be built can depend on the configuration."""
        super().save_model(request, obj, form, change)
        if "configuration" in form.changed_data:
            builds.check_blueprints(obj.pk)

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """To the page on which its keys are entered."""
        messages.info(request, _("Now enter the provider's keys."))
        return redirect("admin:servers_provider_change", obj.pk)

    @admin.display(description=gettext_lazy("unreachable nodes"))
    def unreachable(self, provider: Provider) -> str:
        """How many, and since when; a panel answers for all of its nodes."""
        found = provider.nodes.aggregate(since=Min("unreachable_since"), number=Count("unreachable_since"))
        return f"{found['number']}, {formats.instant(found['since'])}" if found["number"] else "–"

    @admin.display(description=gettext_lazy("stored keys"))
    def stored_key_names(self, provider: Provider) -> str:
        """The labels of the keys that are set; their values are never shown."""
        stored = stored_keys(provider)
        labels = [str(each.label) for each in self.credential_fields(provider) if stored.get(each.name)]
        return ", ".join(labels) or _("not set")


@admin.register(PanelAccount)
class PanelAccountAdmin(ReadOnlyAdmin):
    """The panel's accounts of our users."""

    list_display = ("user", "provider", "ref", "username", "is_panel_admin", "created_at")
    list_filter = ("provider", "is_panel_admin")
    list_select_related = ("user", "provider")
    search_fields = ("user__email", "=ref", "username")
