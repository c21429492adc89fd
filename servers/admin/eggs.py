"""Nests and eggs, read-only: a sync copies them from the panel."""

from django.contrib import admin

from core.admin_base import ReadOnlyAdmin, ReadOnlyInline
from servers.models import Egg, EggVariable, Nest


class VariableInline(ReadOnlyInline):
    """The variables of an egg."""

    model = EggVariable
    columns = ("name", "env_variable", "default_value", "rules", "is_user_viewable", "is_user_editable", "is_present")


class EggInline(ReadOnlyInline):
    """The eggs of a nest."""

    model = Egg
    columns = ("name", "ref", "author", "is_present")


@admin.register(Nest)
class NestAdmin(ReadOnlyAdmin):
    """A group of eggs."""

    list_display = ("name", "provider", "ref", "author", "is_present")
    list_filter = ("provider", "is_present")
    list_select_related = ("provider",)
    search_fields = ("name",)
    inlines = (EggInline,)


@admin.register(Egg)
class EggAdmin(ReadOnlyAdmin):
    """The panel's template for installing and starting one game."""

    list_display = ("name", "nest", "ref", "author", "is_present", "updated_at")
    list_filter = ("nest", "is_present")
    list_select_related = ("nest",)
    search_fields = ("name", "author", "=ref")
    ordering = ("name",)
    inlines = (VariableInline,)


@admin.register(EggVariable)
class EggVariableAdmin(ReadOnlyAdmin):
    """A variable of an egg, with its rules."""

    list_display = ("env_variable", "egg", "name", "default_value", "rules", "is_user_editable", "is_present")
    list_filter = ("is_user_editable", "is_present", "egg")
    list_select_related = ("egg",)
    search_fields = ("env_variable", "name", "egg__name")
