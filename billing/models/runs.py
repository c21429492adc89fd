"""Billing runs: what each did, and which reminders were sent."""

from typing import Any

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.invoices import Invoice
from billing.models.ledger import LedgerAccount
from core import tenancy
from core.models import Entity, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff


class RunKind(models.TextChoices):
    RENEW = "renew", _("Renew: invoice the next period")
    COLLECT = "collect", _("Collect: pay what is due")
    METER = "meter", _("Meter: charge the hours")
    DUN = "dun", _("Dun: remind and suspend")
    EXPIRE = "expire", _("Expire: end and delete")


class RunState(StatusChoices):
    RUNNING = "running", Tone.INFO, _("Running")
    DONE = "done", Tone.SUCCESS, _("Done")
    INCOMPLETE = "incomplete", Tone.WARNING, _("Done, some skipped")
    FAILED = "failed", Tone.DANGER, _("Failed")
    INTERRUPTED = "interrupted", Tone.WARNING, _("Interrupted")


class Run(Entity, Timestamped):
    """One billing run. `at` is the time that it worked with; `counts` is written with each batch."""

    tenancy = tenancy.PRIVATE

    kind = models.CharField(max_length=16, choices=RunKind)
    state = StatusField(max_length=12, choices=RunState, default=RunState.RUNNING)
    at = models.DateTimeField(_("for"), help_text=_("What was due then was done."))
    started_at = models.DateTimeField(_("started at"), db_default=Now())
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    counts: Any = models.JSONField(_("done"), default=dict, blank=True)
    skipped: Any = models.JSONField(
        _("skipped"), default=dict, blank=True, help_text=_("Organizations that were left out, and why.")
    )
    error = models.TextField(_("error"), blank=True, default="")

    class Meta:
        verbose_name = _("billing run")
        verbose_name_plural = _("billing runs")
        ordering = ["-started_at"]
        indexes = [models.Index(fields=["-started_at"], name="billing_run_latest")]
        constraints = [
            choices_check("billing_run_kind_known", "kind", RunKind),
            choices_check("billing_run_state_known", "state", RunState),
            iff("billing_run_ended_iff_over", models.Q(state="running"), models.Q(ended_at__isnull=True)),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.at:%Y-%m-%d %H:%M}"


class Reminder(Entity, Timestamped):
    """An owner is told that an invoice is due, or that a wallet is low. It keeps the dates that it names.

    Of an invoice once for each stage, in days after it is due. Of a wallet that pays for hours once each time that it
    falls to a stage, in hours left: when it is above that again, the reminder has lapsed. Stage 0 is the suspension.
    """

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    invoice = models.ForeignKey(
        Invoice, null=True, blank=True, on_delete=models.PROTECT, related_name="reminders", db_index=False
    )
    wallet = models.ForeignKey(
        LedgerAccount, null=True, blank=True, on_delete=models.PROTECT, related_name="reminders", db_index=False
    )
    stage = models.SmallIntegerField(
        _("stage"),
        help_text=_("Days after the invoice is due, before it where negative; or hours that the wallet lasts."),
    )
    lapsed_at = models.DateTimeField(_("lapsed at"), null=True, blank=True)
    sent_at = models.DateTimeField(_("sent at"))
    suspends_at = models.DateTimeField(_("suspension"))
    deletes_at = models.DateTimeField(_("deletion"))

    class Meta:
        verbose_name = _("reminder")
        verbose_name_plural = _("reminders")
        ordering = ["-sent_at"]
        constraints = [
            models.UniqueConstraint(fields=["invoice", "stage"], name="billing_reminder_once"),
            models.UniqueConstraint(
                fields=["wallet", "stage"],
                name="billing_reminder_once_until_it_lapses",
                condition=models.Q(lapsed_at__isnull=True),
            ),
            models.CheckConstraint(
                name="billing_reminder_of_one",
                condition=models.Q(invoice__isnull=False, wallet__isnull=True, lapsed_at__isnull=True)
                | models.Q(invoice__isnull=True, wallet__isnull=False, stage__gte=0),
            ),
            models.CheckConstraint(
                name="billing_reminder_dates_in_order", condition=models.Q(suspends_at__lte=models.F("deletes_at"))
            ),
        ]

    def __str__(self) -> str:
        return f"{self.invoice_id or self.wallet_id} {self.stage:+}"
