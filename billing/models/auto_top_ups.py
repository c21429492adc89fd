"""Automatic top-ups: what a customer wants charged to their saved card when their credit is low."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core import tenancy
from core.models import Entity, Timestamped
from core.money import Money


class AutoTopUp(Entity, Timestamped):
    """When an organization's credit falls below a limit, its default method is charged an amount into its wallet.

    Its attempts are the automatic payments without an invoice. It is stopped when the method is refused for good.
    """

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(
        Organization, on_delete=models.PROTECT, related_name="auto_top_ups", db_index=False
    )
    currency = models.CharField(max_length=3)
    below_minor = models.BigIntegerField(_("below"), help_text=_("It tops up when the credit is less than this."))
    amount_minor = models.BigIntegerField(_("amount"), help_text=_("What is charged each time."))
    is_active = models.BooleanField(_("active"), default=True)
    changed_at = models.DateTimeField(
        _("changed at"), help_text=_("When the customer last saved it. Refusals before do not count.")
    )
    stopped_at = models.DateTimeField(
        _("stopped at"),
        null=True,
        blank=True,
        help_text=_("When the card was refused for good, until it is saved."),
    )

    class Meta:
        verbose_name = _("automatic top-up")
        verbose_name_plural = _("automatic top-ups")
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "currency"], name="billing_auto_top_up_once"),
            # So that one charge is enough, and a mistyped amount is not charged again and again.
            models.CheckConstraint(
                name="billing_auto_top_up_reaches_its_limit",
                condition=models.Q(below_minor__gt=0, amount_minor__gte=models.F("below_minor")),
            ),
            models.CheckConstraint(
                name="billing_auto_top_up_stopped_is_not_active",
                condition=models.Q(is_active=False) | models.Q(stopped_at__isnull=True),
            ),
        ]

    @property
    def below(self) -> Money:
        """The limit."""
        return Money(self.below_minor, self.currency)

    @property
    def amount(self) -> Money:
        """What is charged each time."""
        return Money(self.amount_minor, self.currency)

    def __str__(self) -> str:
        return f"{self.amount} < {self.below}"
