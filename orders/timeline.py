"""The steps of an order as its page shows them: what is done, what is going on, and how long each took."""

from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from orders.models import Order, OrderItem, OrderStatus
from servers.models import Step

STOPPED = {OrderStatus.FAILED, OrderStatus.CANCELED}


@dataclass(frozen=True)
class Shown:
    """A line of the progress list. `state` is done, now, todo or failed; seconds since the payment."""

    label: str
    state: str
    detail: str = ""
    seconds: int | None = None


def timeline(order: Order) -> list[Shown]:
    """Ordered, paid, placed, created, installed, running."""
    item = order.items.all()[0]
    reached = _reached(order, item)
    shown: list[Shown] = []
    is_now_open = order.status not in STOPPED | {OrderStatus.ACTIVE}
    for key, label, detail in _labels(order, item):
        at = reached.get(key)
        if at is not None:
            shown.append(Shown(label, "done", detail, _seconds(order, at)))
        elif is_now_open or (order.status == OrderStatus.FAILED and not any(s.state == "failed" for s in shown)):
            shown.append(Shown(label, "now" if is_now_open else "failed", ""))
            is_now_open = False
        else:
            shown.append(Shown(label, "todo"))
    return shown


def _labels(order: Order, item: OrderItem) -> list[tuple[str, str, str]]:
    plan = item.plan_price.plan
    return [
        ("ordered", _("Ordered, place held"), str(item.location)),
        ("paid", _("Paid"), _method(order)),
        (
            Step.PLACED,
            _("Place kept"),
            item.server.node_name if item.server and hasattr(item.server, "node_name") else "",
        ),
        (Step.ACCOUNT, _("Panel account ready"), ""),
        (Step.CREATED, _("Server created"), f"{plan.product.name} {plan.name}"),
        (Step.INSTALLED, _("Game installed"), ""),
        (Step.RUNNING, _("Running"), item.server.address if item.server else ""),
    ]


def _method(order: Order) -> str:
    return next((payment.method_label for payment in order.invoice.payments.all() if payment.settled_at), "")


def _reached(order: Order, item: OrderItem) -> dict[str, datetime]:
    reached: dict[str, datetime] = {"ordered": order.placed_at}
    if order.paid_at:
        reached["paid"] = order.paid_at
    for step in item.server.steps.all() if item.server else []:
        reached.setdefault(step.step, step.at)
    return reached


def _seconds(order: Order, at: datetime) -> int | None:
    if order.paid_at is None or at < order.paid_at:
        return None
    return round((at - order.paid_at).total_seconds())
