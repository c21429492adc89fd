"""Orders: what was bought, at which prices, and its status."""

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models import AllocationReversal, Invoice, InvoiceState, Payment, PaymentState, Subscription
from catalog.models import Addon, AddonPrice, Coupon, Image, PlanPrice, Promotion
from core import tenancy
from core.models import Entity, StateMachine, StatusChoices, StatusField, Timestamped, Tone, choices_check
from core.money import Money, total
from orders.affiliates.models import Affiliate, AffiliateClicks, CommissionPayout, Referral
from orders.changes.models import PlanChange
from orders.imports.models import ImportOutcome, ImportRow, ImportState, ImportTask, ServerImport
from orders.transfers.models import ServerTransfer
from orders.waitlist.models import WaitlistEntry
from servers.models import Region, Reservation, Server

__all__ = [
    "Affiliate",
    "AffiliateClicks",
    "CommissionPayout",
    "ImportOutcome",
    "ImportRow",
    "ImportState",
    "ImportTask",
    "Order",
    "OrderItem",
    "OrderItemAddon",
    "OrderStatus",
    "OrderStatusChange",
    "PlanChange",
    "Referral",
    "ServerImport",
    "ServerTransfer",
    "WaitlistEntry",
]


class OrderStatus(StatusChoices):
    PENDING_PAYMENT = "pending_payment", Tone.WARNING, _("Waiting for payment")
    PAID = "paid", Tone.SUCCESS, _("Paid")
    PROVISIONING = "provisioning", Tone.INFO, _("Setting up")
    ACTIVE = "active", Tone.SUCCESS, _("Active")
    WAITING_CAPACITY = "waiting_capacity", Tone.WARNING, _("Waiting for capacity")
    CANCELED = "canceled", Tone.NEUTRAL, _("Canceled")
    FAILED = "failed", Tone.DANGER, _("Failed")


_S = OrderStatus


