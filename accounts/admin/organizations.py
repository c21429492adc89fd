"""Organizations and who belongs to them."""

from typing import Any

from django.contrib import admin
from django.forms import ModelForm
from django.http import HttpRequest

from accounts import services
from accounts.models import BILLING_FIELDS, Membership, Organization
from core.admin_base import ReadOnlyAdmin, ReadOnlyInline


class MembershipInline(ReadOnlyInline):
    """The members of an organization."""

    model = Membership
    columns = ("user", "role", "created_at")
    related = ("user", "organization")


@admin.register(Organization)
class OrganizationAdmin(ReadOnlyAdmin):
    """Who owns and pays for servers. A change here does not alter invoices already issued."""

    editable = BILLING_FIELDS
    list_display = ("name", "owner", "is_personal", "country", "currency", "created_at")
    list_filter = ("is_personal", "currency", "country")
    list_select_related = ("owner",)
    search_fields = ("name", "slug", "owner__email", "billing_email", "billing_name", "=tax_id")
    date_hierarchy = "created_at"
    inlines = (MembershipInline,)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm[Any], change: Any) -> None:
        """Use the service that customers use too; it audits what changed."""
        present = Organization.objects.get(pk=obj.pk)
        services.change_billing_contact(organization=present, fields=form.cleaned_data, actor=request.user)  # type: ignore[arg-type]


@admin.register(Membership)
class MembershipAdmin(ReadOnlyAdmin):
    """Who is a member of which organization."""

    list_display = ("user", "organization", "role", "created_at")
    list_filter = ("role",)
    list_select_related = ("user", "organization")
    search_fields = ("user__email", "organization__name")
