"""What customers decide about pauses: after the period that is paid the server is stopped and kept, and nothing is
billed until a day that they choose.

`billing.runs.pauses` begins and ends them.
"""

from datetime import date, datetime, time, timedelta

from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext as _

from billing import cancellations, events, invoicing, subscriptions
from billing.models import BillingMode, RunKind, Subscription, SubscriptionStatus
from billing.runs import batches, collect, pauses, renew
from catalog.models import Term
from core import audit, site_settings, tenancy


class PauseRefused(Exception):
    """The subscription cannot be paused now; the text says why to the customer."""


def is_offered(subscription: Subscription) -> bool:
    """Whether the shop lets such a subscription pause."""
    is_ours = subscription.billing_mode == BillingMode.SELF and subscription.term != Term.HOURLY
    return is_ours and site_settings.get("billing.max_pause_days") > 0


def days_to_resume(subscription: Subscription) -> tuple[date, date]:
    """The first and the last day on which it may go on, in the active time zone: after the period that is paid."""
    if subscription.current_period_end is None:
        raise ValueError(f"subscription {subscription.pk} has no period")
    over = subscription.current_period_end.astimezone(get_current_timezone()).date()
    return over + timedelta(days=1), over + timedelta(days=site_settings.get("billing.max_pause_days"))


def resumption_on(subscription: Subscription, day: date) -> datetime:
    """When it goes on if that is on this day: at the time of day at which its periods begin."""
    zone = get_current_timezone()
    over = subscription.current_period_end
    return datetime.combine(day, over.astimezone(zone).time() if over else time(), tzinfo=zone)


def refusal(subscription: Subscription, at: datetime) -> str:
    """Why the subscription cannot be paused now, in words for its customer; empty where it can."""
    if subscription.term == Term.HOURLY:
        return _("A server billed by the hour cannot be paused. Cancel it to pay no more hours.")
    if subscription.billing_mode != BillingMode.SELF:
        return _(
            "The payment service that you subscribed with renews this server, so it cannot be paused here. "
            "Contact support, and we will help."
        )
    if not is_offered(subscription):
        return _("Subscriptions cannot be paused.")
    if subscription.pauses_until is not None:
        return _("A pause of this subscription is planned already. End it first to choose another day.")
    if subscription.cancels_at_period_end or subscription.status in subscriptions.OVER:
        return _("This subscription is canceled, so it cannot be paused.")
    if subscription.status != SubscriptionStatus.ACTIVE or subscription.current_period_end is None:
        return _("The subscription can be paused once everything that is due for this server is paid.")
    if subscription.current_period_end <= at:
        return _("This server is about to be renewed. You can pause it after that.")
    return ""


def pause(*, subscription: Subscription, until: datetime, actor: object, at: datetime) -> None:
    """Let the subscription pause from the end of the period that is paid until `until`.

    What is open for later periods is closed, as by a cancellation. Raises PauseRefused, also where money for a later
    period is on its way; and ValueError for a day that `days_to_resume` does not allow.
    """
    with tenancy.as_worker(subscription):
        invoices = cancellations.withdraw_later_invoices(subscription, reason="subscription paused", actor=actor, at=at)
        row = subscriptions.lock_subscription(subscription.pk)
        if reason := refusal(row, at):
            raise PauseRefused(reason)
        first, last = days_to_resume(row)
        if not first <= until.astimezone(get_current_timezone()).date() <= last:
            raise ValueError(f"a pause until {until} is not between {first} and {last}")
        if any(invoicing.has_money_under_way(invoice) for invoice in invoices):
            raise PauseRefused(
                _("A payment for the next period is on its way. You can pause the subscription when it has arrived.")
            )
        row.pauses_until = until
        row.save(update_fields=["pauses_until"])
        audit.record(
            action="subscription.pause", entity=row, actor=actor, new={"pauses_until": until.isoformat()}, at=at
        )
        events.subscriptions_pausing.send(Subscription, subscription_ids=[row.pk], at=at)


def end_pause(*, subscription: Subscription, reason: str = "", actor: object, at: datetime) -> bool:
    """Let a paused subscription go on now, or withdraw a pause that has not begun. Calling it twice is harmless.

    `reason` is that of staff. True where its next period begins now, and can be billed.
    """
    with tenancy.as_worker(subscription):
        row = subscriptions.lock_subscription(subscription.pk)
        if row.pauses_until is None or row.cancels_at_period_end:
            return False
        old = {"pauses_until": row.pauses_until.isoformat()}
        pauses.end([row.pk], at)
        audit.record(action="subscription.end_pause", entity=row, actor=actor, old=old, message=reason, at=at)
    return row.status == SubscriptionStatus.PAUSED  # as it was before


def bill_now(*, subscription: Subscription, actor: object, at: datetime) -> None:
    """Invoice and charge what is due of the subscription's organization at once, as the next runs would."""
    of = batches.only(subscription.organization_id)
    with tenancy.acts_on(subscription):
        for kind, perform in ((RunKind.RENEW, renew.perform), (RunKind.COLLECT, collect.perform)):
            with tenancy.as_worker():
                batches.begin()
                perform(of, at)
                counts = batches.counted()
                audit.record(action=f"billing.{kind}", entity=subscription, actor=actor, metadata=counts, at=at)
        collect.request_charges(collect.chargeable(of, at), at)
