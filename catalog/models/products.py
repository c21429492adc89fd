"""What is for sale: products, plans and their versioned prices, add-ons."""

from decimal import Decimal

from django.db import models
from django.utils.translation import gettext_lazy as _

from catalog import events
from core import tenancy
from core.models import Entity, Timestamped, choices_check, iff
from core.money import Money, Rate

MAX_UNITS = 1000


class Kind(models.TextChoices):
    GAME = "game", _("Game server")
    VPS = "vps", _("VPS")
    CONTAINER = "container", _("Container")


class Term(models.TextChoices):
    HOURLY = "hourly", _("Hourly")
    MONTHLY = "monthly", _("Monthly")
    QUARTERLY = "quarterly", _("Quarterly")
    SEMIANNUALLY = "semiannually", _("Every six months")
    YEARLY = "yearly", _("Yearly")

    @property
    def months(self) -> int:
        """Calendar months of a period; 0 for hourly."""
        return {"hourly": 0, "monthly": 1, "quarterly": 3, "semiannually": 6, "yearly": 12}[self.value]


class Product(Entity, Timestamped):
    """What customers look for by name, such as Minecraft."""

    tenancy = tenancy.SHARED

    kind = models.CharField(max_length=10, choices=Kind)
    slug = models.SlugField(_("slug"), max_length=64, unique=True, help_text=_("Part of the product's web address."))
    name = models.CharField(max_length=100)
    tagline = models.CharField(_("tagline"), max_length=191, blank=True, help_text=_("One line under the name."))
    description = models.TextField(blank=True)
    features = models.JSONField(default=list, blank=True)
    category = models.CharField(_("category"), max_length=64, blank=True, db_index=True)
    is_active = models.BooleanField(_("active"), default=True, help_text=_("Only active products are sold."))
    position = models.PositiveIntegerField(_("position"), default=0, help_text=_("Lower numbers come first."))

    class Meta:
        verbose_name = _("product")
        verbose_name_plural = _("products")
        ordering = ["position", "name"]
        constraints = [choices_check("catalog_product_kind_known", "kind", Kind)]

    def __str__(self) -> str:
        return self.name


class Plan(Entity, Timestamped):
    """A size of a product. Units: cpu in percent of one core, memory and disk in MiB."""

    tenancy = tenancy.SHARED
    hidden_fields = ("cost_minor", "cost_currency")

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="plans")
    code = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=100)
    cpu_percent = models.IntegerField(_("CPU (% of a core)"), help_text=_("100 is one core."))
    memory_mib = models.IntegerField(_("memory (MiB)"))
    disk_mib = models.IntegerField(_("disk (MiB)"))
    network_mbps = models.PositiveIntegerField(_("network (Mbit/s)"), default=1000)
    databases = models.PositiveIntegerField(_("databases"), default=0)
    backups = models.PositiveIntegerField(_("backups"), default=0)
    ports = models.PositiveIntegerField(_("ports"), default=1)
    cost_minor = models.BigIntegerField(
        _("own cost per month"),
        null=True,
        blank=True,
        help_text=_("Such as 4.50. Customers never see it."),
    )
    cost_currency = models.CharField(_("currency of the cost"), max_length=3, blank=True, default="")
    stock = models.PositiveIntegerField(_("stock"), null=True, blank=True, help_text=_("Empty: unlimited."))
    is_active = models.BooleanField(_("active"), default=True, help_text=_("Only active plans are sold."))
    position = models.PositiveIntegerField(_("position"), default=0, help_text=_("Lower numbers come first."))

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        ordering = ["position", "memory_mib"]
        constraints = [
            models.CheckConstraint(
                name="catalog_plan_sizes_positive",
                condition=models.Q(cpu_percent__gt=0, memory_mib__gt=0, disk_mib__gt=0),
            ),
            iff("catalog_plan_cost_has_currency", models.Q(cost_minor__isnull=True), models.Q(cost_currency="")),
        ]

    def clean(self) -> None:
        """Refuse an active plan that a receiver of `plan_entered` refuses. Raises ValidationError, by field."""
        if self.is_active and hasattr(self, "product"):
            events.plan_entered.send(Plan, plan=self)

    def __str__(self) -> str:
        return self.code


class Image(Entity, Timestamped):
    """An operating system that a machine can begin with, and the plans that take it."""

    tenancy = tenancy.SHARED

    code = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=100)
    plans = models.ManyToManyField(Plan, related_name="images", blank=True, verbose_name=_("plans"))
    is_active = models.BooleanField(_("active"), default=True)
    position = models.PositiveIntegerField(_("position"), default=0, help_text=_("Lower numbers come first."))

    class Meta:
        verbose_name = _("image")
        verbose_name_plural = _("images")
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name


class Price(Entity, Timestamped):
    """A price as offered from one instant on. Never edited, only superseded: what was sold keeps its price."""

    term = models.CharField(_("billing cycle"), max_length=12, choices=Term)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField(_("amount"), help_text=_("What one period costs when it is billed alone."))
    rate_minor = models.DecimalField(
        _("rate"),
        max_digits=20,
        decimal_places=10,
        null=True,
        blank=True,
        help_text=_("The exact price of an hour, which may be finer than an amount. Only hourly prices have one."),
    )
    offered_at = models.DateTimeField()
    superseded_at = models.DateTimeField(
        _("superseded at"), null=True, blank=True, help_text=_("Empty: this is the current price.")
    )

    class Meta:
        abstract = True

    @property
    def amount(self) -> Money:
        """What one period costs when it is billed alone."""
        return Money(self.amount_minor, self.currency)

    @property
    def unit_price(self) -> Money | Rate:
        """What one period costs, exactly: for an hour it may be finer than any amount."""
        return self.amount if self.rate_minor is None else Rate(self.rate_minor, self.currency)


