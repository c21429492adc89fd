"""Our accounts at gateways, the prices they know, and the subscriptions they charge for."""

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from billing import gateway_accounts
from billing.gateways import base
from billing.models import GatewayAccount, GatewayCancelTask, GatewayPrice, GatewaySubscription
from core.admin_base import ReadOnlyAdmin, WorkItemAdmin
from core.admin_base.columns import EMPTY
from core.encryption import SecretJSONFormField, UndecryptableError
from core.money import CODE


class CurrenciesField(forms.CharField):
    """Currency codes in one line, with commas or spaces between them."""

    def prepare_value(self, value: Any) -> Any:
        """The codes as they are typed."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """The codes, each once."""
        return list(dict.fromkeys((super().to_python(value) or "").upper().replace(",", " ").split()))


class KeysInput(UnfoldAdminTextareaWidget):  # type: ignore[misc]
    """Room for several keys; what was typed is not sent back to the page."""

    def format_value(self, value: Any) -> str:
        return ""


def stored_keys(account: GatewayAccount) -> dict[str, str]:
    """The stored keys; none if they can no longer be decrypted, so that new ones can be set."""
    try:
        return dict(account.credentials or {})
    except UndecryptableError:
        return {}


class GatewayAccountForm(forms.ModelForm):  # type: ignore[type-arg]
    """An account; its kind is one that has a driver, its credentials can be set and never read."""

    kind = forms.ChoiceField(
        label=gettext_lazy("Kind"),
        choices=lambda: [(kind, kind) for kind in base.kinds()],
        widget=UnfoldAdminSelectWidget,
    )
    currencies = CurrenciesField(
        label=gettext_lazy("Currencies"),
        required=False,
        widget=UnfoldAdminTextInputWidget,
        help_text=gettext_lazy("Codes such as USD, EUR. Empty: every currency that is sold."),
    )
    credentials = SecretJSONFormField(
        label=gettext_lazy("New keys"),
        widget=KeysInput(attrs={"rows": 4, "autocomplete": "off", "spellcheck": "false"}),
        help_text=gettext_lazy(
            'A JSON object such as {"secret_key": "…", "webhook_secret": "…"}. '
            "Keys that you leave out stay as they are."
        ),
    )

    class Meta:
        model = GatewayAccount
        fields = ("code", "kind", "name", "credentials", "currencies", "position", "is_active")

    def clean_currencies(self) -> list[str]:
        """Codes of three letters."""
        codes: list[str] = self.cleaned_data["currencies"]
        if not all(CODE.fullmatch(code) for code in codes):
            raise forms.ValidationError(_("Enter codes of three letters, such as USD, EUR."))
        return codes

    def clean_credentials(self) -> dict[str, str] | None:
        """The stored keys with the entered ones; None where none were entered."""
        entered = self.cleaned_data["credentials"]
        if entered is None:
            return None
        if not isinstance(entered, dict) or not all(isinstance(key, str) for key in entered.values()):
            raise forms.ValidationError(_('Enter a JSON object of texts, such as {"secret_key": "…"}.'))
        return stored_keys(self.instance) | entered


@admin.register(GatewayAccount)
class GatewayAccountAdmin(ReadOnlyAdmin):
    """Where payments are taken. The first active account that takes a currency opens its payments."""

    form = GatewayAccountForm
    editable = ("name", "credentials", "currencies", "position", "is_active")
    addable = ("code", "kind", *editable)
    list_display = ("name", "code", "kind", "takes", "position", "is_live", "is_active", "problem")
    list_filter = ("is_active",)
    search_fields = ("name", "code")
    sections = (
        (None, ("name", "code", "kind", "is_active", "is_live", "position", "currencies")),
        (gettext_lazy("Keys"), ("webhook_address", "stored_key_names", "credentials")),
        (gettext_lazy("History"), ("id", "created_at", "updated_at")),
    )

    @admin.display(description=gettext_lazy("problem"))
    def problem(self, account: GatewayAccount) -> str:
        """Why it can take no payment."""
        return gateway_accounts.problem_of(account) or EMPTY

    @admin.display(description=gettext_lazy("currencies"))
    def takes(self, account: GatewayAccount) -> str:
        """The currencies it takes."""
        return ", ".join(account.currencies) or _("All")

    @admin.display(description=gettext_lazy("webhook address"))
    def webhook_address(self, account: GatewayAccount) -> str:
        """What is to be entered at the gateway."""
        return f"{settings.SITE_URL}{reverse('billing:webhook', args=[account.code])}"

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
