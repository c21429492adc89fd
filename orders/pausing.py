"""Pausing a subscription whose server is delivered and paid for, while no change of its plan is under way."""

from datetime import datetime

from django.utils.translation import gettext as _

from billing import cancellations, pausing
from billing.models import Subscription
from core import tenancy
from orders.changes.models import PlanChange, PlanChangeStatus
from orders.funding import funded
from orders.models import OrderItem, OrderStatus

UNDER_WAY = (PlanChangeStatus.PENDING_PAYMENT, PlanChangeStatus.SCHEDULED)


def refusal(subscription: Subscription, at: datetime) -> str:
    """Why the subscription cannot be paused now, in words for its customer; empty where it can."""
    return pausing.refusal(subscription, at) or refusal_of_server(subscription, at)


def refusal_of_server(subscription: Subscription, at: datetime) -> str:
    """Why what it pays for is in no state to be paused; empty where it is."""
    item = OrderItem.objects.select_related("order").get(subscription=subscription)
    if item.server_id is None or item.order.status != OrderStatus.ACTIVE:
        return _("The subscription can be paused when its server is set up.")
    if not funded(Subscription.objects.filter(pk=subscription.pk), at).exists():
        return _("The subscription can be paused once everything that is due for this server is paid.")
    if PlanChange.objects.filter(subscription=subscription, status__in=UNDER_WAY).exists():
        return _("A change of this server's plan is under way. Cancel it, or wait until it is made, then pause.")
    return ""


def pause(*, subscription: Subscription, until: datetime, actor: object, at: datetime) -> None:
    """Let the subscription pause from the end of the period that is paid until `until`.

    Raises pausing.PauseRefused, and ValueError for a day that `pausing.days_to_resume` does not allow.
    """
    with tenancy.as_worker(subscription):
        pausing.pause(subscription=subscription, until=until, actor=actor, at=at)
        if reason := refusal_of_server(subscription, at):  # under the subscription's lock: it undoes the pause
            raise pausing.PauseRefused(reason)
    cancellations.invoice_others_again(subscription=subscription, actor=actor, at=at)
