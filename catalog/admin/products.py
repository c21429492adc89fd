"""What is for sale. Prices are never edited: a new price supersedes the current one."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import ValidationError
from django.db.models import F
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.forms import PaginationInlineFormSet
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from catalog import events, services
from catalog.admin.amounts import AmountsForm
from catalog.models import Addon, AddonPrice, Image, Plan, PlanPrice, Price, Product, Term
from core import clock, site_settings
from core.admin_base import ReadOnlyAdmin, ReadOnlyInline, clean_amount, clean_rate
from core.money import Money, Rate


class LinesField(forms.CharField):
    """A list of texts, one per line."""

    widget = UnfoldAdminTextareaWidget(attrs={"rows": 6})

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
    """A product; its features are entered one per line."""

    features = LinesField(required=False, label=_("Features"), help_text=_("One per line."))

    class Meta:
        model = Product
        fields = ("features",)


class NewPriceForm(forms.ModelForm):  # type: ignore[type-arg]
    """A price that is offered from now on."""

    amount = forms.CharField(
        label=_("Amount"),
        max_length=20,
        help_text=_("Such as 8.00, or 0.0069 for an hour"),
        widget=UnfoldAdminTextInputWidget,
    )

    class Meta:
        fields = ("term", "currency")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "term" in self.fields:  # absent where the price is read-only
            self.fields["term"].initial = Term.MONTHLY
            self.fields["currency"].initial = site_settings.get("shop.currency")

    def clean_currency(self) -> str:
        """A currency's code."""
        currency: str = self.cleaned_data["currency"].strip().upper()
        site_settings.validate_currency(currency)
        return currency

    def clean(self) -> dict[str, Any]:
        """The amounts as Money; the price of an hour as a Rate."""
        cleaned = super().clean() or self.cleaned_data
        for name in ("amount", "setup_fee"):
            if name in self.fields and name in cleaned and "currency" in cleaned:
                is_rate = name == "amount" and cleaned.get("term") == Term.HOURLY
                read: Callable[[str, str], Money | Rate] = clean_rate if is_rate else clean_amount
                try:
                    cleaned[name] = read(cleaned[name] or "0", cleaned["currency"])
                except ValidationError as error:
                    self.add_error(name, error)
                    continue
                if not 0 <= cleaned[name].minor < 10**12:
                    self.add_error(name, _("The amount is out of bounds."))
        return cleaned

    def validate_constraints(self) -> None:
        """Left to the service, which first supersedes the current price."""


class NewPlanPriceForm(NewPriceForm):
    """A plan's price can have a setup fee."""

    setup_fee = forms.CharField(label=_("Setup fee"), max_length=20, required=False, widget=UnfoldAdminTextInputWidget)


