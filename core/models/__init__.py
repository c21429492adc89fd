"""core's tables."""

from core.models.audit import AuditEntry, AuditLink
from core.models.base import Entity, Timestamped, choices_check
from core.models.moves import IllegalMove, Moves
from core.models.setting import Setting, SettingType
from core.models.work_item import WorkItem, WorkState

__all__ = [
    "AuditEntry",
    "AuditLink",
    "Entity",
    "IllegalMove",
    "Moves",
    "Setting",
    "SettingType",
    "Timestamped",
    "WorkItem",
    "WorkState",
    "choices_check",
]
