"""The double-entry ledger: append-only, every entry sums to zero in each currency, wallets never below zero.

Sign: what we owe or earn is positive (wallets, revenue), what we hold is negative (clearing: money a gateway has for
us). A payment of 800 cents posts clearing −800 and wallet +800; paying an invoice posts wallet −800 and revenue +800.
"""

from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from core import tenancy
from core.models import Entity, choices_check, iff


class AccountKind(models.TextChoices):
    WALLET = "wallet", _("Wallet")
    REVENUE = "revenue", _("Revenue")
    TAX = "tax", _("Tax")
    CLEARING = "clearing", _("Gateway clearing")
    FEES = "fees", _("Gateway fees")
    REFUNDS = "refunds", _("Refunds")
    DISPUTES = "disputes", _("Disputed payments")
    SUSPENSE = "suspense", _("Suspense (payments under review)")
    PROMOTION = "promotion", _("Promotional credit")
    ROUNDING = "rounding", _("Rounding")


class LedgerAccount(Entity):
    """One account in one currency. Only wallets keep a running balance: no other row is written by every charge."""

    tenancy = tenancy.OWNED

    kind = models.CharField(max_length=12, choices=AccountKind)
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT)
    gateway = models.CharField(max_length=16, blank=True, default="")
    currency = models.CharField(max_length=3)
    balance_minor = models.BigIntegerField(_("balance"), default=0)

    class Meta:
        verbose_name = _("ledger account")
        verbose_name_plural = _("ledger accounts")
        constraints = [
            models.UniqueConstraint(
                fields=["kind", "organization", "gateway", "currency"],
                nulls_distinct=False,
                name="billing_account_once",
            ),
            iff(
                "billing_wallet_iff_organization",
                models.Q(kind=AccountKind.WALLET),
                models.Q(organization__isnull=False),
            ),
            models.CheckConstraint(name="billing_wallet_not_negative", condition=models.Q(balance_minor__gte=0)),
            choices_check("billing_account_kind_known", "kind", AccountKind),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.gateway}{self.organization_id or ''} {self.currency}"


class EntryKind(models.TextChoices):
    PAYMENT = "payment", _("Payment received")
    CHARGE = "charge", _("Invoice paid from wallet")
    UNDER_REVIEW = "under_review", _("Payment under review")
    REVIEW_ACCEPTED = "review_accepted", _("Payment accepted after review")
    REFUND = "refund", _("Refund")
    REFUND_FAILED = "refund_failed", _("Refund that failed")
    DISPUTE = "dispute", _("Dispute: funds taken")
    DISPUTE_WON = "dispute_won", _("Dispute won: funds back")


class JournalEntry(Entity):
    """One event in the books. `reference` is its idempotency key: the same event cannot be posted twice."""

    tenancy = tenancy.OWNED
    append_only = True

    kind = models.CharField(max_length=16, choices=EntryKind)
    reference = models.CharField(max_length=191, unique=True)
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT)
    note = models.CharField(max_length=191, blank=True, default="")
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal entries")
        constraints = [choices_check("billing_entry_kind_known", "kind", EntryKind)]

    def __str__(self) -> str:
        return self.reference


class Posting(Entity):
    """A signed amount on one account; the postings of an entry sum to zero in each currency (deferred constraint)."""

    tenancy = tenancy.OWNED
    append_only = True

    entry = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="postings")
    account = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="postings")
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT)
    amount_minor = models.BigIntegerField(_("amount"))
    currency = models.CharField(max_length=3)

    class Meta:
        verbose_name = _("posting")
        verbose_name_plural = _("postings")
        constraints = [
            models.CheckConstraint(name="billing_posting_not_zero", condition=~models.Q(amount_minor=0)),
        ]

    def __str__(self) -> str:
        return f"{self.amount_minor} {self.currency}"