class PriceFormSet(PaginationInlineFormSet, BaseInlineFormSet):  # type: ignore[type-arg, misc]
    """Offers the new prices through the catalog's services, which audit who did."""

    actor: Any = None

    def save_new(self, form: Any, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Offer the price."""
        chosen = {name: form.cleaned_data[name] for name in ("term", "amount")}
        chosen |= {"actor": self.actor, "at": clock.now()}
        if "setup_fee" in form.cleaned_data:  # a plan's form has one
            chosen["setup_fee_minor"] = form.cleaned_data["setup_fee"].minor
        return services.offer_price(item=self.instance, **chosen)


class PriceInline(ReadOnlyInline):
    """Every price that was ever offered, and a row for the next one."""

    formset = PriceFormSet
    extra = 1
    max_num = 500
    ordering = (F("superseded_at").desc(nulls_first=True), "term", "currency")
    has_link = False
    columns: ClassVar[tuple[str, ...]] = (
        "term",
        "currency",
        "amount",
        "offered_at",
        "superseded_at",
    )
    inputs: ClassVar[tuple[str, ...]] = ("term", "currency", "amount")
    verbose_name = _("price")
    verbose_name_plural = _("prices. A new price applies to new orders; existing subscriptions keep theirs")

    @admin.display(description=_("amount"))
    def amount(self, price: Price) -> Money | Rate | None:
        """The price of one period, exactly; nothing in a row that is still to be filled in."""
        return None if price.amount_minor is None else price.unit_price

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All but the inputs of the new price."""
        return [name for name in flatten_fieldsets(self.get_fieldsets(request, obj)) if name not in self.inputs]

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Offering a price has a permission of its own."""
        return obj is not None and bool(request.user.has_perm(f"catalog.add_{self.model._meta.model_name}"))

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """The formset, with the user who offers."""
        formset = super().get_formset(request, obj, **kwargs)
        formset.actor = request.user
        return formset


class PlanPriceInline(PriceInline):
    """A plan's prices."""

    model = PlanPrice
    form = NewPlanPriceForm
    inputs = ("term", "currency", "amount", "setup_fee")
    columns = (*inputs, "offered_at", "superseded_at")


class AddonPriceInline(PriceInline):
    """An add-on's prices."""

    model = AddonPrice
    form = NewPriceForm


class PlanInline(ReadOnlyInline):
    """A product's plans."""

    model = Plan
    columns = ("code", "name", "cpu_percent", "memory_mib", "disk_mib", "stock", "is_active")


@admin.register(Product)
class ProductAdmin(ReadOnlyAdmin):
    """A game, a VPS or a container that customers choose."""

    form = ProductForm
    editable = ("name", "slug", "kind", "tagline", "description", "features", "category", "is_active", "position")
    addable = editable
    list_display = ("name", "kind", "category", "is_active", "position", "updated_at")
    list_filter = ("kind", "category", "is_active")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (PlanInline,)

    def get_prepopulated_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Only when adding: later the slug is part of links."""
        return {} if obj else self.prepopulated_fields


class PlanForm(AmountsForm):
    """A plan; it is not sold before it has a price, which is offered on its page."""

    amount_names = ("cost_minor",)
    currency_name = "cost_currency"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance._state.adding and "is_active" in self.fields:
            self.initial["is_active"] = False

    def clean(self) -> dict[str, Any]:
        """Refuse an active plan without a price, now or in the new row of prices."""
        cleaned = super().clean()
        entered = any(name.startswith("prices-") and name.endswith("-amount") and self.data[name] for name in self.data)
        has_price = not self.instance._state.adding and self.instance.prices.filter(superseded_at=None).exists()
        if cleaned.get("is_active") and not entered and not has_price:
            self.add_error("is_active", _("A plan without a price cannot be sold. Save it first, then offer a price."))
        return cleaned


@admin.register(Plan)
class PlanAdmin(ReadOnlyAdmin):
    """A size of a product, with its prices."""

    form = PlanForm
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


@admin.register(Image)
class ImageAdmin(ReadOnlyAdmin):
    """Operating systems of machines."""

    editable = ("name", "plans", "is_active", "position")
    addable = ("code", *editable)
    list_display = ("name", "code", "is_active", "position")
    list_filter = ("is_active",)
    search_fields = ("name", "code")


class AddonForm(AmountsForm):
    """An add-on, offered only where it can be delivered."""

    amount_names = ("cost_minor",)
    currency_name = "cost_currency"

    class Meta:
        model = Addon
        fields = "__all__"

    def clean(self) -> dict[str, Any]:
        """Refuse products whose servers cannot have it, as the receivers of `addon_entered` say."""
        cleaned = super().clean()
        kind = cleaned.get("kind") or self.instance.kind
        if cleaned.get("is_active") and kind and cleaned.get("products"):
            try:
                events.addon_entered.send(Addon, kind=kind, products=cleaned["products"])
            except ValidationError as error:
                self.add_error("products", error)
        return cleaned


@admin.register(Addon)
class AddonAdmin(ReadOnlyAdmin):
    """An optional extra of a server, with its prices."""

    form = AddonForm
    editable = (
        *("name", "description", "quantity", "max_units", "products"),
        *("cost_minor", "cost_currency", "is_active", "position"),
    )
    addable = ("code", "kind", *editable)
    list_display = ("name", "code", "kind", "quantity", "is_active", "position")
    list_filter = ("kind", "is_active")
    search_fields = ("name", "code")
    inlines = (AddonPriceInline,)


class CurrentFilter(admin.SimpleListFilter):
    """Current or earlier prices."""

    title = _("price")
    parameter_name = "offered"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Any:
        """Current or earlier."""
        return [("now", _("Current")), ("before", _("Earlier"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """By whether a later price superseded it."""
        return queryset.filter(superseded_at__isnull=self.value() == "now") if self.value() else queryset


class PriceAdmin(ReadOnlyAdmin):
    """Prices, read-only: a new one is offered on the page of its plan or add-on."""

    list_filter = (CurrentFilter, "term", "currency")
    date_hierarchy = "offered_at"
    ordering = ("-offered_at",)


@admin.register(PlanPrice)
class PlanPriceAdmin(PriceAdmin):
    """Plans' prices."""

    list_display = ("plan", "term", "unit_price", "setup_fee_minor", "offered_at", "superseded_at")
    list_select_related = ("plan",)
    search_fields = ("plan__code",)


@admin.register(AddonPrice)
class AddonPriceAdmin(PriceAdmin):
    """Add-ons' prices."""

    list_display = ("addon", "term", "unit_price", "offered_at", "superseded_at")
    list_select_related = ("addon",)
    search_fields = ("addon__code",)
