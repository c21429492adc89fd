"""Reports for staff: `REPORTS` lists them as the pages do."""

from billing.reports.base import CellType, Column, Report, rows_of
from billing.reports.books import FAILED, FEES, JOURNAL, MARGIN, REVENUE, TAX, UNPAID
from billing.reports.recurring import COHORTS, MRR

REPORTS = (REVENUE, MRR, COHORTS, MARGIN, FEES, TAX, UNPAID, FAILED, JOURNAL)

__all__ = ["FAILED", "MRR", "REPORTS", "UNPAID", "CellType", "Column", "Report", "rows_of"]
