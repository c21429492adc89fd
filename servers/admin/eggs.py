"""Game templates as the panel has them: mirrored by sync, read here."""

from django.contrib import admin

from core.staff import Record, RecordInline
from servers.models import Egg, EggProperty, EggVariable, Nest


class VariableInline(RecordInline):
    """An egg's settings."""

    model = EggVariable
    names = ("name", "env_variable", "default_value", "rules", "is_user_viewable", "is_user_editable", "is_present")


class PropertyInline(RecordInline):
    """Whatever else is kept about an egg."""

    model = EggProperty
    names = ("key", "value")


class EggInline(RecordInline):
    """The eggs of a nest."""

    model = Egg
    names = ("name", "ref", "author", "is_present")


@admin.register(Nest)
class NestAdmin(Record):
    """A family of eggs."""

    list_display = ("name", "provider", "ref", "author", "is_present")
    list_filter = ("provider", "is_present")
    list_select_related = ("provider",)
    search_fields = ("name",)
    inlines = (EggInline,)


@admin.register(Egg)
class EggAdmin(Record):
    """How one game is installed and started."""

    list_display = ("name", "nest", "ref", "author", "is_present", "updated_at")
    list_filter = ("nest", "is_present")
    list_select_related = ("nest",)
    search_fields = ("name", "author", "=ref")
    ordering = ("name",)
    inlines = (VariableInline, PropertyInline)


@admin.register(EggVariable)
class EggVariableAdmin(Record):
    """A setting of an egg with its rules."""

    list_display = ("env_variable", "egg", "name", "default_value", "rules", "is_user_editable", "is_present")
    list_filter = ("is_user_editable", "is_present", "egg")
    list_select_related = ("egg",)
    search_fields = ("env_variable", "name", "egg__name")


@admin.register(EggProperty)
class EggPropertyAdmin(Record):
    """Anything else about an egg, by key."""

    list_display = ("egg", "key", "value")
    list_filter = ("key",)
    list_select_related = ("egg",)
    search_fields = ("key", "egg__name")
