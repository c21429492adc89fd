"""What reconciliation with a gateway remembers: how far its lists were read, and what is there and not here."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core import tenancy
from core.models import Entity, Timestamped, choices_check, iff
from core.money import Money


class CursorType(models.TextChoices):
    EVENTS = "events", _("Events")
    OBJECTS = "objects", _("Refunds and disputes")
    BALANCE = "balance", _("Balance transactions")


class GatewayCursor(Entity, Timestamped):
    """How far one of a gateway's lists was read: everything created before `read_until` is stored here."""

    tenancy = tenancy.PRIVATE

    gateway = models.CharField(max_length=16)
    type = models.CharField(max_length=24, choices=CursorType)
    read_until = models.DateTimeField()

    class Meta:
        verbose_name = _("gateway cursor")
        verbose_name_plural = _("gateway cursors")
        constraints = [
            models.UniqueConstraint(fields=["gateway", "type"], name="billing_cursor_once"),
            choices_check("billing_cursor_type_known", "type", CursorType),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.type}"


class GatewayBalance(Entity, Timestamped):
    """What a gateway said that it holds of a currency, and what our clearing account said at that moment.

    What is under way makes them differ for an hour or two; a difference that stays is explained by no row of ours.
    """

    tenancy = tenancy.PRIVATE

    gateway = models.CharField(max_length=16)
    currency = models.CharField(max_length=3)
    held_minor = models.BigIntegerField(_("held by the gateway"))
    clearing_minor = models.BigIntegerField(_("in our books"))
    read_at = models.DateTimeField()
    differs_since = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = _("gateway balance")
        verbose_name_plural = _("gateway balances")
        constraints = [
            models.UniqueConstraint(fields=["gateway", "currency"], name="billing_gatewaybalance_once"),
            models.CheckConstraint(
                name="billing_gatewaybalance_difference_is_dated",
                condition=models.Q(held_minor=models.F("clearing_minor"), differs_since__isnull=True)
                | (~models.Q(held_minor=models.F("clearing_minor")) & models.Q(differs_since__isnull=False)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.currency}"

    @property
    def held(self) -> Money:
        """As money."""
        return Money(self.held_minor, self.currency)

    @property
    def clearing(self) -> Money:
        """As money."""
        return Money(self.clearing_minor, self.currency)


class UnexplainedType(models.TextChoices):
    """Those of `billing.gateways.base.ObjectType` that are swept, what moves the balance, and refunds nobody got."""

    SUBSCRIPTION = "subscription", _("Subscription")
    REFUND = "refund", _("Refund")
    DISPUTE = "dispute", _("Dispute")
    FAILED_REFUND = "failed_refund", _("Failed refund")
    BALANCE_TRANSACTION = "balance_transaction", _("Balance transaction")


class UnexplainedItem(Entity, Timestamped):
    """Something at a gateway that no row of ours accounts for, or a refund that the customer did not get.

    It stays open until a row accounts for it, or staff say what was done.
    """

    tenancy = tenancy.PRIVATE

    gateway = models.CharField(max_length=16)
    is_live = models.BooleanField(_("live"), default=False)
    type = models.CharField(max_length=24, choices=UnexplainedType)
    reference = models.CharField(_("gateway ID"), max_length=191)
    customer = models.CharField(_("customer's gateway ID"), max_length=191, blank=True, default="")
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT)
    amount_minor = models.BigIntegerField(_("amount"), null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    occurred_at = models.DateTimeField()
    note = models.CharField(max_length=255, blank=True, default="")
    resolved_at = models.DateTimeField(null=True, blank=True)
    resolution = models.CharField(max_length=191, blank=True, default="")

    class Meta:
        verbose_name = _("unexplained item")
        verbose_name_plural = _("unexplained items")
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["created_at"], name="billing_unexplained_open", condition=models.Q(resolved_at__isnull=True)
            )
        ]
        constraints = [
            models.UniqueConstraint(fields=["gateway", "type", "reference"], name="billing_unexplained_once"),
            choices_check("billing_unexplained_type_known", "type", UnexplainedType),
            iff("billing_unexplained_amount_has_currency", models.Q(amount_minor__isnull=True), models.Q(currency="")),
            iff("billing_unexplained_resolution_given", models.Q(resolved_at__isnull=True), models.Q(resolution="")),
        ]

    @property
    def amount(self) -> Money | None:
        """What it moves; for a subscription, each period. None where the gateway names no whole amount."""
        return None if self.amount_minor is None else Money(self.amount_minor, self.currency)

    def __str__(self) -> str:
        return f"{self.get_type_display()} {self.reference}"
