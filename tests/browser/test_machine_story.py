"""Inside a server: a file is edited, and the console answers a command, over the node's own socket."""

from collections.abc import Iterator

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from sandbox.client import Sandbox
from servers.models import Operation, Server
from tests.browser.looks import DESKTOP
from tests.browser.page_monitor import PageMonitor
from tests.browser.web import Web, working
from tests.servers.actions import make_running
from tests.servers.builders import connect_panel
from tests.shop import make_customer

TIMEOUT_MS = 60_000


@pytest.fixture
def shop(shop_process: Web, sandbox: Sandbox, transactional_db: None, browser: Browser) -> Iterator[Web]:
    """The shop with a worker; its address may use the nodes, as an operator allows it."""
    settings = {"install_seconds": 0, "power_seconds": 0, "output_seconds": 1000.0}
    tokens = {"token_seconds": 6.0, "token_warning_seconds": 4.0, "token_check_seconds": 0.5}
    sandbox.panel_settings(allowed_origins=[shop_process.url], **settings, **tokens)
    with working(shop_process):
        yield shop_process


def test_a_file_is_edited_and_uploaded_and_the_console_answers(shop: Web, browser: Browser, sandbox: Sandbox) -> None:
    server = make_running(connect_panel(sandbox), owner=make_customer("lin@example.test"))
    context = browser.new_context(**DESKTOP.options)
    context.set_default_timeout(TIMEOUT_MS)
    expect.set_options(timeout=TIMEOUT_MS)
    client = Client()
    client.force_login(server.owner)
    context.add_cookies([{"name": "sessionid", "value": client.cookies["sessionid"].value, "url": shop.url}])
    page = context.new_page()
    monitor = PageMonitor(page, shop.url, sandbox.base_url)
    page.goto(f"{shop.url}/servers/{server.pk}/")

    edit_a_file(page)
    upload_a_file(page)
    answer_a_command(page)
    outlive_a_token(page)

    assert monitor.problems == []
    context.close()
    files = files_of(sandbox, server)
    assert files["/server.properties"] == "motd=Hello\n"
    assert len(files["/logs/world.zip"]) == 2 * 1024 * 1024


def files_of(sandbox: Sandbox, server: Server) -> dict[str, str]:
    """What the node has."""
    [found] = [each for each in sandbox.panel_state()["servers"] if each["external_id"] == str(server.pk)]
    return dict(found["runtime"]["files"])


def edit_a_file(page: Page) -> None:
    """The pages follow what the worker reads and writes."""
    page.get_by_role("link", name="Files").click()
    page.get_by_role("link", name="server.properties").click()
    expect(page.get_by_label("Content")).to_have_value("motd=A game server\nmax-players=20\n")
    page.get_by_label("Content").fill("motd=Hello\n")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Content")).to_have_value("motd=Hello\n")


def upload_a_file(page: Page) -> None:
    """Straight to the node: two megabytes are more than goes through us."""
    page.get_by_role("link", name="Back", exact=True).click()
    page.get_by_role("link", name="logs/").click()
    page.get_by_role("link", name="Upload").click()
    expect(page.get_by_text("straight to the server's node")).to_be_visible()  # the page was loaded again by itself
    file = {"name": "world.zip", "mimeType": "application/zip", "buffer": b"x" * 2 * 1024 * 1024}
    page.get_by_label("File", exact=True).set_input_files(file)  # type: ignore[arg-type]
    page.get_by_role("button", name="Upload").click()
    expect(page.get_by_role("link", name="world.zip")).to_be_visible()


def answer_a_command(page: Page) -> None:
    """What was printed before is there, a command is answered, and the output can be searched."""
    page.get_by_role("link", name="Console").click()
    log = page.get_by_role("log")
    expect(page.get_by_text("Connected")).to_be_visible()
    expect(log).to_contain_text("Server marked as running.")
    page.get_by_label("Command").fill("say hi")
    page.get_by_role("button", name="Send").click()
    expect(log).to_contain_text("done: say hi")
    expect(page.get_by_label("Command")).to_have_value("")
    page.get_by_label("Command").press("ArrowUp")
    expect(page.get_by_label("Command")).to_have_value("say hi")
    page.get_by_label("Show only lines with").fill("done: say")
    expect(log.get_by_text("Server marked as running.")).to_be_hidden()
    expect(log.get_by_text("done: say hi")).to_be_visible()


def outlive_a_token(page: Page) -> None:
    """The page gets another one in time, for the same socket."""
    page.get_by_label("Show only lines with").fill("")
    page.wait_for_timeout(7000)
    assert Operation.objects.filter(kind="console.open").count() >= 3
    page.get_by_label("Command").fill("say again")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("log")).to_contain_text("done: say again")
