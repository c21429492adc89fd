"""What affiliates earn: attributed to a customer's first paid order, on hold, earned, and moved to their wallet.

A loss after the hold is taken from what they earn later: the account of their commission is below zero until then.
Commission is paid out in the organization's own currency, because nothing can be bought with a wallet of another one.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import BigIntegerField, Exists, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils.crypto import get_random_string
from django.utils.translation import gettext_lazy as _

from accounts import services as accounts
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
    JournalEntry,
    LedgerAccount,
    Payment,
    PaymentAllocation,
    PaymentMethod,
    Refund,
    RefundState,
)
from core import audit, site_settings, tenancy, work
from core.money import Money, Rate, exponent, payable_step
from orders import funding
from orders.affiliates.models import Affiliate, CommissionPayout, Referral, ReferralStatus
from orders.affiliates.settings import exchange_rates
from orders.models import Order

# Disputes that took credit which pays no invoice by itself: top-ups.
LOST_CREDIT = Q(is_won=False, lost_minor__gt=0, payment__allocations=None)
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
    return attributed + work.run_each(
        list(undecided(at).values_list("pk", flat=True)), lambda pk: decide(pk, at), name="commission"
    )


def undecided(at: datetime) -> "QuerySet[Referral]":
    """Referrals whose hold is over, or of whose money more or less went back than when they were decided.

    Of what was paid with credit it went back where the customer lost a dispute over credit.
    """
    notes = CreditNote.objects.filter(invoice=OuterRef("order__invoice"), voided_at=None).order_by()
    credited = Subquery(
        notes.values("invoice").annotate(minor=Sum("net_minor")).values("minor"), output_field=BigIntegerField()
    )
    is_on_hold = Q(status=ReferralStatus.PENDING)
    is_over = is_on_hold & (Q(hold_until__lte=at) | ~Q(order__invoice__state=InvoiceState.PAID))
    is_changed = Q(status__in=[ReferralStatus.EARNED, ReferralStatus.REVERSED]) & ~Q(credited=F("credited_minor"))
    by_credit = PaymentAllocation.objects.filter(invoice=OuterRef("order__invoice"), payment=None)
    lost = Dispute.objects.filter(LOST_CREDIT, organization=OuterRef("customer"))
    is_lost = Q(Exists(by_credit), Exists(lost), status=ReferralStatus.EARNED)
    return Referral.objects.annotate(credited=Coalesce(credited, 0)).filter(is_over | is_changed | is_lost)


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
    """Whether the customer and the affiliate paid with one card, or saved one of the same brand, digits and expiry."""
    card = ("gateway", "brand", "last4", "expires_on")
    methods = PaymentMethod.objects.exclude(last4="")
    payments = Payment.objects.exclude(card_fingerprint="")
    for rows, names in ((methods, card), (payments, ("gateway", "card_fingerprint"))):
        theirs = set(rows.filter(organization=affiliate.organization_id).values_list(*names))
        if theirs & set(rows.filter(organization=order.organization_id).values_list(*names)):
            return True
    return False


def decide(referral_id: UUID, at: datetime) -> bool:
    """Post the commission where the hold is over and the money stayed; reverse it where it went back, then or later.

    What was credited of the invoice earns nothing, nor what was paid with credit once the customer lost a dispute over
    credit. While the customer has an open dispute, owes, or a refund is under way, nothing is decided.
    """
    with tenancy.as_worker():
        locked = Referral.objects.select_for_update(no_key=True, of=("self",))
        referral = locked.select_related("order__invoice", "organization").get(pk=referral_id)
        invoice = referral.order.invoice
        disputes = Dispute.objects.filter(organization=referral.customer_id)
        refunds = Refund.objects.filter(payment__allocations__invoice=invoice, state=RefundState.PENDING)
        if referral.status == ReferralStatus.REFUSED or disputes.filter(closed_at=None).exists() or refunds.exists():
            return False
        notes = CreditNote.objects.filter(invoice=invoice, voided_at=None)
        credited = notes.aggregate(minor=Sum("net_minor"))["minor"] or 0
        lost = Q(payment__allocations__invoice=invoice)
        if invoice.allocations.filter(payment=None).exists():
            lost |= LOST_CREDIT
        is_returned = invoice.state != InvoiceState.PAID or disputes.exclude(is_won=True).filter(lost).exists()
        kept = 0 if is_returned else invoice.net_minor - credited
        earned = commission_of(kept, referral.currency, referral.percent)
        owes = funding.owing().filter(organization=referral.customer_id)
        if earned and (at < referral.hold_until or owes.exists()):
            return False
        posted = referral.commission if referral.status == ReferralStatus.EARNED else Money.zero(referral.currency)
        status = ReferralStatus.EARNED if earned else ReferralStatus.REVERSED
        if referral.status != status:
            referral.transition_to(status)
        referral.closed_at, referral.credited_minor = at, credited
        referral.commission_minor = earned.minor or referral.commission_minor
        referral.save(update_fields=["status", "closed_at", "credited_minor", "commission_minor"])
        if more := earned - posted:
            post_commission(referral, more, at)
    return True


def post_commission(referral: Referral, amount: Money, at: datetime) -> None:
    """Give the affiliate the amount for a locked referral, or take it back where it is less than zero."""
    account = ledger.organization_account(AccountKind.COMMISSION, referral.organization, referral.currency)
    reference = f"commission:{referral.pk}"
    posted = JournalEntry.objects.filter(reference__startswith=reference).count()
    ledger.post_entry(
        kind=EntryKind.COMMISSION,
        reference=reference + (f":{posted + 1}" if posted else ""),
        organization=referral.organization,
        lines=ledger.transfer(ledger.account_of(AccountKind.COMMISSIONS, referral.currency), account, amount),
        at=at,
    )


def in_wallet(earned: Money, currency: str) -> Money | None:
    """What an amount of commission comes to in a wallet of the currency; None without an exchange rate for it.

    Rounded once, to what can be paid.
    """
    if earned.currency == currency:
        return earned
    rate = exchange_rates().get((earned.currency, currency))
    step = payable_step(currency)
    if rate is None:
        return None
    minor = (earned.amount * rate).scaleb(exponent(currency))
    return step * Rate(minor / step.minor, currency).times(1).minor


def pay_out(*, affiliate: Affiliate, actor: User, at: datetime) -> list[CommissionPayout]:
    """Move all commission that was earned to the affiliate's wallet; nothing where there is none, or no exchange rate.

    Whoever has bought nothing yet gets the currency that they earned, and buys in it from then on.
    """
    payouts = []
    with tenancy.as_worker(affiliate):
        affiliate = Affiliate.objects.select_related("organization").get(pk=affiliate.pk)
        organization = affiliate.organization
        earned = LedgerAccount.objects.filter(
            organization=organization, kind=AccountKind.COMMISSION, balance_minor__gt=0
        )
        first = earned.order_by("currency").first()
        if first is None:
            return []
        currency = organization.currency if organization.currency_fixed_at else first.currency
        ledger.lock_wallet(organization, currency)  # before the accounts of the commission
        locked = list(earned.select_for_update(no_key=True).order_by("pk"))
        try:
            accounts.fix_currency(organization=organization, currency=currency, at=at)
        except accounts.CurrencyFixed:  # by an order at the same moment: asked for again, it is paid out in that
            return []
        for account in locked:
            amount = Money(account.balance_minor, account.currency)
            if paid := in_wallet(amount, currency):
                payouts.append(post_payout(affiliate, account, amount, paid, at))
        for payout in payouts:
            audit.record(
                action="affiliate.pay_out", entity=payout, actor=actor, new={"amount": str(payout.paid)}, at=at
            )
    return payouts


def post_payout(
    affiliate: Affiliate, account: LedgerAccount, amount: Money, paid: Money, at: datetime
) -> CommissionPayout:
    """Move the amount from the locked account to the locked wallet, where it is `paid`, perhaps in another currency."""
    organization = affiliate.organization
    payout = CommissionPayout.objects.create(
        affiliate=affiliate,
        organization=organization,
        currency=amount.currency,
        amount_minor=amount.minor,
        paid_currency=paid.currency,
        paid_minor=paid.minor,
        paid_out_at=at,
    )
    lines = [EntryLine(account, -amount), *ledger.deposit(organization, paid)]
    if paid.currency != amount.currency:
        lines.append(EntryLine(ledger.account_of(AccountKind.FX, amount.currency), amount))
        lines.append(EntryLine(ledger.account_of(AccountKind.FX, paid.currency), -paid))
    ledger.post_entry(
        kind=EntryKind.COMMISSION_PAID,
        reference=f"commission-payout:{payout.pk}",
        organization=organization,
        lines=lines,
        at=at,
    )
    return payout


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
        SELECT payout.id, payout.paid_minor, coalesce(sum(deposited.amount_minor), 0) AS paid
        FROM orders_commissionpayout payout
        LEFT JOIN billing_journalentry entry ON entry.reference = 'commission-payout:' || payout.id
        LEFT JOIN (SELECT posting.* FROM billing_posting posting
            JOIN billing_ledgeraccount account ON account.id = posting.account_id
                AND account.kind IN ('wallet', 'receivable')) deposited
            ON deposited.entry_id = entry.id AND deposited.currency = payout.paid_currency
        GROUP BY payout.id HAVING payout.paid_minor <> coalesce(sum(deposited.amount_minor), 0)""",
    ),
)
