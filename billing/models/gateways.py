"""Gateways: customers and cards that they store for organizations, and the webhook events that they sent."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core import tenancy
from core.models import Entity, StatusChoices, StatusField, Timestamped, Tone, WorkItem


class Gateway(models.TextChoices):
    STRIPE = "stripe", _("Stripe")


class BillingMode(models.TextChoices):
    """Who renews: we charge each period ourselves, or the gateway does with a subscription of its own."""

    SELF = "self", _("Renewed by us")
    GATEWAY = "gateway", _("Renewed by the gateway")


class GatewayCustomer(Entity, Timestamped):
    """The organization at the gateway. The row's own id is the idempotency key of its creation."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    gateway = models.CharField(max_length=16, choices=Gateway)
    reference = models.CharField(_("gateway ID"), max_length=191, null=True, blank=True)  # noqa: DJ001 - null until the gateway answered

    class Meta:
        verbose_name = _("gateway customer")
        verbose_name_plural = _("gateway customers")
        constraints = [
            models.UniqueConstraint(fields=["organization", "gateway"], name="billing_customer_once"),
            models.UniqueConstraint(fields=["gateway", "reference"], name="billing_customer_reference_once"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.reference or '-'}"


class PaymentMethod(Entity, Timestamped):
    """A card or account saved at the gateway for renewals; we store its reference, never its number."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="payment_methods")
    gateway = models.CharField(max_length=16, choices=Gateway)
    reference = models.CharField(_("gateway ID"), max_length=191)
    brand = models.CharField(max_length=32, blank=True, default="")
    last4 = models.CharField(_("last four digits"), max_length=4, blank=True, default="")
    expires_on = models.DateField(null=True, blank=True)
    is_default = models.BooleanField(_("default"), default=False)

    class Meta:
        verbose_name = _("payment method")
        verbose_name_plural = _("payment methods")
        constraints = [
            models.UniqueConstraint(fields=["gateway", "reference"], name="billing_method_once"),
            models.UniqueConstraint(
                fields=["organization"], condition=models.Q(is_default=True), name="billing_method_one_default"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.brand} {self.last4}".strip() or self.reference


class EventResult(StatusChoices):
    PENDING = "", Tone.INFO, _("Not processed yet")
    PROCESSED = "processed", Tone.SUCCESS, _("Processed")
    IGNORED = "ignored", Tone.NEUTRAL, _("Ignored: unknown type")
    UNRELATED = "unrelated", Tone.NEUTRAL, _("Not about this shop")
    UNDER_REVIEW = "under_review", Tone.WARNING, _("Under review")


class GatewayEvent(Entity, WorkItem):
    """A signed webhook event as it came, stored once. The worker reads the object it names again from the gateway."""

    tenancy = tenancy.PRIVATE

    gateway = models.CharField(max_length=16, choices=Gateway)
    event_id = models.CharField(_("event ID"), max_length=191)
    type = models.CharField(max_length=100)
    payload = models.JSONField(_("content"))
    received_at = models.DateTimeField()
    result = StatusField(max_length=12, choices=EventResult, default=EventResult.PENDING, blank=True)
    note = models.CharField(max_length=255, blank=True, default="")

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("gateway event")
        verbose_name_plural = _("gateway events")
        constraints = [
            *WorkItem.Meta.constraints,
            models.UniqueConstraint(fields=["gateway", "event_id"], name="billing_event_once"),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
