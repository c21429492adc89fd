"""Rates of tax by country and region."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import tenancy
from core.models import Entity, Timestamped, choices_check, iff


class TaxCategory(models.TextChoices):
    """Why a rate applies, by the codes of EN 16931 (UNTDID 5305)."""

    STANDARD = "S", _("Taxed")
    REVERSE_CHARGE = "AE", _("Reverse charge")
    EXPORT = "G", _("Export, not taxed")
    OUTSIDE = "O", _("Outside the scope of tax")
    EXEMPT = "E", _("Exempt")

    @property
    def reason(self) -> str:
        """Why nothing is charged, as printed; empty where something is."""
        texts = {
            TaxCategory.REVERSE_CHARGE: _("Reverse charge: the VAT is owed by the customer."),
            TaxCategory.EXPORT: _("Export outside the EU: no VAT is charged."),
            TaxCategory.OUTSIDE: _("Not subject to tax at the seller's place."),
            TaxCategory.EXEMPT: _("Exempt: the seller is a small business and charges no tax."),
        }
        return str(texts.get(self, ""))


class TaxStatus(models.TextChoices):
    """The seller's: without one, documents say nothing about tax."""

    NONE = "none", _("Not set")
    SMALL_BUSINESS = "small_business", _("Small business, charges no tax")
    REGISTERED = "registered", _("Registered for tax")


class TaxRate(Entity, Timestamped):
    """What customers of a country, or of one of its regions, are taxed with from `valid_from` until `valid_until`.

    At any time a place has one rate at most: the database refuses a second one (billing_tax_rate_one_at_a_time).
    """

    tenancy = tenancy.SHARED

    country = models.CharField(_("country"), max_length=2, help_text=_("The code of a country, such as DE."))
    region = models.CharField(
        _("region"),
        max_length=100,
        blank=True,
        default="",
        help_text=_("As in addresses; empty for the whole country."),
    )
    category = models.CharField(_("category"), max_length=2, choices=TaxCategory, default=TaxCategory.STANDARD)
    name = models.CharField(_("name"), max_length=64, default="VAT", help_text=_("As printed, such as VAT."))
    rate = models.DecimalField(_("rate"), max_digits=20, decimal_places=10, help_text=_("Percent."))
    valid_from = models.DateTimeField(_("valid from"))
    valid_until = models.DateTimeField(_("valid until"), null=True, blank=True)

    class Meta:
        verbose_name = _("tax rate")
        verbose_name_plural = _("tax rates")
        ordering = ["country", "region", "valid_from"]
        constraints = [
            choices_check("billing_tax_rate_category_known", "category", TaxCategory),
            models.CheckConstraint(
                name="billing_tax_rate_country_iso", condition=models.Q(country__regex="^[A-Z]{2}$")
            ),
            models.CheckConstraint(name="billing_tax_rate_is_percent", condition=models.Q(rate__gte=0, rate__lte=100)),
            iff("billing_tax_rate_iff_taxed", models.Q(category=TaxCategory.STANDARD), models.Q(rate__gt=0)),
            # Who owes reverse charge follows from the customer's VAT ID, not from a place.
            models.CheckConstraint(
                name="billing_tax_rate_not_reverse_charge", condition=~models.Q(category=TaxCategory.REVERSE_CHARGE)
            ),
            models.CheckConstraint(
                name="billing_tax_rate_valid_forward",
                condition=models.Q(valid_until__isnull=True) | models.Q(valid_until__gt=models.F("valid_from")),
            ),
        ]

    @property
    def jurisdiction(self) -> str:
        """As invoices name it: "DE", "US-CA"."""
        return f"{self.country}-{self.region}" if self.region else self.country

    def __str__(self) -> str:
        return f"{self.name} {self.jurisdiction} {self.rate.normalize():f} %"
