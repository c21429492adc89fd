"""What every app's staff pages stand on: rows shown safely, and deeds done through services."""

from core.staff.deeds import Act, Deed, DeedForm, Deeds, ReasonForm, Refused
from core.staff.record import Record, RecordInline
from core.staff.work import WorkRecord

__all__ = ["Act", "Deed", "DeedForm", "Deeds", "ReasonForm", "Record", "RecordInline", "Refused", "WorkRecord"]
