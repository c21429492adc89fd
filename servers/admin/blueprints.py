"""Blueprints: how what is sold is built."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from core.admin_base import ReadOnlyAdmin
from servers.models import Blueprint


class BlueprintForm(forms.ModelForm):  # type: ignore[type-arg]
    """A blueprint whose parts fit together."""

    class Meta:
        model = Blueprint
        fields = "__all__"  # noqa: DJ007 - the page says which

    def clean_environment(self) -> Any:
        """An object of texts."""
        environment = self.cleaned_data["environment"]
        if not isinstance(environment, dict) or not all(isinstance(value, str) for value in environment.values()):
            raise ValidationError(_('A JSON object of texts, such as {"MAX_PLAYERS": "20"}.'))
        return environment

    def clean(self) -> dict[str, Any]:
        """The plan belongs to the product, the egg to the provider."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        plan, product = cleaned.get("plan"), cleaned.get("product") or self._present("product")
        if plan and product and plan.product_id != product.pk:
            self.add_error("plan", _("This plan belongs to another product."))
        egg, provider = cleaned.get("egg"), cleaned.get("provider") or self._present("provider")
        if egg and provider and egg.nest.provider_id != provider.pk:
            self.add_error("egg", _("This egg belongs to another provider."))
        return cleaned

    def _present(self, name: str) -> Any:
        return getattr(self.instance, name) if getattr(self.instance, f"{name}_id") else None


@admin.register(Blueprint)
class BlueprintAdmin(ReadOnlyAdmin):
    """Which egg, image and environment a product's plans are built with, and in which locations."""

    form = BlueprintForm
    editable = (
        "name",
        "egg",
        "plan_ref",
        "image",
        "startup",
        "environment",
        "locations",
        "install_minutes",
        "is_active",
    )
    addable = ("product", "plan", "provider", *editable)
    list_display = ("name", "product", "plan", "provider", "egg", "is_active")
    list_filter = ("is_active", "provider", "product")
    list_select_related = ("product", "plan", "provider", "egg")
    search_fields = ("name", "product__name", "plan__code", "egg__name")
    autocomplete_fields = ("egg", "plan")
    filter_horizontal = ("locations",)
