"""Hours of use: what servers that are billed by the hour are charged for."""

from datetime import UTC

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.invoices import Invoice
from billing.models.keys import unchecked_key
from billing.models.subscriptions import Subscription
from core import tenancy
from core.models import Entity


class UsageCycle(Entity):
    """An hour that a subscription was charged for, by the clock in UTC. The database refuses the same hour twice.

    The month's `invoice` bills it, and the journal entries of that moved its price from the wallet.
    """

    tenancy = tenancy.OWNED
    append_only = True

    subscription = unchecked_key(Subscription, related_name="+", db_index=False)
    organization = unchecked_key(Organization, related_name="+", db_index=False)
    invoice = unchecked_key(Invoice, related_name="+", db_index=False)
    hour = models.DateTimeField(_("hour"), help_text=_("When it begins."))
    unit_minor = models.DecimalField(
        _("price"), max_digits=28, decimal_places=10, help_text=_("In minor units, exact: rounded once on the invoice.")
    )
    currency = models.CharField(max_length=3)

    class Meta:
        verbose_name = _("hour of use")
        verbose_name_plural = _("hours of use")
        ordering = ["-hour"]
        constraints = [
            models.UniqueConstraint(fields=["subscription", "hour"], name="billing_usage_hour_once"),
            # billing_usage_hour_whole is in migration 0002.
            models.CheckConstraint(name="billing_usage_price_not_negative", condition=models.Q(unit_minor__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.hour.astimezone(UTC):%Y-%m-%d %H:%M}"
