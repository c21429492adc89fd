"""What affiliates earn: attributed to a customer's first paid order, on hold, earned, and moved to their wallet."""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import Sum
from django.utils.crypto import get_random_string
from django.utils.translation import gettext_lazy as _

from accounts.models import Organization, User
from billing import ledger
from billing.ledger import EntryLine
from billing.ledger_audit import Rule
from billing.models import (
    AccountKind,
    CreditNote,
    Dispute,
    EntryKind,
    InvoiceState,
    LedgerAccount,
    PaymentMethod,
    Refund,
    RefundState,
)
from core import audit, site_settings, tenancy, work
from core.money import Money, Rate, payable_step
from orders.affiliates.models import Affiliate, CommissionPayout, Referral, ReferralStatus
from orders.models import Order

CODE_CHARACTERS = "abcdefghjkmnpqrstuvwxyz23456789"  # none that looks like another


def join(*, organization: Organization, actor: User) -> Affiliate:
    """Make the organization an affiliate with a code of its own. Twice gives the same one."""
    with tenancy.as_worker(organization):
        found, is_new = Affiliate.objects.get_or_create(
            organization=organization, defaults={"code": get_random_string(8, allowed_chars=CODE_CHARACTERS)}
        )
        if is_new:
            audit.record(action="affiliate.join", entity=found, actor=actor, new={"code": found.code})
    return found


def advance(*, at: datetime) -> int:
    """Attribute orders that were paid, and decide what is no longer on hold; how many were. Twice is harmless."""
    paid = Order.objects.filter(referred_by__isnull=False, paid_at__isnull=False, organization__referral=None)
    earning = paid.filter(invoice__state=InvoiceState.PAID, invoice__net_minor__gt=0).order_by("paid_at", "pk")
    attributed = work.run_each(
        list(earning.values_list("pk", flat=True)), lambda pk: attribute(pk, at), name="referral"
    )
    due = Referral.objects.filter(status=ReferralStatus.PENDING).exclude(
        hold_until__gt=at, order__invoice__state=InvoiceState.PAID
    )
    return attributed + work.run_each(
        list(due.values_list("pk", flat=True)), lambda pk: decide(pk, at), name="commission"
    )


def attribute(order_id: UUID, at: datetime) -> bool:
    """Put the commission for a customer's first paid order on hold; False where the customer has been referred."""
    with tenancy.as_worker():
        order = Order.objects.select_related("referred_by", "invoice").get(pk=order_id)
        is_first = not Order.objects.filter(organization=order.organization_id, paid_at__lt=order.paid_at).exists()
        affiliate, percent = order.referred_by, site_settings.get("affiliates.percent")
        if affiliate is None or order.paid_at is None:
            return False
        reason = "" if is_first else "not the first order"
        if has_same_card(affiliate, order):
            reason = "the same card"
        commission = commission_of(order.invoice.net_minor, order.currency, percent)
        reason = reason or ("" if commission else "less than can be paid")
        referral = Referral(
            affiliate=affiliate,
            organization_id=affiliate.organization_id,
            customer_id=order.organization_id,
            order=order,
            status=ReferralStatus.REFUSED if reason else ReferralStatus.PENDING,
            reason=reason,
            currency=order.currency,
            percent=percent,
            commission_minor=commission.minor,
            paid_at=order.paid_at,
            hold_until=order.paid_at + timedelta(days=site_settings.get("affiliates.hold_days")),
            closed_at=at if reason else None,
        )
        return bool(Referral.objects.bulk_create([referral], ignore_conflicts=True))


def commission_of(net_minor: int, currency: str, percent: Decimal) -> Money:
    """The share of what was paid without tax, rounded once to what can be paid."""
    step = payable_step(currency)
    return step * Rate(percent * net_minor / (100 * step.minor), currency).times(1).minor


def has_same_card(affiliate: Affiliate, order: Order) -> bool:
    """Whether the customer and the affiliate have saved one card: the same brand, last digits and expiry."""
    card = ("gateway", "brand", "last4", "expires_on")
    methods = PaymentMethod.objects.exclude(last4="")
    theirs = set(methods.filter(organization=affiliate.organization_id).values_list(*card))
    return bool(theirs & set(methods.filter(organization=order.organization_id).values_list(*card)))


