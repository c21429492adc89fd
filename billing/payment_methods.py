"""The cards and accounts that gateways saved for an organization. One of them is its default, which renewals charge."""

from datetime import date, datetime, timedelta

from django.utils.translation import gettext as _

from accounts.models import Organization
from billing import events
from billing.gateways.base import SavedCard, driver_with
from billing.gateways.saved import SavedMethods
from billing.models import (
    AutoTopUp,
    BillingMode,
    MethodTask,
    Payment,
    PaymentMethod,
    PaymentState,
    Subscription,
    SubscriptionStatus,
)
from core import audit, tenancy, work

RENEWING = (SubscriptionStatus.ACTIVE, SubscriptionStatus.PAST_DUE, SubscriptionStatus.SUSPENDED)


class MethodInUse(ValueError):
    """It is charged for subscriptions that renew automatically, or for automatic top-ups."""


def methods_of(organization: Organization) -> list[PaymentMethod]:
    """The methods that can be charged, the default first."""
    rows = PaymentMethod.objects.filter(organization=organization, detached_at=None)
    return list(rows.order_by("-is_default", "-created_at"))


def default_method(organization: Organization) -> PaymentMethod | None:
    """The method that is charged for the organization; None where it has none."""
    return PaymentMethod.objects.filter(organization=organization, is_default=True).first()


def renewed_by_method(organization: Organization) -> list[Subscription]:
    """The subscriptions for whose next period we charge the default method."""
    rows = Subscription.objects.filter(organization=organization, status__in=RENEWING, billing_mode=BillingMode.SELF)
    return list(rows.filter(is_auto_renewed=True, cancels_at_period_end=False).order_by("current_period_end"))


def is_topped_up_by_method(organization: Organization) -> bool:
    """Whether the default method is charged when the organization's wallet is low."""
    return AutoTopUp.objects.filter(organization=organization, is_active=True).exists()


def next_default(method: PaymentMethod) -> PaymentMethod | None:
    """What is charged instead where this method is removed: the default, else the newest of the others."""
    return next((each for each in methods_of(method.organization) if each.pk != method.pk), None)


def lock_methods(organization: Organization) -> None:
    """Let one at a time change which methods an organization has; the caller has a transaction.

    Who waits here holds no other lock that the other one may still want.
    """
    Organization.objects.select_for_update(no_key=True).only("pk").get(pk=organization.pk)


def save_method(*, organization: Organization, gateway: str, is_live: bool, card: SavedCard) -> None:
    """Keep what a gateway saved; the organization's first one becomes its default. The caller has a transaction.

    A known one keeps its place, and its facts follow the gateway's: a bank may have sent a new card.
    """
    lock_methods(organization)
    facts = {"brand": card.brand, "last4": card.last4, "expires_on": card.expires_on}
    method, is_new = PaymentMethod.objects.update_or_create(
        gateway=gateway,
        reference=card.reference,
        defaults=facts,
        create_defaults={
            **facts,
            "organization": organization,
            "is_live": is_live,
            "is_default": default_method(organization) is None,
        },
    )
    if is_new:
        audit.record(action="payment_method.add", entity=method, actor=gateway, new={"last4": card.last4})


def make_default(*, method: PaymentMethod, actor: object) -> None:
    """Charge this method from now on. Calling it twice is harmless; one that is removed stays so."""
    with tenancy.as_worker(method):
        lock_methods(method.organization)
        row = PaymentMethod.objects.get(pk=method.pk)
        if row.is_default or row.detached_at is not None:
            return
        PaymentMethod.objects.filter(organization=row.organization_id, is_default=True).update(is_default=False)
        PaymentMethod.objects.filter(pk=row.pk).update(is_default=True)
        audit.record(action="payment_method.default", entity=row, actor=actor, new={"last4": row.last4})


def remove_method(*, method: PaymentMethod, actor: object, at: datetime) -> None:
    """Charge this method no more, and have its gateway forget it. Calling it twice is harmless.

    Raises MethodInUse where it is charged for something, which its owner is told before.
    """
    with tenancy.as_worker(method):
        check_attempts_soon(method, at)
        lock_methods(method.organization)
        organization = method.organization
        is_default = PaymentMethod.objects.filter(pk=method.pk, is_default=True).exists()
        if is_default and (renewed_by_method(organization) or is_topped_up_by_method(organization)):
            raise MethodInUse("it is charged for subscriptions or top-ups")
        remove_anyway(method=method, actor=actor, at=at)


def remove_anyway(*, method: PaymentMethod, actor: object, at: datetime) -> None:
    """As `remove_method`, for somebody who knows what is charged to it, and what becomes of that."""
    with tenancy.as_worker(method):
        check_attempts_soon(method, at)
        if mark_detached(method=method, at=at):
            MethodTask.objects.get_or_create(method=method, defaults={"run_at": at})
            work.wake_worker(MethodTask)
            audit.record(action="payment_method.remove", entity=method, actor=actor, old={"last4": method.last4}, at=at)


def mark_detached(*, method: PaymentMethod, at: datetime) -> bool:
    """The method can no longer be charged; the newest other one takes its place. False where that is known.

    After `check_attempts_soon`.
    """
    with tenancy.as_worker():
        lock_methods(method.organization)
        rows = PaymentMethod.objects.filter(pk=method.pk, detached_at=None)
        was_default = rows.filter(is_default=True).exists()
        if not rows.update(detached_at=at, is_default=False):
            return False
        if was_default and (other := next_default(method)) is not None:
            PaymentMethod.objects.filter(pk=other.pk).update(is_default=True)
    return True


def check_attempts_soon(method: PaymentMethod, at: datetime) -> None:
    """Have what waits for the method's owner closed soon; the caller is about to detach it and holds no lock yet."""
    Payment.objects.filter(payment_method=method.pk, state=PaymentState.PENDING).update(poll_at=at)


def detach_at_gateway(task: MethodTask, *, at: datetime) -> None:
    """Have the gateway forget a method that was removed here."""
    method = task.method
    driver_with(method.gateway, SavedMethods).detach_method(method.reference)


def month_end(day: date, months_later: int) -> date:
    """The last day of the month that comes so many months after the day's."""
    count = day.year * 12 + day.month + months_later
    return date(count // 12, count % 12 + 1, 1) - timedelta(days=1)


def expiry_text(method: PaymentMethod, today: date) -> str:
    """What its owner must know of its expiry; empty while there is time."""
    if method.expires_on is None or method.expires_on > month_end(today, 1):
        return ""
    if method.expires_on < today:
        return _("Expired")
    return _("Expires this month") if method.expires_on <= month_end(today, 0) else _("Expires next month")


def warn_of_expiry(*, at: datetime) -> int:
    """Tell owners of default cards that end with this month or the next, once for each month; how many are due."""
    today = at.date()
    expiring = PaymentMethod.objects.filter(is_default=True, expires_on__gte=today, expires_on__lte=month_end(today, 1))
    due = expiring.filter(
        organization__subscriptions__is_auto_renewed=True,
        organization__subscriptions__status__in=RENEWING,
        organization__subscriptions__billing_mode=BillingMode.SELF,
    )
    ids = list(due.values_list("pk", flat=True).distinct())
    with tenancy.as_worker():
        events.methods_expiring.send(PaymentMethod, method_ids=ids, at=at)
    return len(ids)
