"""Reports for staff: `REPORTS` lists them as the pages do."""

from billing.reports.base import CellType, Column, Report, rows_of
from billing.reports.books import EARNED, FAILED, FEES, JOURNAL, REVENUE, TAX, UNPAID
from billing.reports.margins import MARGIN, MARGIN_BY_LOCATION
from billing.reports.recognition import DATEV, RECOGNISED
from billing.reports.recurring import COHORTS, MRR

REPORTS = (
    *(REVENUE, RECOGNISED, MRR, COHORTS, MARGIN, MARGIN_BY_LOCATION),
    *(FEES, TAX, UNPAID, FAILED, JOURNAL, DATEV),
)

__all__ = ["EARNED", "FAILED", "MRR", "REPORTS", "UNPAID", "CellType", "Column", "Report", "rows_of"]
