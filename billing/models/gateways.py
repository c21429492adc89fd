"""Gateways: our accounts there, the prices, customers and cards that they store, and the webhook events they sent."""

from typing import Any

from django.db import models
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from catalog.models import AddonPrice, PlanPrice
from core import tenancy
from core.encryption import EncryptedJSONField
from core.models import (
    CoalescedWorkItem,
    Entity,
    RegisteredIn,
    StatusChoices,
    StatusField,
    Timestamped,
    Tone,
    WorkItem,
    choices_check,
)


class GatewayAccount(Entity, Timestamped):
    """One of our accounts at a payment gateway. Every `gateway` column of billing holds the code of such an account.

    Its kind names a registered driver (`billing.gateways.base.register`), so a new gateway changes no table.
    """

    tenancy = tenancy.PRIVATE

    code = models.SlugField(
        max_length=16, unique=True, help_text=_("Never changes: payments and the webhook's address name it.")
    )
    kind = models.SlugField(max_length=16, db_index=False, validators=[RegisteredIn("billing.gateways.base.kinds")])
    name = models.CharField(max_length=64)
    credentials: Any = EncryptedJSONField(default=dict, blank=True)
    currencies = models.JSONField(
        default=list, blank=True, help_text=_("Codes such as USD. None: every currency that is sold.")
    )
    position = models.PositiveIntegerField(_("position"), default=0, help_text=_("Lower numbers come first."))
    is_live = models.BooleanField(
        _("live"), default=False, help_text=_("Whether it takes real money. Its first payment decides that for good.")
    )
    is_active = models.BooleanField(
        _("active"), default=True, help_text=_("An inactive account opens no payment; what is under way is finished.")
    )

    class Meta:
        verbose_name = _("gateway account")
        verbose_name_plural = _("gateway accounts")
        ordering = ["position", "code"]

    def takes(self, currency: str) -> bool:
        """Whether it is to take payments in the currency."""
        return not self.currencies or currency in self.currencies

    def __str__(self) -> str:
        return self.name


class KeyCheckTask(Entity, CoalescedWorkItem):
    """Asks the gateway whether the account's keys are right; keeps the last answer."""

    tenancy = tenancy.PRIVATE
    SUBJECT = "account"

    account = models.OneToOneField(GatewayAccount, on_delete=models.CASCADE, related_name="key_check")
    checked_at = models.DateTimeField(null=True, blank=True)
    problem = models.CharField(max_length=255, blank=True, default="")

    class Meta(CoalescedWorkItem.Meta):
        abstract = False
        verbose_name = _("key check")
        verbose_name_plural = _("key checks")

    def __str__(self) -> str:
        return f"{self.account_id} {self.state}"


class BillingMode(models.TextChoices):
    """Who renews: we charge each period ourselves, or the gateway does with a subscription of its own."""

    SELF = "self", _("Renewed by us")
    GATEWAY = "gateway", _("Renewed by the gateway")


class GatewayCustomer(Entity, Timestamped):
    """The organization at the gateway. The row's own id is the idempotency key of its creation."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, db_index=False)
    gateway = models.CharField(max_length=16)
    is_live = models.BooleanField(_("live"), default=False)
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


class GatewayPrice(Entity, Timestamped):
    """A price of ours as the gateway stores it: what it charges for each period where it renews."""

    tenancy = tenancy.PRIVATE

    gateway = models.CharField(max_length=16)
    plan_price = models.ForeignKey(
        PlanPrice, null=True, blank=True, on_delete=models.PROTECT, related_name="gateway_prices"
    )
    addon_price = models.ForeignKey(
        AddonPrice,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="gateway_prices",
        verbose_name=_("add-on price"),
    )
    reference = models.CharField(_("gateway ID"), max_length=191)

    class Meta:
        verbose_name = _("gateway price")
        verbose_name_plural = _("gateway prices")
        constraints = [
            models.CheckConstraint(
                name="billing_gateway_price_of_one_price",
                condition=models.Q(plan_price__isnull=False, addon_price__isnull=True)
                | models.Q(plan_price__isnull=True, addon_price__isnull=False),
            ),
            models.UniqueConstraint(fields=["gateway", "reference"], name="billing_gateway_price_reference_once"),
            models.UniqueConstraint(fields=["gateway", "plan_price"], name="billing_gateway_price_once_a_plan_price"),
            models.UniqueConstraint(
                fields=["gateway", "addon_price"], name="billing_gateway_price_once_an_addon_price"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.reference}"


class PaymentMethod(Entity, Timestamped):
    """A card or account saved at the gateway for renewals; we store its reference, never its number."""

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="payment_methods")
    gateway = models.CharField(max_length=16)
    is_live = models.BooleanField(_("live"), default=False)
    reference = models.CharField(_("gateway ID"), max_length=191)
    brand = models.CharField(max_length=32, blank=True, default="")
    last4 = models.CharField(_("last four digits"), max_length=4, blank=True, default="")
    expires_on = models.DateField(null=True, blank=True)
    is_default = models.BooleanField(_("default"), default=False)
    detached_at = models.DateTimeField(
        _("removed at"), null=True, blank=True, help_text=_("It can no longer be charged.")
    )

    class Meta:
        verbose_name = _("payment method")
        verbose_name_plural = _("payment methods")
        constraints = [
            models.UniqueConstraint(fields=["gateway", "reference"], name="billing_method_once"),
            models.UniqueConstraint(
                fields=["organization"], condition=models.Q(is_default=True), name="billing_method_one_default"
            ),
            models.CheckConstraint(
                name="billing_method_default_is_attached",
                condition=models.Q(is_default=False) | models.Q(detached_at__isnull=True),
            ),
        ]

    @property
    def label(self) -> str:
        """As customers know it, such as "Visa ending 4242"."""
        brand = self.brand.replace("_", " ").title()
        return gettext("%(brand)s ending %(last4)s") % {"brand": brand, "last4": self.last4} if self.last4 else brand

    def __str__(self) -> str:
        return f"{self.brand} {self.last4}".strip() or self.reference


class MethodTask(Entity, WorkItem):
    """Removes a payment method at its gateway. Here it is removed already, and charged no more."""

    tenancy = tenancy.PRIVATE

    method = models.OneToOneField(PaymentMethod, on_delete=models.PROTECT, related_name="task")

    class Meta(WorkItem.Meta):
        abstract = False
        verbose_name = _("payment method task")
        verbose_name_plural = _("payment method tasks")

    def __str__(self) -> str:
        return f"{self.method_id} {self.state}"


class EventResult(StatusChoices):
    PENDING = "", Tone.INFO, _("Not processed yet")
    PROCESSED = "processed", Tone.SUCCESS, _("Processed")
    IGNORED = "ignored", Tone.NEUTRAL, _("Ignored: unknown type")
    UNRELATED = "unrelated", Tone.NEUTRAL, _("Not about this shop")
    UNKNOWN = "unknown", Tone.NEUTRAL, _("Object not found at the gateway")
    UNDER_REVIEW = "under_review", Tone.WARNING, _("Under review")


class GatewayEvent(Entity, WorkItem):
    """A signed webhook event as it came, stored once. The worker reads the object it names again from the gateway."""

    tenancy = tenancy.PRIVATE

    gateway = models.CharField(max_length=16)
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
            choices_check("billing_event_result_known", "result", EventResult),
        ]

    def __str__(self) -> str:
        return f"{self.type} {self.event_id}"
