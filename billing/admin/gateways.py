"""Our accounts at gateways, the prices they know, and the subscriptions they charge for."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing import gateway_accounts, key_checks
from billing.gateways import base
from billing.models import GatewayAccount, GatewayCancelTask, GatewayPrice, GatewaySubscription, KeyCheckTask
from core import clock, site_settings
from core.admin_base import ActionContext, ReadOnlyAdmin, StaffAction, WorkItemAdmin
from core.admin_base.columns import EMPTY
from core.admin_base.credentials import CredentialsAdmin, CredentialsForm
from core.credentials import CredentialField


class CurrenciesField(forms.CharField):
    """Currency codes in one line, with commas or spaces between them."""

    def prepare_value(self, value: Any) -> Any:
        """The codes as they are typed."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """The codes, each once."""
        return list(dict.fromkeys((super().to_python(value) or "").upper().replace(",", " ").split()))


class GatewayAccountForm(CredentialsForm):
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

    class Meta:
        model = GatewayAccount
        fields = ("code", "kind", "name", "currencies", "position", "is_active")

    def clean_currencies(self) -> list[str]:
        """The codes of currencies."""
        codes: list[str] = self.cleaned_data["currencies"]
        for code in codes:
            site_settings.validate_currency(code)
        return codes


def test_keys(account: GatewayAccount, context: ActionContext) -> str:
    """Have the keys tried."""
    key_checks.request_check(account=account, at=context.at)
    return _("The keys are being tested. Reload this page in a moment.")


@admin.register(GatewayAccount)
class GatewayAccountAdmin(CredentialsAdmin):
    """Where payments are taken. The first active account that takes a currency opens its payments."""

    form = GatewayAccountForm
    editable = ("name", "currencies", "position", "is_active")
    addable = ("code", "kind", *editable)
    list_display = ("name", "code", "kind", "takes", "position", "is_live", "is_active", "problem")
    list_filter = ("is_active",)
    search_fields = ("name", "code")
    sections = (
        (None, ("name", "code", "kind", "is_active", "is_live", "position", "currencies")),
        (gettext_lazy("Keys"), ("webhook_address", "key_state")),
        (gettext_lazy("History"), ("id", "created_at", "updated_at")),
    )
    staff_actions = (
        StaffAction(
            name="test_keys",
            label=gettext_lazy("Test the keys"),
            run=test_keys,
            permissions=("billing.change_gatewayaccount",),
            description=gettext_lazy("The gateway is asked something harmless. Nothing is charged or changed there."),
            icon="key",
        ),
    )

    @admin.display(description=gettext_lazy("problem"))
    def problem(self, account: GatewayAccount) -> str:
        """Why it can take no payment."""
        return gateway_accounts.problem_of(account) or EMPTY

    @admin.display(description=gettext_lazy("currencies"))
    def takes(self, account: GatewayAccount) -> str:
        """The currencies it takes."""
        return ", ".join(account.currencies) or _("All")

    def credential_fields(self, row: GatewayAccount) -> Sequence[CredentialField]:
        """The keys of the account's kind; none for an unknown kind."""
        return base.driver_for(GatewayAccount(kind=row.kind)).CREDENTIALS if row.kind in base.kinds() else ()

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Entered keys are tried at once."""
        super().save_model(request, obj, form, change)
        if form.entered_keys():
            key_checks.request_check(account=obj, at=clock.now())

    def response_add(self, request: HttpRequest, obj: Any, post_url_continue: str | None = None) -> HttpResponse:
        """To the page on which its keys are entered."""
        messages.info(request, _("Now enter the account's keys, and its webhook address at the gateway."))
        return redirect("admin:billing_gatewayaccount_change", obj.pk)

    @admin.display(description=gettext_lazy("webhook address"))
    def webhook_address(self, account: GatewayAccount) -> str:
        """What is to be entered at the gateway, with a button that copies it."""
        address = f"{settings.SITE_URL}{reverse('billing:webhook', args=[account.code])}"
        return format_html('<code data-copy="{}" data-label="{}">{}</code>', address, _("Copy"), address)

    @admin.display(description=gettext_lazy("keys"))
    def key_state(self, account: GatewayAccount) -> str:
        """Whether they are there, and what the gateway said of them."""
        if problem := gateway_accounts.problem_of(account):
            return problem
        check = KeyCheckTask.objects.filter(account=account).first()
        if check is None:
            return _("Set, and not tested yet.")
        if check.checked_at is None:
            return _("Being tested. Reload this page in a moment.")
        if check.problem:
            return _("They do not work: %(problem)s") % {"problem": check.problem}
        return _("They work: tested %(at)s.") % {
            "at": date_format(timezone.localtime(check.checked_at), "DATETIME_FORMAT")
        }


@admin.register(KeyCheckTask)
class KeyCheckTaskAdmin(WorkItemAdmin):
    """The work of asking gateways whether keys are right."""

    list_display = ("created_at", "account", "state", "checked_at", "problem", "attempts", "run_at", "last_error")
    list_select_related = ("account",)
    search_fields = ("account__code", "last_error")


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
