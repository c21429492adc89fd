"""What a gateway keeps for an organization: its customer object and its saved cards."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.payments import Gateway
from core import tenancy
from core.models import Entity, Timestamped


class GatewayCustomer(Entity, Timestamped):
    """The organization at the gateway. The row's own id is the idempotency key of its creation."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    gateway = models.CharField(max_length=16, choices=Gateway)
    reference = models.CharField(max_length=191, null=True, blank=True)  # noqa: DJ001 - null until the gateway answered

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
    """A card or account saved at the gateway for renewals; we hold its reference, never its number."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="payment_methods")
    gateway = models.CharField(max_length=16, choices=Gateway)
    reference = models.CharField(max_length=191)
    brand = models.CharField(max_length=32, blank=True, default="")
    last4 = models.CharField(max_length=4, blank=True, default="")
    expires_on = models.DateField(null=True, blank=True)
    is_default = models.BooleanField(default=False)

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
