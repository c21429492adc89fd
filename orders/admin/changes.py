"""The admin of plan changes."""

from typing import Any

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from core.admin_base import ReadOnlyAdmin
from orders.changes.models import PlanChange


@admin.register(PlanChange)
class PlanChangeAdmin(ReadOnlyAdmin):
    """What customers changed, or were quoted, of their servers' plans, add-ons and billing cycles."""

    list_display = ("item", "organization", "status", "old_plan", "new_plan", "due_minor", "effective_at", "expires_at")
    list_filter = ("status", "currency", "effective_at")
    list_select_related = ("item", "organization", "old_plan_price__plan", "plan_price__plan")
    search_fields = ("item__server_name", "organization__name", "invoice__number")
    date_hierarchy = "quoted_at"
    ordering = ("-quoted_at",)
    sections = (
        (None, ("item", "organization", "requested_by", "status", "failure")),
        (_("Change"), ("old_plan_price", "old_term", "plan_price", "quote", "due_minor", "recurring_minor")),
        (_("Made of"), ("subscription", "invoice", "reservation", "is_stock_taken")),
        (_("Dates"), ("quoted_at", "expires_at", "effective_at", "applied_at")),
        (_("Details"), ("id", "currency", "limits", "created_at", "updated_at")),
    )

    @admin.display(description=_("from"))
    def old_plan(self, change: PlanChange) -> Any:
        """The plan before."""
        return change.old_plan_price.plan

    @admin.display(description=_("to"))
    def new_plan(self, change: PlanChange) -> Any:
        """The plan after."""
        return change.plan_price.plan

    @admin.display(description=_("quote"))
    def quote(self, change: PlanChange) -> str:
        """The lines as the customer saw them."""
        prices = [f"{line['description']}: {line['amount']}" for line in change.quoted_lines]
        return "; ".join([*change.changed_units, *prices])
