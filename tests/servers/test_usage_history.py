"""What servers use while nobody looks: sampled now and then, rolled up, shown as charts, and told when a disk fills."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from core import clock, work
from core.models import WorkState
from sandbox.client import Sandbox
from servers.drivers.base import PowerAction, PowerState, Usage
from servers.live import history, power, usage
from servers.live.history import Span
from servers.models import PowerTask, Provider, Server, UsageBucket, UsageSample, UsageTask
from support.models import Delivery
from tests.builders import make_user
from tests.servers.actions import make_running
from tests.servers.builders import AT

MINUTE = timedelta(minutes=1)


def used(cpu: int = 100, memory: int = 512, disk: int = 1024) -> Usage:
    return Usage(PowerState.RUNNING, Decimal(cpu), memory, disk, 0, 0, 60)


def run_for(minutes: int, start: int = 0) -> None:
    """Workers do what is due, minute by minute."""
    for minute in range(start, start + minutes):
        work.run_due(at=AT + minute * MINUTE, models=(UsageTask, PowerTask))


def test_a_running_server_is_sampled_every_five_minutes_though_nobody_looks(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)

    assert [usage.sample_running(at=AT), usage.sample_running(at=AT)] == [1, 0]
    run_for(60)

    assert UsageSample.objects.filter(server=server).count() == 12
    quarters = UsageBucket.objects.filter(server=server, minutes=15).order_by("starts_at")
    assert [each.samples for each in quarters] == [3, 3, 3, 3]


def test_who_looks_does_not_wait_for_the_next_five_minutes(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    usage.sample_running(at=AT)
    run_for(1)

    usage.watch(server, at=AT + MINUTE)
    work.run_due(at=AT + MINUTE, models=(UsageTask,))

    assert UsageSample.objects.filter(server=server).count() == 2


def test_a_stopped_server_is_not_sampled_until_it_runs_again(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider, owner=make_user())
    usage.sample_running(at=AT)
    run_for(1)
    power.request_power_action(server=server, action=PowerAction.STOP, actor=server.owner, at=AT + MINUTE)
    run_for(20, start=1)
    assert UsageTask.objects.get().state == WorkState.DONE
    assert usage.sample_running(at=AT + 20 * MINUTE) == 0

    power.request_power_action(
        server=server.reload(), action=PowerAction.START, actor=server.owner, at=AT + 21 * MINUTE
    )
    run_for(2, start=21)

    assert usage.sample_running(at=AT + 23 * MINUTE) == 1


@pytest.mark.parametrize(("span", "points"), [(Span.HOUR, 12), (Span.DAY, 96), (Span.WEEK, 84)])
def test_a_chart_has_averages_and_gaps(panel: Sandbox, provider: Provider, span: Span, points: int) -> None:
    server = make_running(provider)
    _length, width = history.SPANS[span]
    for cpu, ago in ((50, 2), (150, 2), (100, 0)):
        at = AT - ago * width
        UsageSample.objects.create(
            server=server, organization=server.organization, at=at, power_state="running", cpu_percent=cpu,
            memory_mib=512, disk_mib=1024, received_bytes=0, sent_bytes=0, uptime_seconds=60,
        )  # fmt: skip
        history.roll_up(server, used(cpu), at=at)

    chart = history.chart(server, span, at=AT)

    assert len(chart.cpu) == points
    assert chart.cpu[-3:] == [100, None, 100]
    assert [each[-1] for each in (chart.memory, chart.disk)] == [512, 1024]
    assert chart.most == {"cpu": 100, "memory": 512, "disk": 1024}


def test_the_tables_stay_bounded(panel: Sandbox, provider: Provider) -> None:
    server = make_running(provider)
    for hours in range(24 * 10):
        history.roll_up(server, used(), at=AT + timedelta(hours=hours))

    history.purge(at=AT + timedelta(days=10))

    counts = {minutes: UsageBucket.objects.filter(minutes=minutes).count() for minutes in (15, 120)}
    assert counts == {15: 26, 120: 96}


def test_the_owner_is_told_once_that_the_disk_is_nearly_full_and_again_after_it_was_not(
    panel: Sandbox, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = make_running(provider, owner=make_user())
    usage.sample_running(at=AT)
    percent = 95
    driver = "servers.drivers.pterodactyl.driver.PterodactylDriverWithClientKey.usage"
    monkeypatch.setattr(driver, lambda *_: used(disk=server.disk_mib * percent // 100))
    run_for(20)
    assert Delivery.objects.filter(event="server.disk_filling").count() == 1

    percent = 50
    run_for(20, start=20)
    percent = 92
    run_for(20, start=40)

    assert Delivery.objects.filter(event="server.disk_filling", user=server.organization.owner).count() == 2


def test_the_page_shows_the_chosen_time_and_asks_nobody(panel: Sandbox, provider: Provider, client: Client) -> None:
    server = make_running(provider, owner=make_user())
    for minutes in range(0, 120, 5):
        history.roll_up(server, used(), at=clock.now() - minutes * MINUTE)
    client.force_login(server.owner)
    address = reverse("servers:usage", args=[server.pk])

    day = client.get(address).content.decode()
    part = client.get(address, {"span": "week"}, headers={"HX-Request": "true"}).content.decode()
    odd = client.get(address, {"span": "century"})

    assert "at most 100% of" in day
    assert part.lstrip().startswith("<section")
    assert "<html" not in part
    assert odd.status_code == 200
    assert "Nothing was measured" in client.get(address, {"span": "hour"}).content.decode()
    assert Server.objects.get(pk=server.pk).usage_samples.count() == 0
