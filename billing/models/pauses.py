"""Times for which a customer paused a subscription: its server was stopped and kept, and nothing was billed."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.subscriptions import Subscription
from core import tenancy
from core.models import Entity, Timestamped


class SubscriptionPause(Entity, Timestamped):
    """A time that nobody pays for, from the end of a paid period until the subscription goes on or ends."""

    tenancy = tenancy.OWNED

    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="pauses", db_index=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    begun_at = models.DateTimeField(_("begun at"), help_text=_("The end of the period that was paid."))
    ended_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")
        ordering = ["-begun_at"]
        constraints = [
            models.CheckConstraint(
                name="billing_pause_ends_after_it_begins",
                condition=models.Q(ended_at__isnull=True) | models.Q(ended_at__gte=models.F("begun_at")),
            ),
            models.UniqueConstraint(
                fields=["subscription"], condition=models.Q(ended_at__isnull=True), name="billing_pause_one_at_a_time"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.begun_at:%Y-%m-%d}"
