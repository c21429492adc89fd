"""Payments. A row exists before the gateway is called; a transaction belongs to one payment."""

from datetime import datetime, timedelta
from typing import ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.declines import NOT_WANTED, decline_text
from billing.models.gateways import PaymentMethod
from core import tenancy
from core.encryption import EncryptedTextField
from core.models import Entity, StatusChoices, StatusField, Timestamped, Tone, WorkItem, choices_check
from core.money import Money

LATE_CONFIRMATION = timedelta(hours=1)  # after the time to pay is over


class PaymentState(StatusChoices):
    PENDING = "pending", Tone.INFO, _("Waiting for the customer")
    PROCESSING = "processing", Tone.INFO, _("Processing at the bank")
    SUCCEEDED = "succeeded", Tone.SUCCESS, _("Succeeded")
    FAILED = "failed", Tone.DANGER, _("Failed")
    EXPIRED = "expired", Tone.NEUTRAL, _("Expired")
    UNDER_REVIEW = "under_review", Tone.WARNING, _("Under review")
    REFUNDED = "refunded", Tone.NEUTRAL, _("Refunded")
    DISPUTED = "disputed", Tone.WARNING, _("Disputed")


class Payment(Entity, Timestamped):
    """One attempt to collect money through a gateway. Only its allocations say what it paid."""

    tenancy = tenancy.OWNED
    OPEN: ClassVar[frozenset[PaymentState]] = frozenset({PaymentState.PENDING, PaymentState.PROCESSING})
    RECEIVED: ClassVar[frozenset[PaymentState]] = frozenset(
        {PaymentState.SUCCEEDED, PaymentState.UNDER_REVIEW, PaymentState.REFUNDED, PaymentState.DISPUTED}
    )

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="payments")
    invoice = models.ForeignKey(
        "billing.Invoice",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="payments",
        help_text=_("What the customer was asked to pay. What the money paid is in the allocations."),
    )
    gateway = models.CharField(max_length=16)
    is_live = models.BooleanField(
        _("live"), default=False, help_text=_("Whether it is of real money, as its gateway account is.")
    )
    channel = models.CharField(
        max_length=32,
        blank=True,
        default="",
        help_text=_("The gateway's code of how the customer pays, where it has several ways."),
    )
    state = StatusField(max_length=12, choices=PaymentState, default=PaymentState.PENDING)
    amount_minor = models.BigIntegerField(_("amount"), help_text=_("Requested from the customer."))
    credit_minor = models.BigIntegerField(
        _("credit"),
        default=0,
        help_text=_("The wallet's credit that pays the invoice together with the amount. Reserved while it is open."),
    )
    received_minor = models.BigIntegerField(_("received"), default=0, help_text=_("What the gateway says arrived."))
    refunded_minor = models.BigIntegerField(_("refunded"), default=0)
    lost_minor = models.BigIntegerField(_("lost to disputes"), default=0)
    currency = models.CharField(max_length=3)
    received_currency = models.CharField(
        _("currency received"),
        max_length=3,
        blank=True,
        default="",
        help_text=_("A payment in another currency than requested is put under review."),
    )
    idempotency_key = models.CharField(max_length=191, unique=True)
    success_url = models.CharField(_("return address after success"), max_length=500, blank=True, default="")
    cancel_url = models.CharField(_("return address after cancellation"), max_length=500, blank=True, default="")
    session_requested_at = models.DateTimeField(
        _("checkout requested at"),
        null=True,
        blank=True,
        help_text=_("When the gateway was asked for a checkout session. Empty: never."),
    )
    session_requests = models.PositiveSmallIntegerField(
        _("checkout requests"),
        default=0,
        help_text=_("How often a checkout session was requested. Without idempotency keys, there may be as many."),
    )
    session_id = models.CharField(_("checkout session ID"), max_length=191, null=True, blank=True)  # noqa: DJ001 - null until it is created
    session_url = EncryptedTextField(_("checkout address"), blank=True, default="")
    transaction_id = models.CharField(_("transaction ID"), max_length=191, null=True, blank=True)  # noqa: DJ001 - null until it succeeded
    expires_at = models.DateTimeField(null=True, blank=True)
    payment_method = models.ForeignKey(
        PaymentMethod,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        db_index=False,
        help_text=_("The saved method that we charge. Empty: the customer pays in a checkout session."),
    )
    is_automatic = models.BooleanField(
        _("automatic"),
        default=False,
        help_text=_("We charge the saved method because an invoice is due or credit is low."),
    )
    charge_requested_at = models.DateTimeField(
        _("charge requested at"), null=True, blank=True, help_text=_("When the gateway was last asked to charge.")
    )
    charge_id = models.CharField(_("charge ID"), max_length=191, null=True, blank=True)  # noqa: DJ001 - null until the gateway answered
    failure_code = models.CharField(
        _("code of failure"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("The gateway's code of why a saved method was refused, or waits for its owner."),
    )
    retry_at = models.DateTimeField(
        _("charged again at"), null=True, blank=True, help_text=_("When a refused method may be charged again.")
    )
    poll_at = models.DateTimeField(_("next check at"), null=True, blank=True, db_index=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    period_start = models.DateTimeField(
        null=True, blank=True, help_text=_("The period that the gateway charged, where it renews the subscription.")
    )
    period_end = models.DateTimeField(null=True, blank=True)
    review_reason = models.CharField(_("reason for review"), max_length=191, blank=True, default="")
    accepted_at = models.DateTimeField(
        _("accepted at"), null=True, blank=True, help_text=_("When staff accepted a payment that was under review.")
    )
    failure = models.CharField(_("reason of failure"), max_length=191, blank=True, default="")
    method_label = models.CharField(
        _("paid with"), max_length=64, blank=True, default="", help_text=_("Such as Visa ending 4242.")
    )
    card_fingerprint = models.CharField(
        _("card's fingerprint"),
        max_length=64,
        blank=True,
        default="",
        help_text=_("The gateway's own mark of a card, the same for whoever pays with it. Empty where it tells none."),
    )

    class Meta:
        verbose_name = _("payment")
        verbose_name_plural = _("payments")
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=models.Q(state=PaymentState.UNDER_REVIEW),
                name="billing_payment_under_review",
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "transaction_id"], name="billing_payment_transaction_once"),
            models.UniqueConstraint(fields=["gateway", "session_id"], name="billing_payment_session_once"),
            models.UniqueConstraint(fields=["gateway", "charge_id"], name="billing_payment_charge_once"),
            models.CheckConstraint(
                name="billing_payment_charge_is_of_a_method",
                condition=models.Q(payment_method__isnull=False)
                | models.Q(charge_id__isnull=True, charge_requested_at__isnull=True, retry_at__isnull=True),
            ),
            models.CheckConstraint(
                name="billing_payment_automatic_has_method",
                condition=models.Q(is_automatic=False) | models.Q(payment_method__isnull=False),
            ),
            # It is paid on a gateway's page or by a saved method, never by both.
            models.CheckConstraint(
                name="billing_payment_session_or_method",
                condition=models.Q(payment_method__isnull=True) | models.Q(session_requested_at__isnull=True),
            ),
            models.CheckConstraint(
                name="billing_payment_received_has_transaction",
                condition=~models.Q(state__in=["succeeded", "under_review", "refunded", "disputed"])
                | models.Q(transaction_id__isnull=False),
            ),
            models.CheckConstraint(
                name="billing_payment_refunded_within",
                condition=models.Q(refunded_minor__gte=0, refunded_minor__lte=models.F("received_minor")),
            ),
            models.CheckConstraint(name="billing_payment_lost_not_negative", condition=models.Q(lost_minor__gte=0)),
            models.UniqueConstraint(
                fields=["invoice"],
                condition=models.Q(state__in=["pending", "processing"]),
                name="billing_payment_one_open",
            ),
            models.UniqueConstraint(
                fields=["organization", "currency"],
                condition=models.Q(state__in=["pending", "processing"], is_automatic=True, invoice__isnull=True),
                name="billing_payment_one_automatic_top_up",
            ),
            models.CheckConstraint(name="billing_payment_positive", condition=models.Q(amount_minor__gt=0)),
            models.CheckConstraint(name="billing_payment_credit_not_negative", condition=models.Q(credit_minor__gte=0)),
            choices_check("billing_payment_state_known", "state", PaymentState),
        ]

    def last_poll(self, at: datetime) -> datetime:
        """When the gateway is asked for the last time: until then a bank may confirm it, or another session be paid."""
        return max(at, self.expires_at or at) + LATE_CONFIRMATION

    @property
    def amount(self) -> Money:
        """What we asked for."""
        return Money(self.amount_minor, self.currency)

    @property
    def credit(self) -> Money:
        """The wallet's credit that it counts on."""
        return Money(self.credit_minor, self.currency)

    @property
    def received(self) -> Money:
        """What arrived."""
        return Money(self.received_minor, self.received_currency or self.currency)

    @property
    def refundable(self) -> Money:
        """What arrived, and neither went back nor was lost to a dispute."""
        return Money(max(0, self.received_minor - self.refunded_minor - self.lost_minor), self.received.currency)

    @property
    def is_under_review(self) -> bool:
        """Whether staff have yet to accept the money, also when it was refunded or disputed since."""
        return bool(self.review_reason) and self.accepted_at is None

    @property
    def waits_for_owner(self) -> bool:
        """Whether the saved method's owner must confirm the charge at their bank."""
        return self.state == PaymentState.PENDING and bool(self.charge_id and self.failure_code)

    @property
    def is_declined(self) -> bool:
        """Whether the saved method was refused; what we stopped ourselves was not."""
        is_refused = self.state == PaymentState.FAILED and self.payment_method_id is not None
        return is_refused and self.failure_code not in {"", NOT_WANTED}

    @property
    def is_automatic_top_up(self) -> bool:
        """Whether we charge it into the wallet because the credit is low."""
        return self.is_automatic and self.invoice_id is None

    @property
    def decline_text(self) -> str:
        """Why the saved method was refused, in words for its owner."""
        return decline_text(self.failure_code)

    def is_open(self, at: datetime) -> bool:
        """Whether the customer can still pay in the checkout session."""
        return self.state == PaymentState.PENDING and (self.expires_at is None or self.expires_at > at)

    def __str__(self) -> str:
        return f"{self.amount}, {self.get_state_display()}"


class PaymentTask(Entity, WorkItem):
    """Accepts money that is under review only because paying its invoice failed, as soon as that succeeds."""

    tenancy = tenancy.PRIVATE

    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, related_name="task")

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("payment task")
        verbose_name_plural = _("payment tasks")

    def __str__(self) -> str:
        return f"{self.payment_id} {self.state}"


class ChargeTask(Entity, WorkItem):
    """Charges the saved method of a payment once, and stores what the gateway answered."""

    tenancy = tenancy.PRIVATE

    payment = models.OneToOneField(Payment, on_delete=models.PROTECT, related_name="charge_task")

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("charge task")
        verbose_name_plural = _("charge tasks")

    def __str__(self) -> str:
        return f"{self.payment_id} {self.state}"
