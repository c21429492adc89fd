"""Subscriptions at a gateway that charge for ours, and the work of ending them there."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.payments import Payment
from billing.models.subscriptions import Subscription
from core import tenancy
from core.models import Entity, Timestamped, WorkItem


class GatewaySubscription(Entity, Timestamped):
    """A subscription at the gateway that charges for one of ours. A sale that was paid twice has two."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="gateway_subscriptions")
    payment = models.ForeignKey(
        Payment,
        on_delete=models.PROTECT,
        related_name="gateway_subscriptions",
        help_text=_("The payment that began it."),
    )
    gateway = models.CharField(max_length=16)
    reference = models.CharField(_("gateway ID"), max_length=191)
    is_live = models.BooleanField(_("live"), help_text=_("Whether it charges real money."))
    is_duplicate = models.BooleanField(
        _("duplicate"), default=False, help_text=_("Another one is to charge for the same subscription.")
    )
    cancel_requested_at = models.DateTimeField(
        _("canceled by us at"),
        null=True,
        blank=True,
        help_text=_(
            "When we asked the gateway to end it. Its end there then does not end the customer's subscription."
        ),
    )
    ended_at = models.DateTimeField(
        _("ended at"), null=True, blank=True, help_text=_("When it ended at the gateway. Empty: it charges.")
    )

    class Meta:
        verbose_name = _("gateway subscription")
        verbose_name_plural = _("gateway subscriptions")
        constraints = [
            models.UniqueConstraint(
                fields=["gateway", "reference"], name="billing_gateway_subscription_reference_once"
            ),
            models.UniqueConstraint(
                fields=["subscription"],
                condition=models.Q(is_duplicate=False),
                name="billing_gateway_subscription_one_charges",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.reference}"


class GatewayCancelTask(Entity, WorkItem):
    """Ends a gateway subscription that must stop charging."""

    tenancy = tenancy.PRIVATE

    gateway_subscription = models.OneToOneField(
        GatewaySubscription, on_delete=models.PROTECT, related_name="cancel_task"
    )

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("gateway cancel task")
        verbose_name_plural = _("gateway cancel tasks")

    def __str__(self) -> str:
        return f"{self.gateway_subscription_id} {self.state}"
