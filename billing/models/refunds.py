"""Money that goes back: refunds, which we ask for, and disputes, which banks open."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.payments import Payment
from core import tenancy
from core.models import Entity, StatusChoices, StatusField, Timestamped, Tone, WorkItem, choices_check, iff
from core.money import Money


class RefundState(StatusChoices):
    PENDING = "pending", Tone.INFO, _("Pending")
    SUCCEEDED = "succeeded", Tone.SUCCESS, _("Succeeded")
    FAILED = "failed", Tone.DANGER, _("Failed")


class Refund(Entity, Timestamped):
    """Money returned to the customer, requested under its own idempotency key."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    gateway = models.CharField(max_length=16)
    is_live = models.BooleanField(
        _("live"), default=False, help_text=_("Whether it is of real money, as its payment is.")
    )
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=191)
    state = StatusField(max_length=12, choices=RefundState, default=RefundState.PENDING)
    idempotency_key = models.CharField(max_length=191, unique=True)
    transaction_id = models.CharField(_("transaction ID"), max_length=191, null=True, blank=True)  # noqa: DJ001 - null until the gateway answered
    failure = models.CharField(_("reason of failure"), max_length=191, blank=True, default="")
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("refund")
        verbose_name_plural = _("refunds")
        constraints = [
            models.UniqueConstraint(fields=["gateway", "transaction_id"], name="billing_refund_transaction_once"),
            models.CheckConstraint(name="billing_refund_positive", condition=models.Q(amount_minor__gt=0)),
            choices_check("billing_refund_state_known", "state", RefundState),
        ]

    @property
    def amount(self) -> Money:
        """What goes back."""
        return Money(self.amount_minor, self.currency)

    @property
    def credited(self) -> Money:
        """What went to the wallet instead when the refund failed."""
        same = {"allocation__reversals__refund": None, "allocation__reversals__dispute": None}
        returned = self.allocation_reversals.filter(allocation__reversals__at=models.F("undone_at"), **same)
        minor = returned.aggregate(minor=models.Sum("allocation__reversals__amount_minor"))["minor"]
        return Money(minor or 0, self.currency)

    def __str__(self) -> str:
        return f"{self.amount}, {self.get_state_display()}"


class RefundTask(Entity, WorkItem):
    """Requests the refund from the gateway, and follows it until the gateway has decided."""

    tenancy = tenancy.PRIVATE

    refund = models.OneToOneField(Refund, on_delete=models.PROTECT, related_name="task")

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("refund task")
        verbose_name_plural = _("refund tasks")

    def __str__(self) -> str:
        return f"{self.refund_id} {self.state}"


class Dispute(Entity, Timestamped):
    """A customer's bank takes a payment back; it decides weeks later who gets the money."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes")
    gateway = models.CharField(max_length=16)
    is_live = models.BooleanField(
        _("live"), default=False, help_text=_("Whether it is of real money, as its payment is.")
    )
    reference = models.CharField(_("gateway ID"), max_length=191)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(max_length=3)
    reason = models.CharField(max_length=64, blank=True, default="")
    opened_at = models.DateTimeField()
    evidence_due_at = models.DateTimeField(
        _("evidence due at"),
        null=True,
        blank=True,
        help_text=_("Until then the bank can be shown that the payment was right."),
    )
    closed_at = models.DateTimeField(null=True, blank=True)
    is_won = models.BooleanField(_("won"), null=True, blank=True)
    lost_minor = models.BigIntegerField(_("lost"), default=0, help_text=_("The part of the payment that was lost."))

    class Meta:
        verbose_name = _("dispute")
        verbose_name_plural = _("disputes")
        indexes = [
            models.Index(fields=["opened_at"], condition=models.Q(closed_at__isnull=True), name="billing_dispute_open")
        ]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "reference"], name="billing_dispute_reference_once"),
            iff(
                "billing_dispute_outcome_iff_closed",
                models.Q(is_won__isnull=False),
                models.Q(closed_at__isnull=False),
            ),
            models.CheckConstraint(name="billing_dispute_positive", condition=models.Q(amount_minor__gt=0)),
        ]

    @property
    def amount(self) -> Money:
        """What the bank took."""
        return Money(self.amount_minor, self.currency)

    def __str__(self) -> str:
        return self.reference
