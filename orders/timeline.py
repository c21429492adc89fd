"""The steps of an order as its page shows them: what is done, what is going on, and how long each took."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _

from orders.models import Order, OrderItem, OrderStatus
from servers.models import Step

ORDERED, PAID = "ordered", "paid"
DONE, NOW, AHEAD, FAILED = "done", "now", "todo", "failed"
NEXT = {OrderStatus.FAILED: FAILED, OrderStatus.CANCELED: AHEAD}  # the first step not reached; else it is going on now


@dataclass(frozen=True)
class Shown:
    """A line of the progress list. `state` is done, now, todo or failed; seconds since the payment."""

    label: str
    state: str
    detail: str = ""
    seconds: int | None = None


@dataclass(frozen=True)
class _Line:
    """A step that an order goes through, and what is worth saying of it once it is reached."""

    key: str
    label: str
    detail: str = ""


def timeline(order: Order) -> list[Shown]:
    """Ordered, paid, placed, created, installed, running. A canceled order shows only how far it came.

    Wants an order of `queries.order_for_page`.
    """
    item = order.items.all()[0]
    lines, reached = _lines(order, item), _reached(order, item)
    following = next((line.key for line in lines if line.key not in reached), None)
    state = NEXT.get(OrderStatus(order.status), NOW)
    shown = [_shown(line, reached, state if line.key == following else AHEAD, order) for line in lines]
    return [step for step in shown if step.state != AHEAD] if order.status == OrderStatus.CANCELED else shown


def _shown(line: _Line, reached: Mapping[str, datetime], otherwise: str, order: Order) -> Shown:
    at = reached.get(line.key)
    if at is None:
        return Shown(line.label, otherwise)
    return Shown(line.label, DONE, line.detail, seconds_since_payment(order, at))


def _lines(order: Order, item: OrderItem) -> list[_Line]:
    plan, server = item.plan_price.plan, item.server
    node = server.node.name if server and server.node else ""
    return [
        _Line(ORDERED, _("Ordered, place held"), str(item.location)),
        _Line(PAID, _("Paid"), _method(order)),
        _Line(Step.PLACED, _("Place kept"), node),
        _Line(Step.ACCOUNT, _("Panel account ready")),
        _Line(Step.CREATED, _("Server created"), f"{plan.product.name} {plan.name}"),
        _Line(Step.INSTALLED, _("Game installed")),
        _Line(Step.RUNNING, _("Running"), server.address if server else ""),
    ]


def _method(order: Order) -> str:
    return next((payment.method_label for payment in order.invoice.payments.all() if payment.settled_at), "")


def _reached(order: Order, item: OrderItem) -> dict[str, datetime]:
    """When each step was reached first."""
    reached = {ORDERED: order.placed_at}
    if order.paid_at:
        reached[PAID] = order.paid_at
    for step in item.server.steps.all() if item.server else []:
        reached.setdefault(step.step, step.at)
    return reached


def seconds_since_payment(order: Order, at: datetime | None) -> int | None:
    """Whole seconds from the payment to `at`; None where either is missing or `at` was before it."""
    if at is None or order.paid_at is None or at < order.paid_at:
        return None
    return round((at - order.paid_at).total_seconds())
