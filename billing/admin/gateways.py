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
from unfold.widgets import UnfoldAdminPasswordWidget, UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from billing import gateway_accounts, key_checks
from billing.gateways import base
from billing.gateways.credentials import CredentialField
from billing.models import GatewayAccount, GatewayCancelTask, GatewayPrice, GatewaySubscription, KeyCheckTask
from core import clock, site_settings
from core.admin_base import ActionContext, ReadOnlyAdmin, StaffAction, WorkItemAdmin
from core.admin_base.columns import EMPTY
from core.encryption import SecretFormField, UndecryptableError

KEY = "key_"  # before the name of a key, in the form
SECRET_INPUT = UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}, render_value=False)


class CurrenciesField(forms.CharField):
    """Currency codes in one line, with commas or spaces between them."""

    def prepare_value(self, value: Any) -> Any:
        """The codes as they are typed."""
        return ", ".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> Any:
        """The codes, each once."""
        return list(dict.fromkeys((super().to_python(value) or "").upper().replace(",", " ").split()))


def credential_fields(account: GatewayAccount) -> Sequence[CredentialField]:
    """The keys of the account's kind; none for an unknown kind. The stored ones are not read."""
    known = account.kind in base.kinds()
    return base.driver_for(GatewayAccount(kind=account.kind)).CREDENTIALS if known else ()


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

    class Meta:
        model = GatewayAccount
        fields = ("code", "kind", "name", "currencies", "position", "is_active")

    def clean_currencies(self) -> list[str]:
        """The codes of currencies."""
        codes: list[str] = self.cleaned_data["currencies"]
        for code in codes:
            site_settings.validate_currency(code)
        return codes

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Store the entered keys among the others; one that is shown and was emptied is taken out."""
        kept = stored_keys(self.instance)
        for each in credential_fields(self.instance):
            name = f"{KEY}{each.name}"
            if name in self.changed_data:
                kept[each.name] = str(self.cleaned_data[name]).strip()
        if any(name.startswith(KEY) for name in self.changed_data):
            self.instance.credentials = {name: value for name, value in kept.items() if value}
        return super().save(commit)


def key_inputs(account: GatewayAccount) -> dict[str, forms.Field]:
    """An input for each key of the account's kind. A secret says only whether it is set."""
    stored, inputs = stored_keys(account), dict[str, forms.Field]()
    for each in credential_fields(account):
        value = stored.get(each.name, "")
        if each.is_secret:
            state = _("Set. Leave empty to keep it.") if value else _("Not set.")
            help_text = f"{state} {each.help_text}".strip()
            inputs[KEY + each.name] = SecretFormField(
                label=str(each.label), max_length=500, help_text=help_text, widget=SECRET_INPUT
            )
        else:
            inputs[KEY + each.name] = forms.CharField(
                label=str(each.label),
                max_length=500,
                required=False,
                initial=value,
                help_text=str(each.help_text),
                widget=UnfoldAdminTextInputWidget(attrs={"autocomplete": "off"}),
            )
    return inputs


def test_keys(account: GatewayAccount, context: ActionContext) -> str:
    """Have the keys tried."""
    key_checks.request_check(account=account, at=context.at)
    return _("The keys are being tested. Reload this page in a moment.")


@admin.register(GatewayAccount)
class GatewayAccountAdmin(ReadOnlyAdmin):
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

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        """With an input for each key of the account's kind, where the user may set them."""
        sections = super().get_fieldsets(request, obj)
        if obj is None or not self.has_change_permission(request, obj):
            return sections
        return [(None, {"fields": [*sections[0][1]["fields"]]}), self._key_section(obj, sections[1]), *sections[2:]]

    @staticmethod
    def _key_section(account: GatewayAccount, section: tuple[Any, Any]) -> tuple[Any, Any]:
        title, options = section
        return title, {"fields": [*options["fields"], *key_inputs(account)]}

    def get_editable(self, request: HttpRequest, obj: Any) -> tuple[str, ...]:
        """The keys of its kind too."""
        return (*super().get_editable(request, obj), *(key_inputs(obj) if obj else ()))

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002
        """The form with an input for each key."""
        shown = set(self.get_readonly_fields(request, obj)) & set(GatewayAccountForm.base_fields)
        inputs: dict[str, Any] = dict.fromkeys(shown)  # what is shown as text has no input
        if obj and self.has_change_permission(request, obj):
            inputs |= key_inputs(obj)
        return super().get_form(request, obj, change, form=type("AccountForm", (GatewayAccountForm,), inputs), **kwargs)

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: Any) -> None:
        """Entered keys are stored in the credentials column, and tried at once."""
        has_keys = any(name.startswith(KEY) for name in form.changed_data)
        if change and has_keys:
            obj.save(update_fields=["credentials"])
        super().save_model(request, obj, form, change)
        if has_keys:
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
