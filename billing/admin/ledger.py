"""The ledger, read-only: a mistake is corrected by another entry, made by a service."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from billing.models import JournalEntry, LedgerAccount, Posting
from core.admin_base import ReadOnlyAdmin, ReadOnlyInline
from core.money import Money


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
    """The accounts, with the sum of their postings as balance."""

    list_display = ("kind", "organization", "gateway", "currency", "posted_balance")
    list_filter = ("kind", "currency", "gateway")
    list_select_related = ("organization",)
    search_fields = ("organization__name",)

    def get_queryset(self, request: HttpRequest) -> Any:
        """Accounts with their balances."""
        return super().get_queryset(request).with_posted_minor()

    @admin.display(description=gettext_lazy("balance"), ordering="posted_minor")
    def posted_balance(self, row: Any) -> str:
        """What is posted on the account, and on which side."""
        text = str(Money(abs(row.posted_minor), row.currency))
        if row.posted_minor < 0:
            return _("%(amount)s debit") % {"amount": text}
        return _("%(amount)s credit") % {"amount": text} if row.posted_minor else text


@admin.register(Posting)
class PostingAdmin(ReadOnlyAdmin):
    """Every amount on every account."""

    list_display = ("entry", "account", "organization", "amount_minor")
    list_filter = ("account__kind", "currency")
    list_select_related = ("entry", "account", "organization")
    search_fields = ("entry__reference", "organization__name")
    ordering = ("-id",)
