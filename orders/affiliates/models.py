"""Affiliates: organizations that bring new customers, the clicks on their links, and what they earn."""

from decimal import Decimal
from typing import Any, ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core import tenancy
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check, iff
from core.money import Money

CODE = r"[a-z0-9-]{3,32}"


class Affiliate(Entity, Timestamped):
    """An organization with a code of its own. Who follows its link and pays for a first order earns it a commission."""

    tenancy = tenancy.OWNED

    organization = models.OneToOneField(Organization, on_delete=models.PROTECT, related_name="affiliate")
    code = models.CharField(
        _("code"),
        max_length=32,
        unique=True,
        validators=[RegexValidator(rf"^{CODE}\Z", _("3 to 32 small letters, digits and hyphens."))],
        help_text=_("Part of the affiliate's link."),
    )
    is_active = models.BooleanField(_("active"), default=True, help_text=_("Only an active affiliate earns more."))

    class Meta:
        verbose_name = _("affiliate")
        verbose_name_plural = _("affiliates")
        constraints = [
            models.CheckConstraint(name="orders_affiliate_code_characters", condition=models.Q(code__regex=f"^{CODE}$"))
        ]

    def __str__(self) -> str:
        return self.code


class AffiliateClicks(Entity, Timestamped):
    """How many browsers followed an affiliate's link on one day, and how many signed up. Nothing says who they were."""

    tenancy = tenancy.OWNED

    affiliate = models.ForeignKey(Affiliate, on_delete=models.PROTECT, related_name="clicks", db_index=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    clicked_on = models.DateField(_("day"))
    count = models.PositiveIntegerField(_("clicks"), default=0)
    sign_ups = models.PositiveIntegerField(_("sign-ups"), default=0)

    class Meta:
        verbose_name = _("affiliate's clicks")
        verbose_name_plural = _("affiliates' clicks")
        ordering = ["-clicked_on"]
        constraints = [models.UniqueConstraint(fields=["affiliate", "clicked_on"], name="orders_clicks_once_a_day")]

    def __str__(self) -> str:
        return f"{self.clicked_on}: {self.count}"


class ReferralStatus(StatusChoices):
    PENDING = "pending", Tone.INFO, _("On hold")
    EARNED = "earned", Tone.SUCCESS, _("Earned")
    REVERSED = "reversed", Tone.NEUTRAL, _("Reversed")
    REFUSED = "refused", Tone.NEUTRAL, _("Refused")


_S = ReferralStatus


class Referral(StateMachine, Entity, Timestamped):
    """A customer's first paid order that came by an affiliate's link, and the commission for it.

    It is on hold while the money may still go back, and posted to the ledger when it is earned. What goes back later is
    taken back there.
    """

    tenancy = tenancy.OWNED
    hidden_fields = ("customer", "order", "reason")
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        _S.PENDING: {_S.EARNED, _S.REVERSED},
        _S.EARNED: {_S.REVERSED},
        _S.REVERSED: {_S.EARNED},  # the refund failed, or the dispute was won on appeal
        _S.REFUSED: set(),
    }

    affiliate = models.ForeignKey(Affiliate, on_delete=models.PROTECT, related_name="referrals")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="referrals")
    customer = models.OneToOneField(
        Organization, on_delete=models.PROTECT, related_name="referral", verbose_name=_("customer")
    )
    order = models.OneToOneField("orders.Order", on_delete=models.PROTECT, related_name="referral")
    status = StatusField(max_length=8, choices=ReferralStatus, default=ReferralStatus.PENDING)
    reason = models.CharField(_("reason"), max_length=64, blank=True, default="")
    currency = models.CharField(max_length=3)
    percent = models.DecimalField(_("percent"), max_digits=7, decimal_places=4)
    commission_minor = models.BigIntegerField(_("commission"), help_text=_("Of what was paid without tax."))
    credited_minor = models.BigIntegerField(
        _("credited"), default=0, help_text=_("What of the invoice's net had gone back when it was decided.")
    )
    paid_at = models.DateTimeField(_("paid at"))
    hold_until = models.DateTimeField(_("on hold until"))
    closed_at = models.DateTimeField(_("decided at"), null=True, blank=True)

    class Meta:
        verbose_name = _("referral")
        verbose_name_plural = _("referrals")
        ordering = ["-paid_at"]
        indexes = [
            models.Index(
                fields=["hold_until"], condition=models.Q(status=ReferralStatus.PENDING), name="orders_referral_on_hold"
            )
        ]
        constraints = [
            choices_check("orders_referral_status_known", "status", ReferralStatus),
            iff("orders_referral_open_iff_pending", models.Q(status="pending"), models.Q(closed_at__isnull=True)),
            models.CheckConstraint(
                name="orders_referral_commission_positive",
                condition=models.Q(commission_minor__gt=0) | models.Q(status__in=["reversed", "refused"]),
            ),
            models.CheckConstraint(
                name="orders_referral_percent_within", condition=models.Q(percent__gt=0, percent__lte=Decimal(100))
            ),
            models.CheckConstraint(
                name="orders_referral_not_of_itself", condition=~models.Q(customer=models.F("organization"))
            ),
        ]

    @property
    def commission(self) -> Money:
        """What the affiliate gets for it."""
        return Money(self.commission_minor, self.currency)

    def __str__(self) -> str:
        return str(self.commission)


class CommissionPayout(Entity, Timestamped):
    """Commission that an affiliate moved to their wallet."""

    tenancy = tenancy.OWNED
    append_only = True

    affiliate = models.ForeignKey(Affiliate, on_delete=models.PROTECT, related_name="payouts")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField(_("amount"))
    paid_currency = models.CharField(_("currency paid"), max_length=3)
    paid_minor = models.BigIntegerField(_("paid"), help_text=_("What came into the wallet, in its currency."))
    paid_out_at = models.DateTimeField(_("paid out at"))

    class Meta:
        verbose_name = _("commission payout")
        verbose_name_plural = _("commission payouts")
        ordering = ["-paid_out_at"]
        constraints = [
            models.CheckConstraint(
                name="orders_payout_positive", condition=models.Q(amount_minor__gt=0, paid_minor__gt=0)
            ),
            models.CheckConstraint(
                name="orders_payout_same_currency_same_amount",
                condition=~models.Q(currency=models.F("paid_currency")) | models.Q(amount_minor=models.F("paid_minor")),
            ),
        ]

    @property
    def amount(self) -> Money:
        """What was moved."""
        return Money(self.amount_minor, self.currency)

    @property
    def paid(self) -> Money:
        """What it came to in the wallet."""
        return Money(self.paid_minor, self.paid_currency)

    def __str__(self) -> str:
        return str(self.amount)
