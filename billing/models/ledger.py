"""The double-entry ledger: append-only, and every entry sums to zero in each currency.

Sign: what we owe or earn is positive (wallets, revenue), what we hold or are owed is negative (clearing: money a
gateway has for us; receivable: what an organization owes us). A payment of 800 cents posts clearing −800 and wallet
+800; paying an invoice posts wallet −800 and revenue +800.
"""

from typing import Any, ClassVar, Self

from django.db import models
from django.db.models.functions import Coalesce
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.keys import unchecked_key
from core import tenancy
from core.models import Entity, Timestamped, choices_check, iff
from core.money import Money


class AccountKind(models.TextChoices):
    # One for each organization
    WALLET = "wallet", _("Wallet")
    RESERVED_CREDIT = "reserved_credit", _("Credit reserved for open payments and disputes")
    PROMOTIONAL_CREDIT = "promotional_credit", _("Promotional credit")
    COMMISSION = "commission", _("Affiliate commission")
    RECEIVABLE = "receivable", _("Receivable")
    # The shop's own
    REVENUE = "revenue", _("Revenue")
    DEFERRED_REVENUE = "deferred_revenue", _("Deferred revenue")
    TAX = "tax", _("Tax")
    CLEARING = "clearing", _("Gateway clearing")
    BANK = "bank", _("Bank (payouts)")
    GATEWAY_FEES = "gateway_fees", _("Gateway fees")
    DISPUTE_FEES = "dispute_fees", _("Dispute fees")
    REFUNDS = "refunds", _("Refunds")
    DISPUTES = "disputes", _("Disputed payments")
    SUSPENSE = "suspense", _("Suspense (payments under review)")
    UNEXPLAINED = "unexplained", _("Unexplained")
    PROMOTIONS = "promotions", _("Promotions given")
    COMMISSIONS = "commissions", _("Commissions given")
    FX = "fx", _("Currency exchange")
    ROUNDING = "rounding", _("Rounding")


# Kinds that belong to an organization and keep a running balance.
ORGANIZATION_KINDS = (
    AccountKind.WALLET,
    AccountKind.RESERVED_CREDIT,
    AccountKind.PROMOTIONAL_CREDIT,
    AccountKind.COMMISSION,
    AccountKind.RECEIVABLE,
)


class LedgerAccountQuerySet(models.QuerySet["LedgerAccount"]):
    """Accounts with what is posted on them."""

    def with_posted_minor(self) -> Self:
        """Each account with `posted_minor`, the sum of its postings: the balance of accounts that keep none."""
        sums = Posting.objects.filter(account=models.OuterRef("pk")).order_by().values("account")
        posted = models.Subquery(sums.annotate(total=models.Sum("amount_minor")).values("total"))
        return self.annotate(posted_minor=Coalesce(posted, 0, output_field=models.BigIntegerField()))


class LedgerAccount(Entity, Timestamped):
    """One account in one currency. The shop's own keep no running balance: every charge would write the same row."""

    tenancy = tenancy.OWNED

    kind = models.CharField(max_length=20, choices=AccountKind)
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT)
    gateway = models.CharField(max_length=16, blank=True, default="")
    currency = models.CharField(max_length=3)
    balance_minor = models.BigIntegerField(_("balance"), default=0)
    promotional_minor = models.BigIntegerField(
        _("promotional credit beside it"), default=0, help_text=_("Of a wallet: it is spent first.")
    )

    objects: ClassVar[LedgerAccountQuerySet] = LedgerAccountQuerySet.as_manager()  # type: ignore[assignment]

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
                "billing_account_organization_iff_its_kind",
                models.Q(kind__in=ORGANIZATION_KINDS),
                models.Q(organization__isnull=False),
            ),
            models.CheckConstraint(
                name="billing_account_not_overdrawn",
                condition=models.Q(kind=AccountKind.RECEIVABLE, balance_minor__lte=0)
                | models.Q(kind=AccountKind.COMMISSION)  # below zero: taken from what the affiliate earns later
                | (~models.Q(kind=AccountKind.RECEIVABLE) & models.Q(balance_minor__gte=0)),
            ),
            models.CheckConstraint(
                name="billing_account_promotional_beside_wallet",
                condition=models.Q(promotional_minor=0) | models.Q(kind=AccountKind.WALLET, promotional_minor__gt=0),
            ),
            choices_check("billing_account_kind_known", "kind", AccountKind),
        ]

    @property
    def spendable(self) -> Money:
        """What a wallet pays with: its own money, and the promotional credit beside it."""
        return Money(self.balance_minor + self.promotional_minor, self.currency)

    def __str__(self) -> str:
        return f"{self.kind} {self.gateway}{self.organization_id or ''} {self.currency}"