def decide(referral_id: UUID, at: datetime) -> bool:
    """Post the commission where the hold is over and the money stayed; reverse it where it went back.

    What was credited of the invoice earns nothing. While a dispute is open or a refund under way, nothing is decided.
    """
    with tenancy.as_worker():
        locked = Referral.objects.select_for_update(no_key=True, of=("self",))
        referral = locked.select_related("order__invoice", "organization").get(pk=referral_id)
        invoice = referral.order.invoice
        disputes = Dispute.objects.filter(payment__allocations__invoice=invoice)
        if referral.status != ReferralStatus.PENDING or disputes.filter(closed_at=None).exists():
            return False
        if Refund.objects.filter(payment__allocations__invoice=invoice, state=RefundState.PENDING).exists():
            return False
        credited = CreditNote.objects.filter(invoice=invoice, voided_at=None).aggregate(minor=Sum("net_minor"))["minor"]
        earned = commission_of(invoice.net_minor - (credited or 0), referral.currency, referral.percent)
        is_returned = invoice.state != InvoiceState.PAID or disputes.exclude(is_won=True).exists()
        if is_returned or not earned:
            referral.transition_to(ReferralStatus.REVERSED)
            referral.closed_at = at
            referral.save(update_fields=["status", "closed_at"])
            return True
        if at < referral.hold_until:
            return False
        referral.transition_to(ReferralStatus.EARNED)
        referral.closed_at, referral.commission_minor = at, earned.minor
        referral.save(update_fields=["status", "closed_at", "commission_minor"])
        account = ledger.organization_account(AccountKind.COMMISSION, referral.organization, referral.currency)
        ledger.post_entry(
            kind=EntryKind.COMMISSION,
            reference=f"commission:{referral.pk}",
            organization=referral.organization,
            lines=[
                EntryLine(account, earned),
                EntryLine(ledger.account_of(AccountKind.COMMISSIONS, referral.currency), -earned),
            ],
            at=at,
        )
    return True


def pay_out(*, affiliate: Affiliate, actor: User, at: datetime) -> list[CommissionPayout]:
    """Move all commission that was earned to the affiliate's wallets; nothing where there is none."""
    payouts = []
    with tenancy.as_worker(affiliate):
        affiliate = Affiliate.objects.select_related("organization").get(pk=affiliate.pk)
        organization = affiliate.organization
        accounts = LedgerAccount.objects.filter(organization=organization, kind=AccountKind.COMMISSION)
        for currency in accounts.order_by("currency").values_list("currency", flat=True):
            ledger.lock_wallet(organization, currency)  # before the account of the commission
            account = accounts.select_for_update(no_key=True).get(currency=currency)
            if not account.balance_minor:
                continue
            amount = Money(account.balance_minor, currency)
            payout = CommissionPayout.objects.create(
                affiliate=affiliate,
                organization=organization,
                currency=currency,
                amount_minor=amount.minor,
                paid_out_at=at,
            )
            ledger.post_entry(
                kind=EntryKind.COMMISSION_PAID,
                reference=f"commission-payout:{payout.pk}",
                organization=organization,
                lines=[EntryLine(account, -amount), *ledger.deposit(organization, amount)],
                at=at,
            )
            payouts.append(payout)
        for payout in payouts:
            audit.record(action="affiliate.pay_out", entity=payout, actor=actor, new={"amount": str(payout.amount)})
    return payouts


RULES = (
    Rule(
        "commission_not_referrals",
        _("Commission is not what was earned and not paid out."),
        """
        SELECT organization_id, currency, sum(posted) AS posted, sum(said) AS said FROM (
            SELECT organization_id, currency, balance_minor AS posted, 0 AS said FROM billing_ledgeraccount
            WHERE kind = 'commission'
            UNION ALL SELECT organization_id, currency, 0, commission_minor FROM orders_referral
            WHERE status = 'earned'
            UNION ALL SELECT organization_id, currency, 0, -amount_minor FROM orders_commissionpayout
        ) compared GROUP BY organization_id, currency HAVING sum(posted) <> sum(said)""",
    ),
    Rule(
        "commission_payout_not_posted",
        _("A payout of commission is not in the wallet."),
        """
        SELECT payout.id, payout.amount_minor, coalesce(sum(posting.amount_minor), 0) AS paid
        FROM orders_commissionpayout payout
        LEFT JOIN billing_journalentry entry ON entry.reference = 'commission-payout:' || payout.id
        LEFT JOIN billing_posting posting ON posting.entry_id = entry.id AND posting.amount_minor > 0
        GROUP BY payout.id HAVING payout.amount_minor <> coalesce(sum(posting.amount_minor), 0)""",
    ),
)
