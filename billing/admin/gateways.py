"""Our accounts at gateways, the prices they know, and the subscriptions they charge for."""

from django import forms
from django.contrib import admin
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing import gateway_accounts
from billing.gateways import base
from billing.models import GatewayAccount, GatewayCancelTask, GatewayPrice, GatewaySubscription
from core.admin_base import ReadOnlyAdmin, WorkItemAdmin
from core.encryption import UndecryptableError
from core.money import CODE


class GatewayAccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """An account; its kind is one that has a driver, its credentials can be set and never read."""

    kind = forms.ChoiceField(label=gettext_lazy("Kind"), choices=lambda: [(kind, kind) for kind in base.kinds()])

    class Meta:
        model = GatewayAccount
        fields = ("code", "kind", "name", "credentials", "currencies", "position", "is_active")

    def clean_currencies(self) -> list[str]:
        """A list of codes of three capital letters."""
        codes = self.cleaned_data["currencies"] or []
        if not isinstance(codes, list) or not all(isinstance(code, str) and CODE.fullmatch(code) for code in codes):
            raise forms.ValidationError(_('Enter a list of currencies, such as ["USD", "EUR"].'))
        return codes


@admin.register(GatewayAccount)
class GatewayAccountAdmin(ReadOnlyAdmin):
    """Where payments are taken. The first active account that takes a currency opens its payments."""

    form = GatewayAccountForm
    editable = ("name", "credentials", "currencies", "position", "is_active")
    addable = ("code", "kind", *editable)
    list_display = ("name", "code", "kind", "currencies", "position", "is_live", "is_active", "problem")
    list_filter = ("is_active",)
    search_fields = ("name", "code")
    sections = (
        (None, ("name", "code", "kind", "is_active", "is_live", "position", "currencies")),
        (gettext_lazy("Keys"), ("stored_key_names", "credentials")),
        (gettext_lazy("History"), ("id", "created_at", "updated_at")),
    )

    @admin.display(description=gettext_lazy("problem"))
    def problem(self, account: GatewayAccount) -> str:
        """Why it can take no payment."""
        return gateway_accounts.problem_of(account) or "-"

    @admin.display(description=gettext_lazy("stored keys"))
    def stored_key_names(self, account: GatewayAccount) -> str:
        """The names of the keys that are set; their values are never shown."""
        try:
            names = sorted(account.credentials or {})
        except UndecryptableError:
            return _("These keys can no longer be decrypted. Enter them again.")
        return ", ".join(names) or _("None: only the first account may use the keys of the environment.")


@admin.register(GatewayPrice)
class GatewayPriceAdmin(ReadOnlyAdmin):
    """What the gateway charges where it renews; checkout compares it with our price before the customer pays."""

    addable = ("gateway", "plan_price", "addon_price", "reference")
    list_display = ("reference", "gateway", "plan_price", "addon_price", "created_at")
    list_filter = ("gateway",)
    list_select_related = ("plan_price", "addon_price")
    search_fields = ("=reference", "plan_price__plan__code", "addon_price__addon__code")
    autocomplete_fields = ("plan_price", "addon_price")


@admin.register(GatewaySubscription)
class GatewaySubscriptionAdmin(ReadOnlyAdmin):
    """Subscriptions at a gateway, each charging for one of ours."""

    list_display = (
        "reference",
        "gateway",
        "organization",
        "subscription",
        "is_duplicate",
        "created_at",
        "cancel_requested_at",
        "ended_at",
    )
    list_filter = ("gateway", "is_live", "is_duplicate", ("ended_at", admin.EmptyFieldListFilter))
    list_select_related = ("organization", "subscription")
    search_fields = ("=reference", "organization__name")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(GatewayCancelTask)
class GatewayCancelTaskAdmin(WorkItemAdmin):
    """The work of ending gateway subscriptions that must not charge."""

    list_display = ("created_at", "gateway_subscription", "state", "attempts", "run_at", "last_error", "finished_at")
    list_select_related = ("gateway_subscription",)
    search_fields = ("=gateway_subscription__reference", "last_error")
