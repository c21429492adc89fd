"""Who plays on a server: a worker asks the game on a real socket, whatever it answers, and pages show what it told."""

import json
import time
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from django.urls import reverse

from core import clock, work
from core.outside import pages
from sandbox.client import Sandbox
from sandbox.games import GameServer
from servers.admin.blueprints import BlueprintForm
from servers.live import game_query, players, usage
from servers.live.game_query import Players
from servers.models import Allocation, Blueprint, Egg, Provider, QueryProtocol, Server, UsageSample, UsageTask
from tests.builders import make_user
from tests.servers.actions import make_running
from tests.servers.builders import AT

JAVA, BEDROCK, SOURCE = QueryProtocol.MINECRAFT_JAVA, QueryProtocol.MINECRAFT_BEDROCK, QueryProtocol.SOURCE
HOSTILE = [
    b"\x00" * 4000,
    b"\xff\xff\xff\xff\x7f",  # a length of gigabytes
    b"\x05\x00\x03{}\n",
    b"\xff\xff\xff\xffI\x11no end",
    b"\xfe\xff\xff\xff" + b"BZh9" * 300,  # an answer in parts, as bombs are sent
    b"\x1c" + bytes(16) + game_query.RAKNET_MAGIC + b"\x00\x04MCPE",
    b"\x1c" + bytes(16) + game_query.RAKNET_MAGIC + b"\x00\x20MCPE;x;1;1;-5;99999999999999;",
]


def java(status: object) -> bytes:
    """The status as Minecraft frames it."""
    text = json.dumps(status).encode()
    packet = b"\x00" + game_query._varint(len(text)) + text
    return game_query._varint(len(packet)) + packet


def watched(server: Server, *, at: datetime) -> UsageSample | None:
    """What a worker sampled while somebody looked."""
    usage.watch(server, at=at)
    work.run_due(at=at, models=(UsageTask,))
    return UsageSample.objects.filter(at=at).first()


@pytest.fixture
def server(panel: Sandbox, provider: Provider) -> Server:
    return make_running(provider, owner=make_user())


def plays(server: Server, game: GameServer, protocol: QueryProtocol, query_port: str = "") -> None:
    """The server's own port is that of the stand-in."""
    ip, port = game.address
    ports = Allocation.objects.filter(reservation=server.reservation_id)
    ports.filter(is_primary=True).update(ip=ip, port=port)
    Blueprint.objects.filter(pk=server.blueprint_id).update(query_protocol=protocol, query_port=query_port)


@pytest.mark.parametrize("protocol", [JAVA, BEDROCK, SOURCE])
def test_a_game_says_who_plays_in_its_own_language(protocol: QueryProtocol) -> None:
    with GameServer() as game:
        names = () if protocol == BEDROCK else ("mira", "tomas", "ko")
        assert game_query.ask(protocol, *game.address) == Players(3, 20, names)

        game.names = ["n" * 500, "§cred\u202e\x07", "", *"abcdefghijklmn"]
        shown = game_query.ask(protocol, *game.address)
        assert shown
        if names:
            assert shown.names[:3] == ("n" * 32, "red", "a")
            assert len(shown.names) < game_query.MAX_NAMES