def rate_checks(model: str) -> list[models.CheckConstraint]:
    """An hourly price has a rate, which its amount rounds; others have none."""
    half = Decimal("0.5")
    return [
        iff(f"catalog_{model}_rate_iff_hourly", models.Q(term=Term.HOURLY), models.Q(rate_minor__isnull=False)),
        models.CheckConstraint(
            name=f"catalog_{model}_amount_rounds_rate",
            condition=models.Q(rate_minor__isnull=True)
            | models.Q(
                rate_minor__gte=0,
                amount_minor__gte=models.F("rate_minor") - half,
                amount_minor__lte=models.F("rate_minor") + half,
            ),
        ),
    ]


class PlanPrice(Price):
    """A plan's price for a term in a currency."""

    tenancy = tenancy.SHARED

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="prices")
    setup_fee_minor = models.BigIntegerField(_("setup fee"), default=0)

    class Meta:
        verbose_name = _("plan price")
        verbose_name_plural = _("plan prices")
        constraints = [
            models.UniqueConstraint(
                fields=["plan", "term", "currency"],
                condition=models.Q(superseded_at__isnull=True),
                name="catalog_plan_price_one_current",
            ),
            models.CheckConstraint(
                name="catalog_plan_price_not_negative", condition=models.Q(amount_minor__gte=0, setup_fee_minor__gte=0)
            ),
            choices_check("catalog_plan_price_term_known", "term", Term),
            *rate_checks("plan_price"),
        ]

    @property
    def setup_fee(self) -> Money:
        """Paid once, with the first period."""
        return Money(self.setup_fee_minor, self.currency)

    def __str__(self) -> str:
        return f"{self.unit_price}, {self.get_term_display()}"


class AddonKind(models.TextChoices):
    CPU = "cpu", _("More CPU")
    MEMORY = "memory", _("More memory")
    DISK = "disk", _("More disk")
    BACKUPS = "backups", _("More backups")
    DATABASES = "databases", _("More databases")
    PORTS = "ports", _("More ports")
    DEDICATED_IP = "dedicated_ip", _("Dedicated IP")
    DDOS = "ddos", _("DDoS protection")


class Addon(Entity, Timestamped):
    """Something added to a server for a price: `quantity` of what its kind says.

    Units: MiB of memory and disk, percent of a core of CPU. Of one with a unit price customers choose how many they
    add, up to `max_units`: its price, and its quantity, are those of one.
    """

    tenancy = tenancy.SHARED
    hidden_fields = ("cost_minor", "cost_currency")

    code = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=191, blank=True)
    kind = models.CharField(max_length=16, choices=AddonKind)
    quantity = models.PositiveIntegerField(
        _("quantity"),
        default=1,
        help_text=_("How much one add-on adds: MiB of memory or disk, percent of a CPU core, else how many."),
    )
    max_units = models.PositiveIntegerField(
        _("at most"),
        default=1,
        help_text=_("More than 1: customers choose on a slider how many they add, each at its price."),
    )
    products = models.ManyToManyField(
        Product,
        related_name="addons",
        blank=True,
        verbose_name=_("products"),
        help_text=_("Where it is offered. None chosen: nowhere."),
    )
    cost_minor = models.BigIntegerField(
        _("own cost per month"),
        null=True,
        blank=True,
        help_text=_("Of one, such as 0.40. Customers never see it."),
    )
    cost_currency = models.CharField(_("currency of the cost"), max_length=3, blank=True, default="")
    is_active = models.BooleanField(_("active"), default=True, help_text=_("Only active add-ons are sold."))
    position = models.PositiveIntegerField(_("position"), default=0, help_text=_("Lower numbers come first."))

    class Meta:
        verbose_name = _("add-on")
        verbose_name_plural = _("add-ons")
        ordering = ["position", "name"]
        constraints = [
            choices_check("catalog_addon_kind_known", "kind", AddonKind),
            models.CheckConstraint(
                name="catalog_addon_units_within", condition=models.Q(max_units__gte=1, max_units__lte=MAX_UNITS)
            ),
            iff("catalog_addon_cost_has_currency", models.Q(cost_minor__isnull=True), models.Q(cost_currency="")),
        ]

    def __str__(self) -> str:
        return self.name


class AddonPrice(Price):
    """An add-on's price for a term in a currency."""

    tenancy = tenancy.SHARED

    addon = models.ForeignKey(Addon, on_delete=models.PROTECT, related_name="prices")

    class Meta:
        verbose_name = _("add-on price")
        verbose_name_plural = _("add-on prices")
        constraints = [
            models.UniqueConstraint(
                fields=["addon", "term", "currency"],
                condition=models.Q(superseded_at__isnull=True),
                name="catalog_addon_price_one_current",
            ),
            models.CheckConstraint(name="catalog_addon_price_not_negative", condition=models.Q(amount_minor__gte=0)),
            choices_check("catalog_addon_price_term_known", "term", Term),
            *rate_checks("addon_price"),
        ]

    def __str__(self) -> str:
        return f"{self.unit_price}, {self.get_term_display()}"
