"""What pages say: promised times come from the settings, steps from the provisioning log, numbers in words."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from accounts.templatetags.devices import device
from core import site_settings
from core.models import WorkState
from core.templatetags.ui import cores
from orders import queries
from orders.models import Order, OrderItem, OrderStatus
from orders.progress import progress_of
from servers.live import status as live
from servers.live.usage import UsageHistory
from servers.models import Node, PowerOutcome, PowerTask, Server, ServerStatus, UsageSample
from tests.pages.rows import make_dataset

HTMX = {"HX-Request": "true"}  # the summary only: the form itself mentions both


@pytest.fixture
def order(db: None) -> Order:
    """A paid order whose server was assigned to a node seven seconds after the payment."""
    dataset = make_dataset(1)
    OrderItem.objects.filter(server=dataset.server).update(server=None)  # of the order that it was sold by
    dataset.order.items.update(server=dataset.server)
    step = dataset.server.steps.get()
    paid_at = step.at - timedelta(seconds=7)
    Order.objects.filter(pk=dataset.order.pk).update(
        status=OrderStatus.PROVISIONING, paid_at=paid_at, placed_at=paid_at - timedelta(minutes=1)
    )
    return dataset.order.reload()


def shown_steps(order: Order, **fields: object) -> list[tuple[str, int | None]]:
    """State and seconds of each step, once the order is in this state."""
    Order.objects.filter(pk=order.pk).update(**fields)
    return [
        (step.state, step.seconds) for step in progress_of(queries.order_for_page(Order.objects.all()).get(pk=order.pk))
    ]


def test_steps_are_counted_from_the_payment(order: Order) -> None:
    node = order.items.get().server.node.name  # type: ignore[union-attr]

    assert shown_steps(order) == [
        ("done", None),
        ("done", 0),
        ("done", 7),
        ("current", None),
        ("upcoming", None),
        ("upcoming", None),
        ("upcoming", None),
    ]
    Server.objects.update(layers_done=1, layers_total=3)
    steps = progress_of(queries.order_for_page(Order.objects.all()).get(pk=order.pk))
    assert [steps[2].detail, steps[4].detail] == [node, "Downloading the image: 1 of 3 layers"]


def test_an_order_whose_panel_is_silent_says_that_it_waits(order: Order) -> None:
    client = Client()
    client.force_login(order.placed_by)
    url = reverse("orders:progress", args=[order.pk])
    assert "Your order waits" not in client.get(url).content.decode()
    now = timezone.now()
    Node.objects.update(silent_since=now, unreachable_since=now)
    assert client.get(url).content.decode().count("Your order waits") == 1


def test_a_failed_order_shows_where_it_stopped(order: Order) -> None:
    states = [state for state, _seconds in shown_steps(order, status=OrderStatus.FAILED)]

    assert states == ["done", "done", "done", "failed", "upcoming", "upcoming", "upcoming"]


def test_a_canceled_order_shows_only_how_far_it_came(order: Order) -> None:
    assert shown_steps(order, status=OrderStatus.CANCELED) == [("done", None), ("done", 0), ("done", 7)]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (OrderStatus.PENDING_PAYMENT, "Your server is reserved until"),
        (OrderStatus.PAID, "We received your payment and are setting up your server."),
        (OrderStatus.PROVISIONING, "We received your payment and are setting up your server."),
        (OrderStatus.WAITING_CAPACITY, "If it is not running by"),
        (OrderStatus.FAILED, "If it is not running by"),
        (OrderStatus.CANCELED, "We refund your payment to the method you paid with"),
        (OrderStatus.ACTIVE, "Your server is running, 12 s after you paid."),
    ],
)
def test_each_status_of_an_order_is_explained(order: Order, status: OrderStatus, said: str, client: Client) -> None:
    assert order.paid_at is not None
    times = {"active_at": order.paid_at + timedelta(seconds=12), "refund_due_at": order.paid_at + timedelta(days=1)}
    Order.objects.filter(pk=order.pk).update(status=status, **times)
    client.force_login(order.placed_by)

    assert said in client.get(reverse("orders:progress", kwargs={"pk": order.pk})).content.decode()


def test_an_order_that_waits_for_capacity_does_not_say_that_it_is_reserved(order: Order, client: Client) -> None:
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.WAITING_CAPACITY)
    client.force_login(order.placed_by)

    page = client.get(reverse("orders:progress", kwargs={"pk": order.pk})).content.decode()

    assert "Order placed" in page
    assert "Capacity reserved" not in page


def test_a_customer_who_returns_from_paying_is_not_asked_to_pay_again(order: Order, client: Client) -> None:
    Order.objects.filter(pk=order.pk).update(status=OrderStatus.PENDING_PAYMENT)
    client.force_login(order.placed_by)
    address = reverse("orders:progress", kwargs={"pk": order.pk})

    waiting, returned = (client.get(address + query).content.decode() for query in ("", "?returned=1"))

    assert 'id="pay"' in waiting
    assert 'id="pay"' not in returned
    assert "There is no need to pay again." in returned
    assert f'hx-get="{address}?returned=1"' in returned


@pytest.mark.django_db
def test_the_home_page_promises_the_times_of_the_settings(client: Client) -> None:
    site_settings.set_value("orders.failed_refund_hours", 36)
    site_settings.set_value("orders.waiting_refund_hours", 5)
    site_settings.set_value("orders.reservation_minutes", 90)

    page = client.get("/").content.decode()

    assert "1 d 12 h after a failed installation" in page
    assert "5 h after your payment if the region is still out of stock" in page
    assert "1 h 30 min from the moment you order" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("query", "is_default", "said"),
    [
        ("", False, "charge nothing automatically"),
        ("", True, "until you cancel"),
        ("?term=monthly", True, "charge nothing automatically"),
        ("?term=monthly&is_auto_renewed=on", False, "until you cancel"),
    ],
)
def test_the_summary_says_how_the_plan_renews(query: str, is_default: bool, said: str, client: Client) -> None:
    site_settings.set_value("billing.gateway_renews", True)
    site_settings.set_value("orders.auto_renew_by_default", is_default)
    product = make_dataset(1).product

    page = client.get(reverse("storefront:configure", kwargs={"slug": product.slug}) + query, headers=HTMX)

    assert said in page.content.decode()


@pytest.mark.parametrize(
    ("sent", "reported", "state"),
    [
        (None, "running", "running"),
        (None, "stopping", "stopping"),
        ("stop", "running", "stopping"),
        ("stop", "off", "off"),
        ("start", "off", "starting"),
        ("kill", "stopping", "stopping"),
    ],
)
def test_a_sent_action_shows_until_the_panel_reports_its_outcome(sent: str, reported: str, state: str) -> None:
    at = timezone.now()
    server, sample = Server(status=ServerStatus.RUNNING), UsageSample(power_state=reported, at=at)
    task = PowerTask(action=sent, state=WorkState.DONE, outcome=PowerOutcome.SENT, finished_at=at) if sent else None

    assert live.live_status(server, UsageHistory([sample], at), task, at=at).state == state


@pytest.mark.parametrize(
    ("percent", "words"), [(100, "1 core"), (150, "1.5 cores"), (50, "0.5 cores"), (800, "8 cores")]
)
def test_cpu_is_written_in_cores(percent: int, words: str) -> None:
    assert cores(percent) == words


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (Android 16; Mobile; rv:152.0) Gecko/152.0 Firefox/152.0", "Firefox on Android"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/156.0 Safari/537.36 Edg/156.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 20 like Mac OS X) Version/20.0 Safari/604.1", "Safari on iPhone"),
        ("curl/8.9", "curl/8.9"),
        ("", "An unknown browser"),
        ("<script>" * 20, "<script><script><script><script><script>"),
    ],
)
def test_a_device_is_named_so_that_its_owner_knows_it(agent: str, name: str) -> None:
    assert device(agent) == name


def test_a_missing_page_leads_who_is_signed_in_to_their_own_pages(order: Order, client: Client) -> None:
    assert 'href="/dashboard/"' not in client.get("/no/such/page/").content.decode()
    client.force_login(order.organization.owner)
    assert 'href="/dashboard/"' in client.get("/no/such/page/").content.decode()
