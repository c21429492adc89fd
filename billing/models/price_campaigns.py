"""Price-change campaigns: subscribers of an earlier price move to the present one, after they were told."""

from typing import Any, ClassVar

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.subscriptions import Subscription, SubscriptionItem
from catalog.models import AddonPrice, PlanPrice
from core import tenancy
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from core.money import Rate


class CampaignStatus(StatusChoices):
    DRAFT = "draft", Tone.INFO, _("Draft")
    ANNOUNCED = "announced", Tone.WARNING, _("Announced")
    CANCELED = "canceled", Tone.NEUTRAL, _("Canceled")


class PriceCampaign(StateMachine, Entity, Timestamped):
    """Whoever has the plan or add-on at another price pays this one from a day on, with their next period.

    Of the price's own billing cycle and currency. What a gateway renews keeps its price.
    """

    tenancy = tenancy.PRIVATE
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        CampaignStatus.DRAFT: {CampaignStatus.ANNOUNCED, CampaignStatus.CANCELED},
        CampaignStatus.ANNOUNCED: {CampaignStatus.CANCELED},
        CampaignStatus.CANCELED: set(),
    }

    name = models.CharField(max_length=100, help_text=_("For staff."))
    status = StatusField(max_length=10, choices=CampaignStatus, default=CampaignStatus.DRAFT)
    plan_price = models.ForeignKey(
        PlanPrice,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("plan price"),
        help_text=_("What its subscribers pay then. Choose either a plan price or an add-on price."),
    )
    addon_price = models.ForeignKey(
        AddonPrice, null=True, blank=True, on_delete=models.PROTECT, related_name="+", verbose_name=_("add-on price")
    )
    sold_before = models.DateTimeField(
        _("sold before"), null=True, blank=True, help_text=_("Only those who bought before. Empty: everybody.")
    )
    effective_at = models.DateTimeField(
        _("effective at"), help_text=_("From then on, whoever's next period is invoiced pays the new price for it.")
    )
    announced_at = models.DateTimeField(_("announced at"), null=True, blank=True)

    class Meta:
        verbose_name = _("price campaign")
        verbose_name_plural = _("price campaigns")
        ordering = ["-created_at"]
        constraints = [
            choices_check("billing_campaign_status_known", "status", CampaignStatus),
            iff(
                "billing_campaign_has_one_price",
                models.Q(plan_price__isnull=True),
                models.Q(addon_price__isnull=False),
            ),
            models.CheckConstraint(
                name="billing_campaign_announced_before_it_is_effective",
                condition=(
                    models.Q(announced_at__isnull=True)
                    | models.Q(announced_at__isnull=False, effective_at__gt=models.F("announced_at"))
                )
                & (~models.Q(status="announced") | models.Q(announced_at__isnull=False)),
            ),
        ]

    @property
    def price(self) -> PlanPrice | AddonPrice:
        """What is paid then."""
        price = self.plan_price or self.addon_price
        if price is None:
            raise ValueError(f"price campaign {self.pk} has no price")
        return price

    def __str__(self) -> str:
        return self.name


class PriceMove(Entity, Timestamped):
    """One item of a subscription that moves to a campaign's price. Its customer is told before, and once.

    `begins_at` is the first period that costs the new price, as it was told.
    """

    tenancy = tenancy.OWNED

    campaign = models.ForeignKey(PriceCampaign, on_delete=models.PROTECT, related_name="moves")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, on_delete=models.PROTECT, related_name="price_moves")
    item = models.ForeignKey(SubscriptionItem, on_delete=models.PROTECT, related_name="price_moves")
    unit_minor = models.DecimalField(
        _("new unit price"), max_digits=20, decimal_places=10, help_text=_("In the currency of the item.")
    )
    notified_at = models.DateTimeField(_("told at"), null=True, blank=True)
    begins_at = models.DateTimeField(_("begins at"), null=True, blank=True)
    applied_at = models.DateTimeField(_("applied at"), null=True, blank=True)
    canceled_at = models.DateTimeField(_("canceled at"), null=True, blank=True)
    taken_back_at = models.DateTimeField(
        _("taken back at"), null=True, blank=True, help_text=_("When the customer was told that the price stays.")
    )

    class Meta:
        verbose_name = _("price move")
        verbose_name_plural = _("price moves")
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["id"],
                name="billing_price_move_to_tell",
                condition=models.Q(notified_at__isnull=True, canceled_at__isnull=True),
            ),
            models.Index(
                fields=["id"],
                name="billing_price_move_taking_back",
                condition=models.Q(notified_at__isnull=False, canceled_at__isnull=False, taken_back_at__isnull=True),
            ),
        ]
        constraints = [
            models.CheckConstraint(name="billing_price_move_not_negative", condition=models.Q(unit_minor__gte=0)),
            models.UniqueConstraint(
                fields=["item"], condition=models.Q(canceled_at__isnull=True), name="billing_price_move_once"
            ),
            iff(
                "billing_price_move_begins_iff_told",
                models.Q(notified_at__isnull=True),
                models.Q(begins_at__isnull=True),
            ),
            models.CheckConstraint(
                name="billing_price_move_told_before_it_begins",
                condition=models.Q(begins_at__isnull=True)
                | models.Q(begins_at__isnull=False, notified_at__isnull=False, begins_at__gt=models.F("notified_at")),
            ),
            models.CheckConstraint(
                name="billing_price_move_applied_once_told",
                condition=models.Q(applied_at__isnull=True)
                | models.Q(notified_at__isnull=False, canceled_at__isnull=True),
            ),
            models.CheckConstraint(
                name="billing_price_move_taken_back_once_told",
                condition=models.Q(taken_back_at__isnull=True)
                | models.Q(notified_at__isnull=False, canceled_at__isnull=False),
            ),
        ]

    @property
    def old_price(self) -> Rate:
        """What one costs until then."""
        return Rate(self.item.unit_minor, self.item.currency)

    @property
    def new_price(self) -> Rate:
        """What one costs then."""
        return Rate(self.unit_minor, self.item.currency)

    def told_together(self) -> "models.QuerySet[PriceMove]":
        """The organization's moves that one message tells of, or takes back: all that were told at that instant."""
        instants = {"notified_at": self.notified_at, "taken_back_at": self.taken_back_at}
        rows = PriceMove.objects.filter(organization=self.organization_id, **instants)
        return rows.select_related("item", "subscription").order_by("begins_at", "pk")

    def __str__(self) -> str:
        return f"{self.item_id} {self.campaign_id}"
