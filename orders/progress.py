"""The progress of an order as its page shows it: which steps are done, which is going on, and how long each took."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from orders import queries
from orders.models import Order, OrderStatus
from servers import queries as servers
from servers.models import Step

DONE, CURRENT, UPCOMING, FAILED = "done", "current", "upcoming", "failed"
# The state of the first step that is not reached yet.
NEXT_STATE = {OrderStatus.FAILED: FAILED, OrderStatus.CANCELED: UPCOMING}


@dataclass(frozen=True)
class ProgressStep:
    """One line of the list. `state` is done, current, upcoming or failed; `seconds` counts from the payment."""

    label: str
    state: str
    detail: str = ""
    seconds: int | None = None


def progress_of(order: Order) -> list[ProgressStep]:
    """Every step from the order to the running server. A canceled order shows only those that were reached.

    Takes an order of `queries.order_for_page`.
    """
    item = order.items.all()[0]
    plan, server = item.plan_price.plan, item.server
    reached = {"ordered": order.placed_at}
    if order.paid_at:
        reached["paid"] = order.paid_at
    for row in server.steps.all() if server else []:
        reached.setdefault(row.step, row.at)  # a step may be repeated: its first time counts
    processing = _("Your bank is processing the payment") if order.is_payment_processing else ""
    is_waiting = order.status == OrderStatus.WAITING_CAPACITY  # what was reserved is gone
    details = {
        Step.PLACED: server.node.name if server and server.node else "",
        Step.CREATED: f"{plan.product.name} {plan.name}",
        Step.RUNNING: server.address if server else "",
    }
    labels = servers.purchase_steps(UUID(item.options["blueprint"]))
    steps: list[tuple[str, str, str]] = [
        ("ordered", _("Order placed") if is_waiting else _("Capacity reserved"), str(item.location)),
        ("paid", _("Paid") if order.paid_at else _("Payment"), queries.paid_with(order) if order.paid_at else ""),
        *((step, label, details.get(Step(step), "")) for step, label in labels.items()),
    ]
    shown, next_state = [], NEXT_STATE.get(OrderStatus(order.status), CURRENT)
    for key, label, detail in steps:
        if key in reached:
            shown.append(ProgressStep(label, DONE, detail, seconds_since_payment(order, reached[key])))
        else:
            shown.append(ProgressStep(label, next_state, processing if key == "paid" else ""))
            next_state = UPCOMING
    if order.status == OrderStatus.CANCELED:
        return [step for step in shown if step.state == DONE]
    return shown


def seconds_since_payment(order: Order, at: datetime | None) -> int | None:
    """Whole seconds from the payment to `at`; None where either is missing or `at` was before it."""
    if at is None or order.paid_at is None or at < order.paid_at:
        return None
    return round((at - order.paid_at).total_seconds())
