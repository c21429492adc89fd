"""core's tables."""

from core.models.audit import AuditCheckpoint, AuditEntry, AuditLink, Outcome
from core.models.base import Entity, Timestamped, choices_check, iff
from core.models.coalesced_work import CoalescedWorkItem
from core.models.kinds import RegisteredIn
from core.models.lanes import Lane
from core.models.lookups import Among
from core.models.setting import Setting, SettingType
from core.models.state_machine import IllegalTransition, StateMachine
from core.models.status import StatusChoices, StatusField, Tone
from core.models.work_item import UNTRIED, WorkItem, WorkState, first_due

__all__ = [
    "UNTRIED",
    "Among",
    "AuditCheckpoint",
    "AuditEntry",
    "AuditLink",
    "CoalescedWorkItem",
    "Entity",
    "IllegalTransition",
    "Lane",
    "Outcome",
    "RegisteredIn",
    "Setting",
    "SettingType",
    "StateMachine",
    "StatusChoices",
    "StatusField",
    "Timestamped",
    "Tone",
    "WorkItem",
    "WorkState",
    "choices_check",
    "first_due",
    "iff",
]
