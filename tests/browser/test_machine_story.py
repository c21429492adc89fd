"""Inside a server: a backup, a file, an upload, and the console over the node's own socket and over the relay."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Browser, Page, expect

from sandbox.client import Sandbox
from servers.drivers import registry
from servers.models import Operation, Provider, Server
from tests.browser.looks import DESKTOP
from tests.browser.page_monitor import PageMonitor
from tests.browser.web import Web, relaying, working
from tests.servers.actions import make_running
from tests.servers.builders import connect_panel
from tests.shop import make_customer

TIMEOUT_MS = 60_000
# Resolves when the answer to the command that was sent in the pause is held back.
HAS_COME = """() => new Promise((done) => {
    const look = () => held.join().includes("done: say again") ? done() : setTimeout(look, 50);
    look();
})"""


@pytest.fixture
def shop(shop_process: Web, sandbox: Sandbox, transactional_db: None, browser: Browser) -> Iterator[Web]:
    """The shop with a worker; its address may use the nodes, as an operator allows it."""
    settings = {"install_seconds": 0, "power_seconds": 0, "output_seconds": 1000.0}
    settings |= {"backup_seconds": 0, "restore_seconds": 0}
    tokens = {"token_seconds": 6.0, "token_warning_seconds": 4.0, "token_check_seconds": 0.5}
    sandbox.panel_settings(allowed_origins=[shop_process.url], **settings, **tokens)
    with working(shop_process), relaying(shop_process):
        yield shop_process


def test_backups_files_and_the_console_work_in_a_browser(shop: Web, browser: Browser, sandbox: Sandbox) -> None:
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

    lock_a_backup(page)
    edit_a_file(page)
    upload_a_file(page)
    files = files_of(sandbox, server)
    assert files["/server.properties"] == "motd=Hello\n"
    assert len(files["/logs/world.zip"]) == 2 * 1024 * 1024
    restore_the_backup(page, server)
    files = files_of(sandbox, server)
    assert files["/server.properties"] == "motd=A game server\nmax-players=20\n"
    assert "/logs/world.zip" not in files
    answer_a_command(page)
    show_colours(page, server)
    outlive_a_token_in_a_pause(page)
    say_that_the_socket_is_lost(page)
    follow_over_the_relay(page, shop)

    assert monitor.problems == []
    context.close()


def files_of(sandbox: Sandbox, server: Server) -> dict[str, str]:
    """What the node has."""
    [found] = [each for each in sandbox.panel_state()["servers"] if each["external_id"] == str(server.pk)]
    return dict(found["runtime"]["files"])


def lock_a_backup(page: Page) -> None:
    """It is made while the page is open, and a locked one cannot be deleted."""
    page.get_by_role("link", name="Backups").click()
    page.get_by_label("Name of the backup").fill("before the update")
    page.get_by_role("button", name="Make a backup").click()
    page.get_by_role("button", name="Lock before the update", exact=True).click()
    expect(page.get_by_text("Locked", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="Delete before the update")).to_have_count(0)


def restore_the_backup(page: Page, server: Server) -> None:
    """Only under the server's name; the page follows it to its end."""
    page.get_by_role("link", name="Backups").click()
    page.get_by_role("link", name="Restore before the update").click()
    typed = page.get_by_label(f"Type {server.name} to confirm")
    typed.fill("before the update")
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("This is not the server's name.")).to_be_visible()
    typed.fill(server.name)
    page.get_by_role("button", name="Restore").click()
    expect(page.get_by_text("Restoring the backup.")).to_be_visible()
    expect(page.get_by_text("Restore a backup: under way")).to_have_count(0)


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


def show_colours(page: Page, server: Server) -> None:
    """What a game prints in colours has them, and none of their codes is left."""
    page.get_by_label("Show only lines with").fill("")
    driver: Any = registry.driver_of(server.blueprint.provider)
    driver.send_command(server.identifier, "say \x1b[1;31mfire\x1b[0m and \x1b[92mwater")
    line = page.get_by_role("log").get_by_text("done: say fire and water")
    fire = line.get_by_text("fire", exact=True)
    expect(fire).to_have_css("color", "rgb(179, 38, 30)")
    expect(fire).to_have_css("font-weight", "700")
    expect(line.get_by_text("water", exact=True)).to_have_css("color", "rgb(27, 110, 44)")
    expect(line).to_have_text(f"[{server.name}] done: say fire and water")


def outlive_a_token_in_a_pause(page: Page) -> None:
    """The page gets another token in time, for the same socket, and says what came meanwhile when the pause ends."""
    page.get_by_role("button", name="Pause").click()
    page.wait_for_timeout(7000)
    assert Operation.objects.filter(kind="console.open").count() >= 3
    expect(page.locator("[data-console] [data-status]")).to_have_text("Paused")
    page.get_by_label("Command").fill("say again")
    page.get_by_role("button", name="Send").click()
    page.evaluate(HAS_COME)
    expect(page.get_by_role("log")).not_to_contain_text("done: say again")
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("log")).to_contain_text("done: say again")
    expect(page.locator("[data-console] [data-status]")).to_have_text("Connected")


def say_that_the_socket_is_lost(page: Page) -> None:
    """Also in a pause, and at its end."""
    page.get_by_role("button", name="Pause").click()
    page.evaluate("() => { wait = 60000; socket.close(); }")
    expect(page.locator("[data-console] [data-status]")).to_have_text("The connection is lost. Trying again…")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("[data-console] [data-status]")).to_have_text("The connection is lost. Trying again…")


def follow_over_the_relay(page: Page, shop: Web) -> None:
    """Where browsers do not reach the node: another address, and the session instead of a token."""
    Provider.objects.update(is_console_relayed=True)
    Operation.objects.filter(kind="console.open").delete()  # those of the node's own socket
    sockets: list[str] = []
    page.on("websocket", lambda opened: sockets.append(opened.url))
    page.reload()
    expect(page.locator("[data-console] [data-status]")).to_have_text("Connected")
    expect(page.get_by_role("log")).to_contain_text("done: say again")
    page.get_by_label("Command").fill("say there")
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("log")).to_contain_text("done: say there")
    assert [url.partition("/relay/")[0] for url in sockets] == [shop.environment["CONSOLE_RELAY_URL"]]
