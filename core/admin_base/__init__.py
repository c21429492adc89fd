"""What every app's admin builds on: read-only pages, staff actions, and columns for money, sizes and statuses."""

from core.admin_base.actions import ActionContext, ActionError, ActionForm, ReasonForm, StaffAction
from core.admin_base.amounts import clean_amount, clean_rate
from core.admin_base.model_admin import ReadOnlyAdmin, ReadOnlyInline
from core.admin_base.work_items import WORK_FIELDS, WorkItemAdmin

__all__ = [
    "WORK_FIELDS",
    "ActionContext",
    "ActionError",
    "ActionForm",
    "ReadOnlyAdmin",
    "ReadOnlyInline",
    "ReasonForm",
    "StaffAction",
    "WorkItemAdmin",
    "clean_amount",
    "clean_rate",
]
