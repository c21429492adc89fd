"""The ledger, read-only: a mistake is corrected by another entry, made by a service."""

from django.contrib import admin

from billing.models import JournalEntry, LedgerAccount, Posting
from core.admin_base import ReadOnlyAdmin, ReadOnlyInline


class PostingInline(ReadOnlyInline):
    """An entry's postings."""

    model = Posting
    columns = ("account", "organization", "amount_minor", "currency")
    related = ("account", "organization")
    has_link = False


@admin.register(JournalEntry)
class JournalEntryAdmin(ReadOnlyAdmin):
    """Every entry of the ledger."""

    list_display = ("at", "kind", "reference", "organization", "note")
    list_filter = ("kind",)
    list_select_related = ("organization",)
    search_fields = ("reference", "organization__name")
    date_hierarchy = "at"
    ordering = ("-at",)
    inlines = (PostingInline,)


@admin.register(LedgerAccount)
class LedgerAccountAdmin(ReadOnlyAdmin):
    """The accounts; only wallets keep a running balance."""

    list_display = ("kind", "organization", "gateway", "currency", "balance_minor")
    list_filter = ("kind", "currency", "gateway")
    list_select_related = ("organization",)
    search_fields = ("organization__name",)


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    """Every amount on every account."""

    list_display = ("entry", "account", "organization", "amount_minor")
    list_filter = ("account__kind", "currency")
    list_select_related = ("entry", "account", "organization")
    search_fields = ("entry__reference", "organization__name")
    ordering = ("-id",)
