"""Number series: a seller's runs of document numbers, without gaps and in order of time."""

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from core import site_settings, tenancy
from core.models import Timestamped, choices_check, iff


class DocumentKind(models.TextChoices):
    INVOICE = "invoice", _("Invoices")
    CREDIT_NOTE = "credit_note", _("Credit notes")


class InvoiceSeries(Timestamped):
    """A seller's run of numbers of invoices or of credit notes. The database gives them at commit."""

    tenancy = tenancy.PRIVATE

    code = models.CharField(max_length=16, primary_key=True)
    document = models.CharField(_("numbers"), max_length=11, choices=DocumentKind, default=DocumentKind.INVOICE)
    credit_note_series = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.PROTECT,
        verbose_name=_("series of its credit notes"),
        limit_choices_to={"document": DocumentKind.CREDIT_NOTE},
    )
    is_default = models.BooleanField(_("used for new invoices"), default=False)
    seller = models.CharField(
        _("seller"), max_length=100, blank=True, default="", help_text=_("As printed; the shop's name if empty.")
    )
    seller_address = models.TextField(_("seller's address"), max_length=500, blank=True, default="")
    seller_postal_code = models.CharField(_("seller's postal code"), max_length=32, blank=True, db_default="")
    seller_city = models.CharField(_("seller's city"), max_length=100, blank=True, db_default="")
    seller_country = models.CharField(
        _("seller's country"),
        max_length=2,
        blank=True,
        db_default="",
        help_text=_("The code of a country, such as DE."),
    )
    seller_tax_id = models.CharField(_("seller's tax ID"), max_length=32, blank=True, default="")
    seller_registration = models.CharField(
        _("seller's registration"), max_length=64, blank=True, db_default="", help_text=_("Such as HRB 12345.")
    )
    seller_note = models.TextField(
        _("at the foot"),
        max_length=500,
        blank=True,
        db_default="",
        help_text=_("On every document: your register, your bank, why you charge no tax."),
    )
    prefix = models.CharField(_("prefix"), max_length=16, blank=True, default="")
    width = models.PositiveSmallIntegerField(_("width"), default=5, help_text=_("Digits, with leading zeros."))
    restarts_yearly = models.BooleanField(
        _("restarts yearly"), default=True, help_text=_("The number then contains the year, such as NB-2026-00001.")
    )
    year = models.PositiveSmallIntegerField(_("year"), default=0, help_text=_("Of the next number; 0 if none."))
    next_number = models.PositiveBigIntegerField(_("next number"), default=1)
    last_issued_at = models.DateTimeField(_("last issued at"), null=True, blank=True)

    class Meta:
        verbose_name = _("number series")
        verbose_name_plural = _("number series")
        constraints = [
            choices_check("billing_series_document_known", "document", DocumentKind),
            iff(
                "billing_series_of_invoices_has_credit_notes",
                models.Q(document=DocumentKind.INVOICE),
                models.Q(credit_note_series__isnull=False),
            ),
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="billing_series_one_default"
            ),
            models.CheckConstraint(
                name="billing_series_seller_country_iso", condition=models.Q(seller_country__regex="^([A-Z]{2})?$")
            ),
            models.CheckConstraint(
                name="billing_series_default_is_of_invoices",
                condition=models.Q(is_default=False) | models.Q(document=DocumentKind.INVOICE),
            ),
        ]

    @property
    def seller_details(self) -> dict[str, Any]:
        """The seller as printed on a document, with the colour of its headings (`hue`)."""
        return {
            "name": self.seller or site_settings.get("shop.name"),
            "address": self.seller_address,
            "postal_code": self.seller_postal_code,
            "city": self.seller_city,
            "country": self.seller_country,
            "tax_id": self.seller_tax_id,
            "registration": self.seller_registration,
            "note": self.seller_note,
            "hue": site_settings.get("shop.brand_hue"),
        }

    def __str__(self) -> str:
        return self.code


class NumberedDocument(models.Model):
    """What invoices and credit notes share: the number, and the parties as they were when it was issued.

    The number comes when the transaction commits: `number` (as printed), `sequence` (the integer, unique in its series
    and year), and `issued_at`, which is never before that of a lower number, nor in the future by the database's clock.
    """

    series = models.ForeignKey(InvoiceSeries, on_delete=models.PROTECT, db_index=False)
    number = models.CharField(max_length=64, null=True, blank=True, unique=True)
    sequence_year = models.PositiveSmallIntegerField(null=True, blank=True)
    sequence = models.BigIntegerField(null=True, blank=True)
    issued_at = models.DateTimeField(null=True, blank=True)
    seller: Any = models.JSONField(default=dict, blank=True)
    billing_address: Any = models.JSONField(default=dict, blank=True)

    class Meta:
        abstract = True
        indexes = [
            models.Index(
                fields=["series"],
                condition=models.Q(number__isnull=True, issued_at__isnull=False),
                name="billing_%(class)s_to_number",
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["series", "sequence_year", "sequence"], name="billing_%(class)s_sequence_once"
            ),
            models.CheckConstraint(
                name="billing_%(class)s_number_has_sequence",
                condition=models.Q(number__isnull=True, sequence__isnull=True, sequence_year__isnull=True)
                | models.Q(
                    number__isnull=False,
                    sequence__isnull=False,  # a CHECK lets a comparison with null pass
                    sequence__gt=0,
                    sequence_year__isnull=False,
                    issued_at__isnull=False,
                ),
            ),
        ]