@pytest.mark.parametrize("protocol", [JAVA, BEDROCK, SOURCE])
def test_whatever_a_customers_program_answers_is_an_answer_or_none(
    protocol: QueryProtocol, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(game_query, "TIMEOUT_SECONDS", 0.3)
    counts = {"max": 20, "sample": []}
    strange = [
        java([]),
        java({"players": None}),
        java({"players": {"online": True, **counts}}),
        java({"players": {"online": 1.5, **counts}}),
        java({"players": {"online": -1, **counts}}),
        java({"players": {"online": 1, **counts, "sample": [{"name": 3}]}}),
        b"\xff\xff\x03" + b"[" * 30_000,
    ]
    with GameServer() as game:
        for game.raw in [*HOSTILE, *strange]:
            assert game_query.ask(protocol, *game.address) is None
        game.raw = java({"players": {"online": 1, "max": 2, "sample": "none"}})
        assert (game_query.ask(protocol, *game.address) == Players(1, 2)) == (protocol == JAVA)


def test_a_question_ends_in_time_and_is_not_sent_by_a_page_in_a_transaction_or_to_no_machine(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(game_query, "TIMEOUT_SECONDS", 0.2)
    with GameServer() as game:
        game.is_silent, began = True, time.monotonic()
        assert [game_query.ask(each, *game.address) for each in (JAVA, BEDROCK, SOURCE)] == [None] * 3
        game.is_silent, game.pause_seconds = False, 0.05
        game.raw = game_query._varint(game_query.MAX_ANSWER) + bytes(game_query.MAX_ANSWER)
        assert game_query.ask(JAVA, *game.address) is None
        with pages.page(), pytest.raises(RuntimeError, match="by a page"):
            game_query.ask(JAVA, *game.address)
        with transaction.atomic(), pytest.raises(RuntimeError, match="transaction"):
            game_query.ask(JAVA, *game.address)
    assert game_query.ask(JAVA, "0.0.0.0", 25565) is None  # noqa: S104 - not bound, refused
    assert game_query.ask(SOURCE, "169.254.169.254", 80) is None
    assert time.monotonic() - began < 2


def test_the_page_and_the_dashboard_show_what_the_game_told(server: Server) -> None:
    with GameServer() as game:
        game.names = ["<b>mira</b>", "tomas"]
        plays(server, game, JAVA)
        at = clock.now()
        sample = watched(server, at=at)
        assert sample
        assert (sample.players, sample.players_limit) == (3, 20)
        browser = Client()
        browser.force_login(server.owner)

        page = browser.get(reverse("servers:detail", args=[server.pk])).content.decode()
        assert "3 of 20 players" in page
        assert "&lt;b&gt;mira&lt;/b&gt;, tomas" in page
        assert "steam://" not in page
        assert "3 of 20 players" in browser.get(reverse("dashboard")).content.decode()

        # Who does not answer once is shown as of before, until the server is off.
        game.is_silent = True
        UsageSample.objects.filter(pk=sample.pk).update(at=at - timedelta(minutes=2))
        UsageSample.objects.create(**{**row(sample), "at": at})
        history = usage.usage_of(server, at=at)
        assert history.players
        assert history.players.players == 3
        UsageSample.objects.create(**{**row(sample), "at": at, "power_state": "off"})
        assert usage.usage_of(server, at=at + timedelta(seconds=1)).players is None


def row(sample: UsageSample) -> dict[str, object]:
    """The sample's own values, of which nobody told who plays."""
    skipped = {"id", "players", "players_limit", "player_names"}
    return {field.attname: getattr(sample, field.attname) for field in sample._meta.fields if field.name not in skipped}


def test_only_a_port_of_the_server_itself_is_asked(server: Server, settings: Any) -> None:
    with GameServer() as game, GameServer() as other:
        for query_port in (f"+{abs(other.address[1] - game.address[1])}", "BUILD_NUMBER", "NOTHING"):
            plays(server, game, SOURCE, query_port)
            server.variables.update_or_create(
                env_variable="BUILD_NUMBER",
                defaults={"organization": server.organization, "value": str(other.address[1]), "is_set_by_staff": True},
            )
            assert players._address(server.reload()) is None

        second = Allocation.objects.filter(reservation=None, node=server.node_id).first()
        assert second
        Allocation.objects.filter(pk=second.pk).update(
            reservation=server.reservation_id, ip=other.address[0], port=other.address[1]
        )
        plays(server, game, SOURCE, "BUILD_NUMBER")
        assert players._address(server.reload()) == other.address
    settings.GAME_STAND_IN = "game://127.0.0.1:9000"  # as in the demo
    assert players._address(server) == ("127.0.0.1", 9000)


def test_a_game_that_does_not_answer_is_rarely_asked_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with GameServer() as game:
        game.raw = b"no"
        plays(server, game, BEDROCK)
        asked: list[object] = []
        ask = game_query.ask

        def counted(*where: Any) -> Any:
            asked.append(where)
            return ask(*where)

        monkeypatch.setattr(game_query, "ask", counted)
        usage.watch(server, at=AT)
        server = Server.objects.select_related("blueprint").get(pk=server.pk)
        for seconds, is_watched in ((0, True), (50, True), (60, True), (300, False), (400, True), (6 * 3600, False)):
            task = UsageTask.objects.get(server=server)
            at = AT + timedelta(seconds=seconds)
            assert players.players_of(server, task, is_watched=is_watched, at=at) is None
        assert len(asked) == 3

        game.raw = None
        at = AT + timedelta(hours=13)
        task = UsageTask.objects.get(server=server)
        assert players.players_of(server, task, is_watched=False, at=at) == Players(3, 20)
        assert UsageTask.objects.get(server=server).game_silent_at is None


def test_a_game_that_answers_slowly_holds_up_its_node_no_more_often_than_a_silent_one(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []

    def slow(*_where: Any) -> Players:
        time.sleep(0.01)
        asked.append(time.monotonic())
        return Players(3, 20)

    monkeypatch.setattr(game_query, "ask", slow)
    monkeypatch.setattr(players, "SLOW_SECONDS", 0.001)
    Blueprint.objects.filter(pk=server.blueprint_id).update(query_protocol=JAVA)
    usage.watch(server, at=AT)
    server = Server.objects.select_related("blueprint").get(pk=server.pk)
    told = []
    for seconds in (0, 10, 50, 60, 70):
        task = UsageTask.objects.get(server=server)
        told.append(players.players_of(server, task, is_watched=True, at=AT + timedelta(seconds=seconds)))

    assert told == [Players(3, 20), None, None, Players(3, 20), None]
    monkeypatch.setattr(players, "SLOW_SECONDS", 1)
    task = UsageTask.objects.get(server=server)
    assert players.players_of(server, task, is_watched=True, at=AT + timedelta(seconds=120))
    assert UsageTask.objects.get(server=server).game_silent_at is None
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("protocol", "query_port", "link"),
    [
        (SOURCE, "", "steam://connect/192.0.2.1:25565"),
        (SOURCE, "QUERY_PORT", ""),
        (BEDROCK, "", "minecraft://?addExternalServer=Mira%27s%7C%22fort%22|192.0.2.1:25565"),
        (JAVA, "", ""),
        (QueryProtocol.NONE, "", ""),
    ],
)
def test_a_link_joins_where_a_client_has_one(protocol: str, query_port: str, link: str) -> None:
    server = Server(name='Mira\'s|"fort"', address="192.0.2.1:25565")
    assert players.join_link(server, protocol, query_port) == link


def test_the_page_offers_the_link(server: Server) -> None:
    Blueprint.objects.update(query_protocol=SOURCE)
    browser = Client()
    browser.force_login(server.owner)
    page = browser.get(reverse("servers:detail", args=[server.pk])).content.decode()
    assert f'href="steam://connect/{server.reload().address}"' in page


def test_the_egg_suggests_how_its_game_is_asked(provider: Provider) -> None:
    suggested = {egg.name: players.suggested_query(egg) for egg in Egg.objects.select_related("nest").order_by("name")}
    assert suggested["Minecraft Paper"] == (JAVA, "")
    assert suggested["Rust"] == (SOURCE, "QUERY_PORT")
    assert suggested["Among Us Impostor"] == (QueryProtocol.NONE, "")


@pytest.mark.parametrize(("chosen", "saved"), [("", JAVA), (QueryProtocol.NONE, QueryProtocol.NONE), (SOURCE, SOURCE)])
def test_a_blueprint_takes_the_suggestion_unless_staff_choose(server: Server, chosen: str, saved: str) -> None:
    blueprint = server.blueprint
    shown = BlueprintForm(instance=blueprint)
    sent = {name: shown[name].value() for name in shown.fields} | {"query_protocol": chosen}
    sent |= {"regions": [], "container_ports": "[]", "volumes": "[]", "environment": "{}"}
    form = BlueprintForm({name: value for name, value in sent.items() if value is not None}, instance=blueprint)
    assert form.is_valid(), form.errors
    assert form.save().query_protocol == saved
