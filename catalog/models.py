"""What is for sale: products, plans and their versioned prices, add-ons."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Timestamped, choices_check
from core.money import Money


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
    slug = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=100)
    tagline = models.CharField(max_length=191, blank=True)
    description = models.TextField(blank=True)
    features = models.JSONField(default=list, blank=True)
    category = models.CharField(max_length=64, blank=True, db_index=True)
    is_active = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=0)

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

    product = models.ForeignKey(Product, on_delete=models.PROTECT, related_name="plans")
    code = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=100)
    cpu_percent = models.PositiveIntegerField()
    memory_mib = models.PositiveIntegerField()
    disk_mib = models.PositiveIntegerField()
    network_mbps = models.PositiveIntegerField(default=1000)
    databases = models.PositiveIntegerField(default=0)
    backups = models.PositiveIntegerField(default=0)
    ports = models.PositiveIntegerField(default=1)
    cost_minor = models.BigIntegerField(null=True, blank=True)
    cost_currency = models.CharField(max_length=3, blank=True, default="")
    stock = models.PositiveIntegerField(null=True, blank=True, help_text=_("Empty: unlimited."))
    is_active = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("plan")
        verbose_name_plural = _("plans")
        ordering = ["position", "memory_mib"]
        constraints = [
            models.CheckConstraint(name="catalog_plan_has_a_port", condition=models.Q(ports__gte=1)),
            models.CheckConstraint(
                name="catalog_plan_sizes_positive",
                condition=models.Q(cpu_percent__gt=0, memory_mib__gt=0, disk_mib__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return self.code


class Price(Entity):
    """A price as offered from one instant on. Never edited, only superseded: what was sold keeps its price."""

    term = models.CharField(max_length=12, choices=Term)
    currency = models.CharField(max_length=3)
    amount_minor = models.BigIntegerField()
    stripe_price_id = models.CharField(max_length=64, blank=True, default="")
    offered_at = models.DateTimeField()
    superseded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    @property
    def amount(self) -> Money:
        """What one period costs."""
        return Money(self.amount_minor, self.currency)


class PlanPrice(Price):
    """A plan's price for a term in a currency."""

    tenancy = tenancy.SHARED

    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="prices")
    setup_fee_minor = models.BigIntegerField(default=0)

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
        ]

    @property
    def setup_fee(self) -> Money:
        """Paid once, with the first period."""
        return Money(self.setup_fee_minor, self.currency)

    def __str__(self) -> str:
        return f"{self.plan_id} {self.term} {self.amount}"


class AddonKind(models.TextChoices):
    MEMORY = "memory", _("More memory")
    DISK = "disk", _("More disk")
    BACKUPS = "backups", _("More backups")
    DATABASES = "databases", _("More databases")
    PORTS = "ports", _("More ports")
    DEDICATED_IP = "dedicated_ip", _("Dedicated IP")
    DDOS = "ddos", _("DDoS protection")


class Addon(Entity, Timestamped):
    """Something added to a server for a price: `quantity` of what its kind says (MiB for memory and disk)."""

    tenancy = tenancy.SHARED

    code = models.SlugField(max_length=64, unique=True)
    name = models.CharField(max_length=100)
    description = models.CharField(max_length=191, blank=True)
    kind = models.CharField(max_length=16, choices=AddonKind)
    quantity = models.PositiveIntegerField(default=1)
    products = models.ManyToManyField(Product, related_name="addons", blank=True)
    is_active = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("add-on")
        verbose_name_plural = _("add-ons")
        ordering = ["position", "name"]
        constraints = [choices_check("catalog_addon_kind_known", "kind", AddonKind)]

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
        ]

    def __str__(self) -> str:
        return f"{self.addon_id} {self.term} {self.amount}"