class Order(StateMachine, Entity, Timestamped):
    """A purchase. `form_token` makes a doubled submit one order; an order gives it up when its form orders another."""

    tenancy = tenancy.OWNED
    hidden_fields = ("referred_by",)
    TRANSITIONS: ClassVar[dict[Any, set[Any]]] = {
        _S.PENDING_PAYMENT: {_S.PAID, _S.CANCELED},
        _S.PAID: {_S.PROVISIONING, _S.WAITING_CAPACITY, _S.FAILED, _S.CANCELED},
        _S.WAITING_CAPACITY: {_S.PROVISIONING, _S.CANCELED},
        _S.PROVISIONING: {_S.ACTIVE, _S.FAILED, _S.CANCELED},
        _S.FAILED: {_S.PROVISIONING, _S.ACTIVE, _S.CANCELED},
        _S.ACTIVE: {_S.CANCELED},
        _S.CANCELED: {_S.PAID},  # a payment that arrives after the order expired revives it
    }

    number = models.BigIntegerField(
        unique=True, editable=False, db_default=models.Func(models.Value("orders_order_number"), function="nextval")
    )
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="orders", db_index=False)
    placed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders")
    placed_from = models.GenericIPAddressField(
        _("placed from"), null=True, blank=True, help_text=_("The client's address; of IPv6 its network.")
    )
    referred_by = models.ForeignKey(
        Affiliate,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="orders",
        verbose_name=_("affiliate"),
        help_text=_("Whose link the customer had followed."),
    )
    form_token = models.UUIDField(_("form token"), null=True, blank=True)
    status = StatusField(max_length=16, choices=OrderStatus, default=OrderStatus.PENDING_PAYMENT)
    currency = models.CharField(max_length=3)
    total_minor = models.BigIntegerField(_("total"), help_text=_("Due when the order was placed."))
    uses_credit = models.BooleanField(
        _("uses credit"),
        default=False,
        help_text=_("The customer chose that the credit in their wallet pays what it can of the order."),
    )
    invoice = models.OneToOneField(Invoice, on_delete=models.PROTECT, related_name="order")
    placed_at = models.DateTimeField()
    expires_at = models.DateTimeField(
        _("payment due until"), help_text=_("An order that is still unpaid then is canceled and its capacity released.")
    )
    paid_at = models.DateTimeField(null=True, blank=True)
    active_at = models.DateTimeField(_("delivered at"), null=True, blank=True)
    canceled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("canceled by"),
        help_text=_(
            "A payment that arrives after a user canceled is refunded. After the order expired, it revives it."
        ),
    )
    refund_due_at = models.DateTimeField(
        _("automatic refund at"),
        null=True,
        blank=True,
        help_text=_("A paid order that cannot be delivered is refunded then."),
    )

    class Meta:
        verbose_name = _("order")
        verbose_name_plural = _("orders")
        ordering = ["-placed_at"]
        indexes = [
            models.Index(fields=["organization", "-placed_at"], name="orders_order_of_org"),
            models.Index(
                fields=["expires_at"],
                condition=models.Q(status=OrderStatus.PENDING_PAYMENT),
                name="orders_order_expiry",
            ),
            models.Index(
                fields=["refund_due_at"],
                condition=models.Q(status__in=[OrderStatus.WAITING_CAPACITY, OrderStatus.FAILED]),
                name="orders_order_stuck",
            ),
            models.Index(
                fields=["paid_at"],
                condition=models.Q(
                    status__in=[OrderStatus.PAID, OrderStatus.PROVISIONING, OrderStatus.WAITING_CAPACITY]
                ),
                name="orders_order_undelivered",
            ),
        ]
        constraints = [
            choices_check("orders_order_status_known", "status", OrderStatus),
            models.UniqueConstraint(fields=["organization", "form_token"], name="orders_form_token_once"),
            models.CheckConstraint(
                name="orders_paid_at_when_paid",
                condition=~models.Q(status__in=["paid", "provisioning", "active", "waiting_capacity", "failed"])
                | models.Q(paid_at__isnull=False),
            ),
            models.CheckConstraint(
                name="orders_active_at_when_active",
                condition=~models.Q(status="active") | models.Q(active_at__isnull=False),
            ),
        ]

    @property
    def total(self) -> Money:
        """Due today."""
        return Money(self.total_minor, self.currency)

    @property
    def credit(self) -> Money:
        """The wallet's credit that is reserved for its open payment."""
        reserved = (payment.credit for payment in self.invoice.payments.all() if payment.state in Payment.OPEN)
        return next(reserved, Money.zero(self.currency))

    @property
    def left_to_pay(self) -> Money:
        """What is due today, less the credit that is reserved for it."""
        return self.total - self.credit

    @property
    def is_credit_to_be_used(self) -> bool:
        """Whether the customer's next step to the payment page uses credit: none is reserved and no page was opened."""
        open_payments = [payment for payment in self.invoice.payments.all() if payment.state in Payment.OPEN]
        return self.uses_credit and not any(row.session_requested_at or row.credit_minor for row in open_payments)

    @property
    def has_open_payment(self) -> bool:
        """Whether a payment was begun and is neither made nor over."""
        return any(payment.state in Payment.OPEN for payment in self.invoice.payments.all())

    @property
    def charge(self) -> Payment | None:
        """The open charge of a saved card that pays it, or waits for the card's owner."""
        charges = [row for row in self.invoice.payments.all() if row.payment_method_id is not None]
        return next((row for row in charges if row.state == PaymentState.PENDING), None)

    @property
    def declined_charge(self) -> Payment | None:
        """Its last payment, where the saved card was refused."""
        last = max(self.invoice.payments.all(), key=lambda row: row.created_at, default=None)
        return last if last is not None and last.is_declined else None

    @property
    def is_payment_processing(self) -> bool:
        """Whether a bank is processing a payment for the order, which takes days."""
        return any(payment.state == PaymentState.PROCESSING for payment in self.invoice.payments.all())

    @property
    def has_several_servers(self) -> bool:
        """Whether some may run while the order waits for the others. A refund deletes them too."""
        return self.items.count() > 1

    @property
    def is_payment_under_review(self) -> bool:
        """Whether a payment has arrived that staff must check first: the order is neither paid nor unpaid."""
        return any(payment.state == PaymentState.UNDER_REVIEW for payment in self.invoice.payments.all())

    @property
    def refunded(self) -> Money:
        """What gateways send back, or have sent, of the payments for it."""
        payments = [row for row in self.invoice.payments.all() if row.received.currency == self.currency]
        return Money(sum(row.refunded_minor for row in payments), self.currency)

    @property
    def credited(self) -> Money:
        """What became credit: what it was paid with where that was credit, or the gateway sends no money back.

        Of an order that could not be paid any more, it is what arrived for it and was not refunded.
        """
        if self.invoice.state not in {InvoiceState.PAID, InvoiceState.REFUNDED}:
            arrived = [row for row in self.invoice.payments.all() if row.state == PaymentState.SUCCEEDED]
            left = (row.refundable for row in arrived if row.received.currency == self.currency)
            return total(left, self.currency)
        returned = AllocationReversal.objects.filter(
            allocation__invoice=self.invoice_id, refund=None, dispute=None, undone_at=None
        )
        minor = returned.aggregate(minor=models.Sum("amount_minor"))["minor"]
        return Money(minor or 0, self.currency)

    @property
    def is_payment_lost(self) -> bool:
        """Whether a bank took back a payment for the order for good."""
        return any(payment.lost_minor for payment in self.invoice.payments.all())

    def __str__(self) -> str:
        return f"#{self.number}"


