"""The progress of an order as its page shows it: which steps are done, which is going on, and how long each took."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orders import queries
from orders.models import Order, OrderItem, OrderStatus
from servers import queries as servers
from servers.models import Step

DONE, CURRENT, UPCOMING, FAILED = "done", "current", "upcoming", "failed"
# The state of the first step that is not reached yet.
NEXT_STATE = {OrderStatus.FAILED: FAILED, OrderStatus.CANCELED: UPCOMING}


# What a change to a status means to the customer.
HISTORY = {
    OrderStatus.PENDING_PAYMENT: gettext_lazy("Order placed"),
    OrderStatus.PAID: gettext_lazy("Payment received"),
    OrderStatus.PROVISIONING: gettext_lazy("Setup started"),
    OrderStatus.WAITING_CAPACITY: gettext_lazy("Waiting for capacity"),
    OrderStatus.ACTIVE: gettext_lazy("Setup finished"),
    OrderStatus.FAILED: gettext_lazy("Setup failed"),
    OrderStatus.CANCELED: gettext_lazy("Order canceled"),
}


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
    items = order.items.all()
    labels, reached = building_steps(items)
    reached["ordered"] = order.placed_at
    if order.paid_at:
        reached["paid"] = order.paid_at
    under_way = {
        "paid": _("Your bank is processing the payment") if order.is_payment_processing else "",
        Step.CREATED: listed(item.server.pull_progress for item in items if item.server),
    }
    is_waiting = order.status in {OrderStatus.PAID, OrderStatus.WAITING_CAPACITY}  # what was reserved is gone
    built = [item.server for item in items if item.server]
    plans = [item.plan_price.plan for item in items]
    details = {
        Step.PLACED: listed(server.node.name for server in built if server.node),
        Step.CREATED: listed(f"{plan.product.name} {plan.name}" for plan in plans),
        Step.RUNNING: listed(server.address for server in built),
    }
    steps: list[tuple[str, str, str]] = [
        (
            "ordered",
            _("Order placed") if is_waiting else _("Capacity reserved"),
            listed(str(item.region) for item in items),
        ),
        ("paid", _("Paid") if order.paid_at else _("Payment"), queries.paid_with(order) if order.paid_at else ""),
        *((step, label, details.get(Step(step), "")) for step, label in labels.items()),
    ]
    shown, next_state = [], NEXT_STATE.get(OrderStatus(order.status), CURRENT)
    for key, label, detail in steps:
        if key in reached:
            shown.append(ProgressStep(label, DONE, detail, seconds_since_payment(order, reached[key])))
        else:
            shown.append(ProgressStep(label, next_state, under_way.get(key, "")))
            next_state = UPCOMING
    if order.status == OrderStatus.CANCELED:
        return [step for step in shown if step.state == DONE]
    return shown


def history_of(order: Order) -> list[tuple[datetime, str]]:
    """When the order's status changed, and what each change meant, the oldest first.

    Takes an order of `queries.order_for_page`.
    """
    changes = sorted(order.changes.all(), key=lambda change: (change.at, change.pk))
    return [(change.at, str(HISTORY[OrderStatus(change.new)])) for change in changes if change.new != change.old]


def building_steps(items: Iterable[OrderItem]) -> tuple[dict[str, str], dict[str, datetime]]:
    """The labels of the steps that build the items' servers, and when all servers had come so far."""
    labels: dict[str, str] = {}
    times: dict[str, list[datetime | None]] = defaultdict(list)
    for item in items:
        first: dict[str, datetime] = {}
        for row in item.server.steps.all() if item.server else []:
            first.setdefault(row.step, row.at)  # a step may be repeated: its first time counts
        for step, label in servers.purchase_steps(item.reservation.blueprint_id).items() if item.reservation else ():
            labels.setdefault(step, label)
            times[step].append(first.get(step))
    known = {step: [at for at in each if at is not None] for step, each in times.items()}
    return labels, {step: max(each) for step, each in known.items() if len(each) == len(times[step])}


def listed(texts: Iterable[str]) -> str:
    """Each text once, separated by commas."""
    return ", ".join(dict.fromkeys(filter(None, texts)))


def seconds_since_payment(order: Order, at: datetime | None) -> int | None:
    """Whole seconds from the payment to `at`; None where either is missing or `at` was before it."""
    if at is None or order.paid_at is None or at < order.paid_at:
        return None
    return round((at - order.paid_at).total_seconds())
