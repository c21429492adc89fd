"""Credit that the shop gives: to the wallet, or as promotional credit, which is spent first and may expire."""

from uuid import uuid4

from django.core.validators import MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization
from billing.models.ledger import AccountKind
from core import tenancy
from core.models import Entity, Timestamped, choices_check
from core.money import Money


class GrantKind(models.TextChoices):
    """The account of the organization that a grant goes to."""

    PROMOTIONAL = AccountKind.PROMOTIONAL_CREDIT.value, _("Promotional credit")
    WALLET = AccountKind.WALLET.value, _("Wallet credit")


class CreditGrant(Entity, Timestamped):
    """Credit that staff gave an organization, and what is left of it where it is promotional.

    `remaining_minor` follows the postings on the account of promotional credit: what is spent is taken from the grant
    that expires first, and what comes back goes to the one that expires last. The database keeps it.
    `form_token` makes a doubled submit one grant.
    """

    tenancy = tenancy.OWNED

    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, db_index=False)
    kind = models.CharField(max_length=20, choices=GrantKind, default=GrantKind.PROMOTIONAL)
    amount_minor = models.BigIntegerField(_("amount"), validators=[MinValueValidator(1)])
    remaining_minor = models.BigIntegerField(_("left"), default=0)
    currency = models.CharField(max_length=3)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    reason = models.CharField(max_length=191, help_text=_("The customer reads it on their statement."))
    form_token = models.UUIDField(_("form token"), default=uuid4, editable=False)

    class Meta:
        verbose_name = _("credit grant")
        verbose_name_plural = _("credit grants")
        ordering = ["-created_at"]
        indexes = [
            models.Index(fields=["expires_at"], condition=models.Q(remaining_minor__gt=0), name="billing_grant_left")
        ]
        constraints = [
            choices_check("billing_grant_kind_known", "kind", GrantKind),
            models.CheckConstraint(
                name="billing_grant_left_of_amount",
                condition=models.Q(remaining_minor__gte=0, remaining_minor__lte=models.F("amount_minor"))
                & models.Q(amount_minor__gt=0),
            ),
            models.CheckConstraint(
                name="billing_grant_wallet_credit_stays",
                condition=models.Q(kind=GrantKind.PROMOTIONAL)
                | models.Q(kind=GrantKind.WALLET, remaining_minor=0, expires_at__isnull=True),
            ),
            models.UniqueConstraint(
                fields=["organization", "form_token", "kind", "amount_minor", "currency"],
                name="billing_grant_once",
            ),
            models.CheckConstraint(name="billing_grant_has_reason", condition=~models.Q(reason="")),
        ]

    @property
    def amount(self) -> Money:
        """What was given."""
        return Money(self.amount_minor, self.currency)

    @property
    def remaining(self) -> Money:
        """What is left of it."""
        return Money(self.remaining_minor, self.currency)

    def __str__(self) -> str:
        return str(self.amount)
