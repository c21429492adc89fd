"""Blueprints: how what is sold is built."""

from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from catalog.models import Plan, Product
from catalog.queries import plans_for_sale
from core.admin_base import ReadOnlyAdmin
from servers import builds
from servers.drivers import registry
from servers.drivers.base import BuildFacts
from servers.live.players import suggested_query
from servers.models import Blueprint, BlueprintImage, Build, QueryProtocol

ASKED = ("query_protocol", "query_port")
# What a build needs, and what it has besides; everything else stays empty.
NEEDED = {Build.GAME: ("egg",), Build.MACHINE: ("plan", "plan_ref", "image"), Build.CONTAINER: ("image",)}
OPTIONAL = {
    Build.GAME: ("plan", "image", "startup", "environment", *ASKED),
    Build.MACHINE: ("user_data",),
    Build.CONTAINER: ("plan", "startup", "environment", "container_ports", "volumes", *ASKED),
}
PARTS = frozenset(name for names in (*NEEDED.values(), *OPTIONAL.values()) for name in names)
MAX_PORT = 65_535


def builds_with(name: str) -> tuple[Build, ...]:
    """The builds that have the field: all, unless it is a part of some."""
    return tuple(each for each in Build if name not in PARTS or name in (*NEEDED[each], *OPTIONAL[each]))


class BlueprintForm(forms.ModelForm):  # type: ignore[type-arg]
    """A blueprint whose parts fit together."""

    class Meta:
        model = Blueprint
        fields = "__all__"  # noqa: DJ007 - the page says which

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        asked: Any = self.fields.get("query_protocol")
        if asked is not None:
            asked.required, asked.choices = False, [("", _("As the egg suggests")), *QueryProtocol.choices]
            if self.instance._state.adding:
                self.initial["query_protocol"] = ""

    def clean_environment(self) -> Any:
        """An object of texts."""
        environment = self.cleaned_data["environment"]
        if not isinstance(environment, dict) or not all(isinstance(value, str) for value in environment.values()):
            raise ValidationError(_('A JSON object of texts, such as {"MAX_PLAYERS": "20"}.'))
        return environment

    def clean_container_ports(self) -> Any:
        """Port numbers."""
        ports = self.cleaned_data["container_ports"]
        if not isinstance(ports, list) or not all(type(port) is int and 0 < port <= MAX_PORT for port in ports):
            raise ValidationError(_("A JSON list of port numbers, such as [80, 443]."))
        return ports

    def clean_volumes(self) -> Any:
        """Absolute folders."""
        volumes = self.cleaned_data["volumes"]
        if not isinstance(volumes, list) or not all(isinstance(path, str) and path[:1] == "/" for path in volumes):
            raise ValidationError(_('A JSON list of folders, such as ["/data"].'))
        return volumes

    def clean(self) -> dict[str, Any]:
        """The plan belongs to the product, the egg to the provider, and the build has the parts that its kind has."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        plan, product = cleaned.get("plan"), cleaned.get("product") or self._present("product")
        if plan and product and plan.product_id != product.pk:
            self.add_error("plan", _("This plan belongs to another product."))
        egg, provider = cleaned.get("egg"), cleaned.get("provider") or self._present("provider")
        if egg and provider and egg.nest.provider_id != provider.pk:
            self.add_error("egg", _("This egg belongs to another provider."))
        build = Build(cleaned.get("build") or self.instance.build)
        facts = registry.facts().get(provider.kind) if provider else None
        if facts and build not in facts.builds and "build" in self.fields:
            self.add_error("build", _("Providers of this kind cannot make this build."))
        image = cleaned.get("image")
        if facts and image and (problem := builds.image_problem(provider, image)):
            self.add_error("image", problem)
        for name in sorted(PARTS & cleaned.keys()):
            if name in NEEDED[build] and not cleaned[name]:
                self.add_error(name, _("This build needs it."))
            elif cleaned[name] and cleaned[name] != QueryProtocol.NONE and build not in builds_with(name):
                self.add_error(name, _("This build has no such part. Leave it empty."))
        if cleaned.get("query_protocol") == "":
            suggested = suggested_query(egg) if egg else (QueryProtocol.NONE, "")
            cleaned["query_protocol"], query_port = suggested
            cleaned["query_port"] = cleaned.get("query_port") or query_port
        if facts and build in facts.builds and product and cleaned.get("is_active"):
            self._require_deliverable(facts.builds[build], plan or self._present("plan"), product)
        return cleaned

    def _require_deliverable(self, facts: BuildFacts, plan: Plan | None, product: Product) -> None:
        """The build can make the plans that it is for, and deliver the add-ons of their product."""
        for each in [plan] if plan else plans_for_sale(product):
            for text in builds.plan_problems(facts, each).values():
                self.add_error("plan" if "plan" in self.fields else None, f"{each}: {text}")
        for addon in product.addons.filter(is_active=True).exclude(kind__in=facts.addons):
            reason = _("Servers built this way cannot have the add-on {addon}, which is offered with this product.")
            self.add_error("product" if "product" in self.fields else None, reason.format(addon=addon.name))

    def _present(self, name: str) -> Any:
        return getattr(self.instance, name) if getattr(self.instance, f"{name}_id") else None


@admin.register(Blueprint)
class BlueprintAdmin(ReadOnlyAdmin):
    """How a product's plans are built at a provider, and in which regions."""

    form = BlueprintForm
    editable = (
        "name",
        "egg",
        "plan_ref",
        "image",
        "startup",
        "environment",
        *ASKED,
        "user_data",
        "container_ports",
        "volumes",
        "regions",
        "required_tags",
        "preferred_tags",
        "position",
        "install_minutes",
        "is_active",
    )
    addable = ("product", "plan", "provider", "build", *editable)
    list_display = ("name", "product", "plan", "provider", "build", "egg", "is_active", "problem")
    list_filter = ("is_active", "provider", "build", "product")
    list_select_related = ("product", "plan", "provider", "egg")
    search_fields = ("name", "product__name", "plan__code", "egg__name")
    autocomplete_fields = ("egg", "plan")

    def get_editable(self, request: HttpRequest, obj: Any) -> tuple[str, ...]:
        """Of a blueprint that exists, only the parts that its build has."""
        return tuple(name for name in super().get_editable(request, obj) if not obj or obj.build in builds_with(name))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> list[tuple[Any, Any]]:
        """Only what the build has; of one that is to be added, what only some builds have stands under their names."""
        if obj is not None:
            ((title, options),) = super().get_fieldsets(request, obj)
            shown = [each for each in options["fields"] if obj.build in builds_with(getattr(each, "__name__", each))]
            return [(title, options | {"fields": shown})]
        groups: dict[tuple[Build, ...], list[str]] = {}
        for name in self.addable:
            groups.setdefault(builds_with(name), []).append(name)
        return [
            (None if len(found) == len(Build) else _only(found), {"fields": names}) for found, names in groups.items()
        ]

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: Any) -> None:
        """Find out at once whether something can be built from it."""
        super().save_model(request, obj, form, change)
        builds.check_blueprints(obj.provider_id)


def _only(found: Sequence[Build]) -> str:
    return _("Only for: {builds}").format(builds=", ".join(str(each.label) for each in found))


@admin.register(BlueprintImage)
class BlueprintImageAdmin(ReadOnlyAdmin):
    """The images that customers choose from, by the provider's own names."""

    editable = ("ref",)
    addable = ("blueprint", "image", *editable)
    list_display = ("image", "blueprint", "ref")
    list_filter = ("image",)
    list_select_related = ("blueprint", "image")
    search_fields = ("blueprint__name", "image__name", "ref")
