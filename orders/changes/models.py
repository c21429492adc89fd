"""Changes of what a server was sold as: its plan, its add-ons, its billing cycle."""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models import Invoice, Subscription
from catalog.models import PlanPrice, Term
from core import tenancy
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check
from core.money import Money, Rate
from servers.models import Reservation


class PlanChangeStatus(StatusChoices):
    QUOTED = "quoted", Tone.INFO, _("Not confirmed")
    PENDING_PAYMENT = "pending_payment", Tone.WARNING, _("Waiting for payment")
    SCHEDULED = "scheduled", Tone.INFO, _("Scheduled")
    APPLYING = "applying", Tone.INFO, _("Being applied")
    DONE = "done", Tone.SUCCESS, _("Done")
    CANCELED = "canceled", Tone.NEUTRAL, _("Canceled")
    EXPIRED = "expired", Tone.NEUTRAL, _("Expired")
    FAILED = "failed", Tone.DANGER, _("Failed")


UNITS_LINE = "units"  # the kind of a quote's line that says how many there are of an add-on, and has no amount
_S = PlanChangeStatus
OPEN = (_S.QUOTED, _S.PENDING_PAYMENT, _S.SCHEDULED, _S.APPLYING)


class PlanChange(StateMachine, Entity, Timestamped):
    """A change of one server's plan, add-ons or billing cycle, as it was quoted. A subscription has one open at a time.

    One that begins at once has an invoice and begins with its payment, as of `effective_at`, the instant of the quote.
    Any other begins with the next period. `ended_items` are items of the subscription with the time until which they
    were valid before, `begun_items` those that begin.
    """

    tenancy = tenancy.OWNED
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        _S.QUOTED: {_S.PENDING_PAYMENT, _S.SCHEDULED, _S.CANCELED, _S.EXPIRED},
        _S.PENDING_PAYMENT: {_S.APPLYING, _S.DONE, _S.CANCELED, _S.EXPIRED, _S.FAILED},
        _S.SCHEDULED: {_S.APPLYING, _S.DONE, _S.CANCELED, _S.FAILED},
        _S.APPLYING: {_S.DONE},
        _S.DONE: set(),
        _S.CANCELED: set(),
        _S.EXPIRED: set(),
        _S.FAILED: set(),
    }

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    item = models.ForeignKey(
        "orders.OrderItem", on_delete=models.PROTECT, related_name="plan_changes", verbose_name=_("order item")
    )
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="plan_changes")
    status = StatusField(max_length=16, choices=PlanChangeStatus, default=PlanChangeStatus.QUOTED)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", verbose_name=_("requested by")
    )
    old_plan_price = models.ForeignKey(
        PlanPrice, on_delete=models.PROTECT, related_name="+", verbose_name=_("from"), db_index=False
    )
    old_term = models.CharField(_("billing cycle before"), max_length=12, choices=Term)
    plan_price = models.ForeignKey(
        PlanPrice, on_delete=models.PROTECT, related_name="+", verbose_name=_("to"), db_index=False
    )
    addon_prices: Any = models.JSONField(
        _("add-ons"), default=list, blank=True, help_text=_("The prices of all add-ons that it has then.")
    )
    limits: Any = models.JSONField(_("size"), default=dict, help_text=_("What the server may use then."))
    lines: Any = models.JSONField(_("quote"), default=list, blank=True, help_text=_("As it was shown, line by line."))
    currency = models.CharField(max_length=3)
    due_minor = models.BigIntegerField(_("due at once"), help_text=_("With tax."))
    recurring_minor = models.DecimalField(
        _("price per period"),
        max_digits=20,
        decimal_places=10,
        help_text=_("From the next period on; finer than a minor unit only for an hour."),
    )
    ended_items: Any = models.JSONField(default=dict, blank=True)
    begun_items: Any = models.JSONField(default=list, blank=True)
    invoice = models.OneToOneField(Invoice, null=True, blank=True, on_delete=models.PROTECT, related_name="plan_change")
    reservation = models.OneToOneField(
        Reservation,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="plan_change",
        help_text=_("What the server's node keeps for it in addition."),
    )
    is_stock_taken = models.BooleanField(_("takes limited stock"), default=False)
    quoted_at = models.DateTimeField(_("quoted at"))
    effective_at = models.DateTimeField(_("effective at"))
    expires_at = models.DateTimeField(_("expires at"), help_text=_("Until then the quote holds, or can be paid."))
    applied_at = models.DateTimeField(_("applied at"), null=True, blank=True)
    failure = models.CharField(_("reason of failure"), max_length=191, blank=True, default="")

    class Meta:
        verbose_name = _("plan change")
        verbose_name_plural = _("plan changes")
        ordering = ["-quoted_at"]
        indexes = [
            models.Index(
                fields=["expires_at"],
                condition=models.Q(status__in=["quoted", "pending_payment"]),
                name="orders_plan_change_expiry",
            ),
            models.Index(
                fields=["effective_at"], condition=models.Q(status="scheduled"), name="orders_plan_change_scheduled"
            ),
        ]
        constraints = [
            choices_check("orders_plan_change_status_known", "status", PlanChangeStatus),
            choices_check("orders_plan_change_old_term_known", "old_term", Term),
            models.UniqueConstraint(
                fields=["subscription"], condition=models.Q(status__in=OPEN), name="orders_plan_change_one_open"
            ),
            models.CheckConstraint(
                name="orders_plan_change_due_when_it_begins_at_once",
                condition=models.Q(due_minor__gte=0)
                & (models.Q(due_minor=0) | models.Q(effective_at=models.F("quoted_at"))),
            ),
            models.CheckConstraint(
                name="orders_plan_change_paid_by_its_invoice",
                condition=~models.Q(status="pending_payment") | models.Q(invoice__isnull=False),
            ),
            models.CheckConstraint(
                name="orders_plan_change_applied_at_when_applied",
                condition=~models.Q(status__in=["applying", "done"]) | models.Q(applied_at__isnull=False),
            ),
        ]

    @property
    def is_immediate(self) -> bool:
        """Whether it begins when it is paid, and not with the next period."""
        return bool(self.effective_at == self.quoted_at)

    @property
    def due(self) -> Money:
        """What is due at once, with tax."""
        return Money(self.due_minor, self.currency)

    @property
    def recurring(self) -> Money | Rate:
        """What each later period costs."""
        if self.old_term == Term.HOURLY:
            return Rate(Decimal(self.recurring_minor), self.currency)
        return Money(int(self.recurring_minor), self.currency)

    @property
    def quoted_lines(self) -> list[dict[str, Any]]:
        """The lines of the quote, with their amounts as Money and the ends of their times."""
        return [
            {
                **line,
                "amount": Money(line["amount_minor"], self.currency),
                "end": datetime.fromisoformat(line["end"]) if line.get("end") else None,
            }
            for line in self.lines
            if line["kind"] != UNITS_LINE
        ]

    @property
    def changed_units(self) -> list[str]:
        """How many of each add-on there are before and after, where that differs: "Memory, 512 MB: 3 → 5"."""
        changed = (line for line in self.lines if line["kind"] == UNITS_LINE)
        return [f"{line['description']}: {line['before']} → {line['after']}" for line in changed]

    def __str__(self) -> str:
        return f"{self.old_plan_price.plan} → {self.plan_price.plan}"
