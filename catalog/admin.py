"""What is for sale. Prices are never edited: a new one is offered and supersedes the one before."""

from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import F
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.forms import PaginationInlineFormSet

from catalog import services
from catalog.models import Addon, AddonPrice, Plan, PlanPrice, Product, Term
from core import site_settings
from core.money import CODE, Money
from core.staff import Record, RecordInline
from core.staff.deeds import dress


class LinesField(forms.CharField):
    """A list of texts, one a line."""

    widget = forms.Textarea(attrs={"rows": 6})

    def prepare_value(self, value: Any) -> Any:
        """The list as lines."""
        return "\n".join(str(line) for line in value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        """The lines that hold something."""
        text = value if isinstance(value, str) else ""
        return [line.strip() for line in text.splitlines() if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        """Whether the lines differ."""
        return self.to_python(data) != list(initial or [])


class ProductForm(forms.ModelForm):  # type: ignore[type-arg]
    """A product; its features are typed one a line."""

    features = LinesField(required=False, label=_("Features"), help_text=_("One a line."))

    class Meta:
        model = Product
        fields = ("features",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "features" in self.fields:
            dress(self)


class NewPriceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A price to be offered from now on, typed in major units."""

    amount = forms.CharField(label=_("Amount"), max_length=20, help_text=_("Such as 8.00"))

    class Meta:
        fields = ("term", "currency", "stripe_price_id")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "term" in self.fields:  # not in the lines of prices that were offered, which are only read
            self.fields["term"].initial = Term.MONTHLY
            self.fields["currency"].initial = site_settings.get("shop.currency")
        dress(self)

    def clean_currency(self) -> str:
        """Three capital letters."""
        currency: str = self.cleaned_data["currency"].strip().upper()
        if not CODE.fullmatch(currency):
            raise ValidationError(_("A currency is three capital letters, such as USD."))
        return currency

    def clean(self) -> dict[str, Any]:
        """Amounts as exact money of the currency."""
        cleaned = super().clean() or self.cleaned_data
        for name in ("amount", "setup_fee"):
            if name in self.fields and name in cleaned and "currency" in cleaned:
                cleaned[name] = self._money(name, cleaned[name] or "0", cleaned["currency"])
        return cleaned

    def _money(self, name: str, text: str, currency: str) -> Money:
        try:
            money = Money.parse(text.strip(), currency)
        except ValueError:
            self.add_error(name, _("This is not an amount of %(currency)s.") % {"currency": currency})
            return Money.zero(currency)
        if not 0 <= money.minor < 10**12:
            self.add_error(name, _("The amount is out of bounds."))
        return money

    def validate_constraints(self) -> None:
        """Left to the service: the present price, which this one supersedes, is no obstacle."""


class NewPlanPriceForm(NewPriceForm):
    """A plan's price may come with a setup fee."""

    setup_fee = forms.CharField(label=_("Setup fee"), max_length=20, required=False)


class PriceFormSet(PaginationInlineFormSet, BaseInlineFormSet):  # type: ignore[type-arg, misc]
    """Offers what was typed through the catalog's services, whoever typed it on record."""

    actor: Any = None

    def save_new(self, form: Any, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """The price now offered."""
        chosen = {name: form.cleaned_data[name] for name in ("term", "amount", "stripe_price_id")}
        chosen |= {"actor": self.actor, "at": timezone.now()}
        if "setup_fee" in form.cleaned_data:  # a plan's form has one
            chosen["setup_fee_minor"] = form.cleaned_data["setup_fee"].minor
        return services.offer_price(item=self.instance, **chosen)


class PriceInline(RecordInline):
    """Every price that was ever offered, and a line for the next one."""

    formset = PriceFormSet
    extra = 1
    max_num = 500
    ordering = (F("superseded_at").desc(nulls_first=True), "term", "currency")
    is_linked = False
    names: ClassVar[tuple[str, ...]] = ("term", "currency", "amount", "stripe_price_id", "offered_at", "superseded_at")
    asked: ClassVar[tuple[str, ...]] = ("term", "currency", "amount", "stripe_price_id")
    verbose_name = _("price")
    verbose_name_plural = _("prices: a new one supersedes the one before, subscriptions keep theirs")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All but the inputs of the next price."""
        return [name for name in self.names if name not in self.asked]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Offering a price has a permission of its own."""
        return obj is not None and self._may_offer(request)

    def _may_offer(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm(f"catalog.add_{self.model._meta.model_name}"))

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """The form set, knowing who offers."""
        formset = super().get_formset(request, obj, **kwargs)
        formset.actor = request.user
        return formset


class PlanPriceInline(PriceInline):
    """A plan's prices."""

    model = PlanPrice
    form = NewPlanPriceForm
    names = ("term", "currency", "amount", "setup_fee", "stripe_price_id", "offered_at", "superseded_at")
    asked = ("term", "currency", "amount", "setup_fee", "stripe_price_id")


class AddonPriceInline(PriceInline):
    """An add-on's prices."""

    model = AddonPrice
    form = NewPriceForm


class PlanInline(RecordInline):
    """A product's plans."""

    model = Plan
    names = ("code", "name", "cpu_percent", "memory_mib", "disk_mib", "stock", "is_active")


@admin.register(Product)
class ProductAdmin(Record):
    """What customers look for by name."""

    form = ProductForm
    editable = ("name", "slug", "kind", "tagline", "description", "features", "category", "is_active", "position")
    addable = editable
    list_display = ("name", "kind", "category", "is_active", "position", "updated_at")
    list_filter = ("kind", "category", "is_active")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (PlanInline,)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """A slug is made once; later it may stand in links."""
        return {} if obj else self.prepopulated_fields


@admin.register(Plan)
class PlanAdmin(Record):
    """A size of a product, with its prices."""

    editable = (
        *("name", "cpu_percent", "memory_mib", "disk_mib", "network_mbps", "databases", "backups", "ports"),
        *("cost_minor", "cost_currency", "stock", "is_active", "position"),
    )
    addable = ("product", "code", *editable)
    list_display = ("code", "product", "name", "cpu_percent", "memory_mib", "disk_mib", "stock", "is_active")
    list_filter = ("product", "is_active")
    list_select_related = ("product",)
    search_fields = ("code", "name", "product__name")
    inlines = (PlanPriceInline,)
    sections = (
        (None, ("product", "code", "name", "is_active", "position")),
        (_("Size"), ("cpu_percent", "memory_mib", "disk_mib", "network_mbps", "databases", "backups", "ports")),
        (_("Business"), ("stock", "cost_minor", "cost_currency")),
        (_("Record"), ("id", "created_at", "updated_at")),
    )


@admin.register(Addon)
class AddonAdmin(Record):
    """Something added to a server for a price."""

    editable = ("name", "description", "quantity", "products", "is_active", "position")
    addable = ("code", "kind", *editable)
    list_display = ("name", "code", "kind", "quantity", "is_active", "position")
    list_filter = ("kind", "is_active")
    search_fields = ("name", "code")
    filter_horizontal = ("products",)
    inlines = (AddonPriceInline,)


class CurrentFilter(admin.SimpleListFilter):
    """Prices that are offered now, or that were."""

    title = _("offered")
    parameter_name = "offered"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Now or before."""
        return [("now", _("Now")), ("before", _("Before"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """By whether a later price superseded it."""
        return queryset.filter(superseded_at__isnull=self.value() == "now") if self.value() else queryset


class PriceAdmin(Record):
    """Prices, to read; a new one is offered on the page of what it is for."""

    list_filter = (CurrentFilter, "term", "currency")
    date_hierarchy = "offered_at"
    ordering = ("-offered_at",)


@admin.register(PlanPrice)
class PlanPriceAdmin(PriceAdmin):
    """Plans' prices."""

    list_display = ("plan", "term", "amount_minor", "setup_fee_minor", "offered_at", "superseded_at", "stripe_price_id")
    list_select_related = ("plan",)
    search_fields = ("plan__code", "=stripe_price_id")


@admin.register(AddonPrice)
class AddonPriceAdmin(PriceAdmin):
    """Add-ons' prices."""

    list_display = ("addon", "term", "amount_minor", "offered_at", "superseded_at", "stripe_price_id")
    list_select_related = ("addon",)
    search_fields = ("addon__code", "=stripe_price_id")
