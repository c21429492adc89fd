"""core's staff pages."""

from core.admin.audit import AuditEntryAdmin, AuditLinkAdmin
from core.admin.settings import SettingAdmin
from core.admin.trail import LogEntryAdmin

__all__ = ["AuditEntryAdmin", "AuditLinkAdmin", "LogEntryAdmin", "SettingAdmin"]
