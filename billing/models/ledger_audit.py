"""What each audit of the ledger found."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Timestamped


class LedgerAudit(Entity, Timestamped):
    """One look over the whole book: which rules did not hold, and for which rows (`billing.ledger_audit`)."""

    tenancy = tenancy.PRIVATE

    started_at = models.DateTimeField(_("started at"))
    ended_at = models.DateTimeField(_("ended at"))
    broken_count = models.PositiveIntegerField(
        _("rows that break a rule"), help_text=_("0: every rule holds for the whole book.")
    )
    broken: Any = models.JSONField(
        _("broken rules"), default=dict, blank=True, help_text=_("Of each rule at most 100 rows.")
    )

    class Meta:
        verbose_name = _("ledger audit")
        verbose_name_plural = _("ledger audits")
        ordering = ["-started_at"]

    def __str__(self) -> str:
        return f"{self.started_at:%Y-%m-%d %H:%M}"
