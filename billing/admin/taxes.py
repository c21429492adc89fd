"""Tax rates: entered by staff, and ended when another follows."""

from django.contrib import admin

from billing.models import TaxRate
from core.admin_base import ReadOnlyAdmin


@admin.register(TaxRate)
class TaxRateAdmin(ReadOnlyAdmin):
    """What customers of a place are taxed with, and since when. Issued invoices keep the rate they were issued with."""

    list_display = ("__str__", "country", "region", "category", "rate", "valid_from", "valid_until")
    list_filter = ("category", "country")
    search_fields = ("=country", "region", "name")
    date_hierarchy = "valid_from"
    addable = ("country", "region", "category", "name", "rate", "valid_from", "valid_until")
    editable = ("valid_until",)