class EntryKind(models.TextChoices):
    PAYMENT = "payment", _("Payment received")
    CREDIT_RESERVED = "credit_reserved", _("Credit reserved for an open payment")
    CREDIT_RELEASED = "credit_released", _("Reserved credit back in the wallet")
    CHARGE = "charge", _("Invoice paid")
    USAGE = "usage", _("Hours of use")
    UNDER_REVIEW = "under_review", _("Payment under review")
    REVIEW_ACCEPTED = "review_accepted", _("Payment accepted after review")
    RECEIVABLE_PAID = "receivable_paid", _("Credit used for what was owed")
    REFUND = "refund", _("Refund")
    CREDIT_RETURNED = "credit_returned", _("Invoice refunded: credit back")
    REFUND_FAILED = "refund_failed", _("Refund that failed")
    TAX_CREDITED = "tax_credited", _("Credit note: tax no longer owed")
    TAX_RESTORED = "tax_restored", _("Credit note void: tax owed again")
    DISPUTE = "dispute", _("Dispute: funds taken")
    DISPUTE_RESERVED = "dispute_reserved", _("Credit set aside during a dispute")
    DISPUTE_RELEASED = "dispute_released", _("Dispute decided: credit set aside no more")
    DISPUTE_WON = "dispute_won", _("Dispute won: funds back")
    DISPUTE_LOST = "dispute_lost", _("Dispute lost: credit withdrawn")
    DISPUTE_APPEALED = "dispute_appealed", _("Dispute won on appeal: credit back")
    GATEWAY_FEE = "gateway_fee", _("Gateway fee")
    DISPUTE_FEE = "dispute_fee", _("Dispute fee")
    EXCHANGE = "exchange", _("Currency exchanged by the gateway")
    PAYOUT = "payout", _("Payout to the bank")
    UNEXPLAINED = "unexplained", _("Unexplained at the gateway")
    EXPLAINED = "explained", _("Explained later")
    COMMISSION = "commission", _("Affiliate commission")
    COMMISSION_PAID = "commission_paid", _("Affiliate commission paid out")
    CREDIT_GRANTED = "credit_granted", _("Credit given")
    CREDIT_EXPIRED = "credit_expired", _("Promotional credit expired")


# What a gateway's balance transaction adds to the entry of its payment, refund or dispute.
BALANCE_KINDS = (EntryKind.GATEWAY_FEE, EntryKind.DISPUTE_FEE, EntryKind.EXCHANGE, EntryKind.EXPLAINED)

# The row that an entry of each kind comes from, by the field that names it.
SOURCE_FIELDS = {
    "payment": (
        EntryKind.PAYMENT,
        EntryKind.CREDIT_RESERVED,
        EntryKind.CREDIT_RELEASED,
        EntryKind.UNDER_REVIEW,
        EntryKind.REVIEW_ACCEPTED,
        EntryKind.RECEIVABLE_PAID,
        *BALANCE_KINDS,
    ),
    "invoice": (
        EntryKind.CHARGE,
        EntryKind.USAGE,
        EntryKind.CREDIT_RETURNED,
        EntryKind.TAX_CREDITED,
        EntryKind.TAX_RESTORED,
    ),
    "refund": (EntryKind.REFUND, EntryKind.REFUND_FAILED, *BALANCE_KINDS),
    "dispute": (
        EntryKind.DISPUTE,
        EntryKind.DISPUTE_RESERVED,
        EntryKind.DISPUTE_RELEASED,
        EntryKind.DISPUTE_WON,
        EntryKind.DISPUTE_LOST,
        EntryKind.DISPUTE_APPEALED,
        *BALANCE_KINDS,
    ),
    "creditgrant": (EntryKind.CREDIT_GRANTED, EntryKind.CREDIT_EXPIRED),
}


def source_key(model: str) -> "models.ForeignKey[Any, Any]":
    """The reference from an entry to the row it comes from."""
    return unchecked_key(f"billing.{model}", null=True, blank=True, related_name="entries", db_index=False)


class JournalEntry(Entity):
    """One event in the books. `reference` is its idempotency key: the same event cannot be posted twice.

    It is sealed when its transaction commits: no posting can be added to it afterwards.
    """

    tenancy = tenancy.OWNED
    append_only = True

    kind = models.CharField(max_length=16, choices=EntryKind)
    reference = models.CharField(max_length=191, unique=True)
    organization = models.ForeignKey(Organization, null=True, blank=True, on_delete=models.PROTECT)
    payment = source_key("Payment")
    invoice = source_key("Invoice")
    refund = source_key("Refund")
    dispute = source_key("Dispute")
    creditgrant = source_key("CreditGrant")
    note = models.CharField(max_length=191, blank=True, default="")
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal entries")
        indexes = [
            models.Index(
                fields=[field],
                condition=models.Q(**{f"{field}__isnull": False}),
                name=f"billing_entry_of_{field}",
            )
            for field in SOURCE_FIELDS
        ]
        constraints = [
            choices_check("billing_entry_kind_known", "kind", EntryKind),
            *(
                models.CheckConstraint(
                    name=f"billing_entry_{field}_by_kind",
                    condition=models.Q(**{f"{field}__isnull": True}) | models.Q(kind__in=kinds),
                )
                for field, kinds in SOURCE_FIELDS.items()
            ),
            # Each source has one, and a composite key compares the two.
            models.CheckConstraint(
                name="billing_entry_source_has_organization",
                condition=models.Q(organization__isnull=False)
                | models.Q(**{f"{field}__isnull": True for field in SOURCE_FIELDS}),
            ),
        ]

    @property
    def source(self) -> models.Model | None:
        """The payment, invoice, refund, dispute or grant that the entry comes from."""
        found: models.Model | None = self.payment or self.invoice or self.refund or self.dispute or self.creditgrant
        return found

    def __str__(self) -> str:
        return self.reference


class Posting(Entity):
    """A signed amount on one account, in the account's currency and of its organization (triggers see to both)."""

    tenancy = tenancy.OWNED
    append_only = True

    # Both are there when it is written, which a trigger checks, and are never deleted.
    entry = unchecked_key(JournalEntry, related_name="postings")
    account = unchecked_key(LedgerAccount, related_name="postings")
    organization = unchecked_key(Organization, null=True, blank=True)  # that of its account: a trigger
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
