"""Credit that staff give customers."""

from typing import Any, ClassVar
from uuid import uuid4

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import grants
from billing.models import CreditGrant, GrantKind
from catalog.admin.amounts import AmountsForm
from core import clock, site_settings
from core.admin_base import ActionContext, ActionError, ReadOnlyAdmin, StaffAction


class GrantForm(AmountsForm):
    """A grant; what cannot be given is said beside its field. `token` makes a doubled submit one grant."""

    token = forms.UUIDField(widget=forms.HiddenInput, initial=uuid4)
    amount_names: ClassVar[tuple[str, ...]] = ("amount_minor",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "amount_minor" in self.fields:  # where the user may give
            self.fields["amount_minor"].required = True
            self.fields["currency"].initial = site_settings.get("shop.currency")
            self.fields["expires_at"].help_text = _("Only for promotional credit. Empty: it does not expire.")

    def clean(self) -> dict[str, Any]:
        """An amount, and a date to come, of promotional credit alone."""
        cleaned = super().clean()
        if (cleaned.get("amount_minor") or 0) <= 0 and not self.errors:
            self.add_error("amount_minor", _("Enter an amount above zero."))
        expires_at = cleaned.get("expires_at")
        if expires_at and cleaned.get("kind") != GrantKind.PROMOTIONAL:
            self.add_error("expires_at", _("Only promotional credit expires."))
        elif expires_at and expires_at <= clock.now():
            self.add_error("expires_at", _("Choose a date to come."))
        return cleaned


def end(grant: CreditGrant, context: ActionContext) -> str:
    """Take back what is left."""
    if not grants.end_grant(grant=grant, actor=context.user, at=context.at):
        raise ActionError(_("Nothing is left of it, or it has expired."))
    return _("What is left expires within the hour.")


@admin.register(CreditGrant)
class CreditGrantAdmin(ReadOnlyAdmin):
    """Promotional credit and wallet credit that customers were given, and why."""

    form = GrantForm
    addable = ("organization", "kind", "amount_minor", "currency", "expires_at", "reason", "token")
    shown = ("organization", "kind", "amount_minor", "remaining_minor", "expires_at", "reason", "created_at")
    sections = ((None, shown),)
    list_display = ("created_at", "organization", "kind", "amount_minor", "remaining_minor", "expires_at", "reason")
    list_filter = ("kind", "currency")
    list_select_related = ("organization",)
    search_fields = ("organization__name", "reason")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    autocomplete_fields: ClassVar[tuple[str, ...]] = ("organization",)
    staff_actions = (
        StaffAction(
            "end",
            gettext_lazy("End"),
            end,
            permissions=("billing.add_creditgrant",),
            description=gettext_lazy("What is left of it expires within the hour. What was spent stays spent."),
            is_available=lambda row: row.remaining_minor > 0,
            icon="event_busy",
            is_destructive=True,
        ),
    )

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Give it by the service, which posts and audits it."""
        grant = grants.grant_credit(
            organization=obj.organization,
            amount=obj.amount,
            kind=obj.kind,
            reason=obj.reason,
            expires_at=obj.expires_at,
            form_token=form.cleaned_data["token"],
            actor=request.user,
            at=clock.now(),
        )
        obj.pk = grant.pk