class OrderItem(Entity, Timestamped):
    """One server of an order: plan price, region, name and options, its subscription, and once paid its server."""

    tenancy = tenancy.OWNED
    hidden_fields = ("build",)

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="items")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    plan_price = models.ForeignKey(PlanPrice, on_delete=models.PROTECT)
    promotion = models.ForeignKey(
        Promotion, null=True, blank=True, on_delete=models.PROTECT, verbose_name=_("promotion")
    )
    region = models.ForeignKey(Region, on_delete=models.PROTECT, verbose_name=_("region"))
    server_name = models.CharField(_("server name"), max_length=64)
    options: Any = models.JSONField(default=dict, blank=True)
    image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.PROTECT, verbose_name=_("image"))
    build: Any = models.JSONField(
        _("build"),
        default=dict,
        blank=True,
        help_text=_("What its machine or container is built from, as it was sold."),
    )
    is_stock_taken = models.BooleanField(
        _("takes limited stock"), default=False, help_text=_("One piece of the plan's limited stock is taken for it.")
    )
    reservation = models.OneToOneField(
        Reservation, null=True, blank=True, on_delete=models.PROTECT, related_name="order_item"
    )
    subscription = models.OneToOneField(Subscription, on_delete=models.PROTECT, related_name="order_item")
    server = models.OneToOneField(Server, null=True, blank=True, on_delete=models.PROTECT, related_name="order_item")

    class Meta:
        verbose_name = _("order item")
        verbose_name_plural = _("order items")

    @property
    def sold_addons(self) -> list[Addon]:
        """Its add-ons, each as often as it was ordered."""
        return [row.addon_price.addon for row in self.addons.all() for _unit in range(row.quantity)]

    def __str__(self) -> str:
        return self.server_name


class OrderItemAddon(Entity, Timestamped):
    """An add-on of an order's item, at the price it was ordered at, and how many of it."""

    tenancy = tenancy.OWNED

    item = models.ForeignKey(OrderItem, on_delete=models.PROTECT, related_name="addons", db_index=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    addon_price = models.ForeignKey(AddonPrice, on_delete=models.PROTECT, verbose_name=_("add-on price"))
    quantity = models.IntegerField(_("quantity"), default=1)

    class Meta:
        verbose_name = _("order add-on")
        verbose_name_plural = _("order add-ons")
        constraints = [
            models.UniqueConstraint(fields=["item", "addon_price"], name="orders_addon_once"),
            models.CheckConstraint(name="orders_addon_quantity_positive", condition=models.Q(quantity__gte=1)),
        ]

    def __str__(self) -> str:
        return str(self.addon_price)


class CouponRedemption(Entity, Timestamped):
    """One use of a coupon, by an order. It counts until it is given back, because the order was canceled.

    The database refuses a new one beyond the coupon's limits (migration 0003). An order that late money revives keeps
    its price, so it takes its use again whatever the limit.
    """

    tenancy = tenancy.OWNED

    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, related_name="redemptions", db_index=False)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="coupon_redemption")
    redeemed_at = models.DateTimeField(_("redeemed at"))
    given_back_at = models.DateTimeField(_("given back at"), null=True, blank=True)

    class Meta:
        verbose_name = _("use of a coupon")
        verbose_name_plural = _("uses of coupons")
        ordering = ["-redeemed_at"]
        indexes = [
            models.Index(
                fields=["coupon", "organization"],
                name="orders_redemption_counted",
                condition=models.Q(given_back_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return str(self.order)


class OrderStatusChange(Entity):
    """One change of an order's status: when, from what to what, why and by whom."""

    tenancy = tenancy.OWNED
    append_only = True

    order = models.ForeignKey(Order, on_delete=models.PROTECT, related_name="changes")
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT)
    old = StatusField(_("from"), max_length=16, choices=OrderStatus, blank=True, default="")
    new = StatusField(_("to"), max_length=16, choices=OrderStatus)
    reason = models.CharField(max_length=255, blank=True, default="")
    actor = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        related_name="+",
        verbose_name=_("by"),
    )
    at = models.DateTimeField()

    class Meta:
        verbose_name = _("order status change")
        verbose_name_plural = _("order status changes")
        ordering = ["at"]
        constraints = [
            models.CheckConstraint(
                name="orders_change_old_known", condition=models.Q(old__in=["", *OrderStatus.values])
            ),
            choices_check("orders_change_new_known", "new", OrderStatus),
        ]

    def __str__(self) -> str:
        return f"{self.old} → {self.new}"
