"""Files of a server: folders and texts as a worker read them, changed by a worker, and nothing outside the server."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from core import clock, work
from core.models import AuditEntry, WorkState
from core.outside import limits
from sandbox.client import Sandbox
from servers import services
from servers.models import HoldKind, Listing, Operation, OperationOutcome, Provider, Server
from servers.self_service import operations, texts
from servers.self_service.paths import clean_name, clean_path
from tests.builders import make_user
from tests.servers.actions import make_running

SELF_SERVICE = (Operation, Listing)
PROPERTIES = "server.properties"


@pytest.fixture
def server(panel: Sandbox, provider: Provider) -> Server:
    """A running server of a customer of its own."""
    return make_running(provider, owner=make_user())


@pytest.fixture
def browser(server: Server) -> Client:
    """Its owner."""
    client = Client()
    client.force_login(server.owner)
    return client


def run(seconds: int = 0) -> None:
    """Workers do what is due after so many seconds."""
    limits.reset_limits()
    work.run_due(at=clock.now() + timedelta(seconds=seconds), models=SELF_SERVICE)


def address(name: str, server: Server, path: str = "", /, **more: Any) -> str:
    return f"{reverse(f'servers:{name}', args=[server.pk])}?{urlencode({'path': path, **more}, doseq=True)}"


def page(browser: Client, server: Server, path: str = "", name: str = "files") -> str:
    """The page after a worker has read what it shows."""
    run()
    Listing.objects.update(read_at=None)
    browser.get(address(name, server, path))
    run()
    return browser.get(address(name, server, path)).content.decode()


def choose(browser: Client, server: Server, act: str, *names: str, path: str = "") -> Any:
    """Tick files of a folder and press a button."""
    page(browser, server, path)
    return browser.post(address("files", server, path), {"act": act, "names": names})


def files(panel: Sandbox, server: Server) -> dict[str, str]:
    """What the node has."""
    [found] = [each for each in panel.panel_state()["servers"] if each["external_id"] == str(server.pk)]
    return dict(found["runtime"]["files"])


def save(browser: Client, server: Server, path: str, text: str, **more: str) -> Any:
    """Change the text of a file as the page shows it."""
    form = browser.get(address("file", server, path)).context["form"]
    data = {"text": text, "version": form["version"].value(), "is_crlf": form["is_crlf"].value() or ""}
    return browser.post(address("file", server, path), data | more)


def test_a_folder_is_browsed_and_a_text_is_changed(panel: Sandbox, server: Server, browser: Client) -> None:
    assert "Reading the folder" in browser.get(address("files", server)).content.decode()
    shown = page(browser, server)
    assert PROPERTIES in shown
    assert "logs/" in shown
    assert "latest.log" in page(browser, server, "logs")

    assert "max-players=20" in page(browser, server, PROPERTIES, "file")
    assert save(browser, server, PROPERTIES, "motd=Hello\r\nmax-players=9\r\n").status_code == 302
    run()

    assert files(panel, server)["/server.properties"] == "motd=Hello\nmax-players=9\n"
    assert "motd=Hello" in page(browser, server, PROPERTIES, "file")
    entry = AuditEntry.objects.get(action="server.file.write")
    assert "Hello" not in str(entry.new)
    assert Operation.objects.get(kind="file.write").content is None


def test_what_was_changed_meanwhile_is_not_overwritten_unseen(panel: Sandbox, server: Server, browser: Client) -> None:
    page(browser, server, PROPERTIES, "file")
    mine, theirs = "motd=mine\n", "motd=theirs\n"
    old = browser.get(address("file", server, PROPERTIES)).context["form"]["version"].value()
    save(browser, server, PROPERTIES, theirs)
    Listing.objects.filter(kind="file").update(read_at=clock.now())  # the page has not seen it yet: the worker has

    browser.post(address("file", server, PROPERTIES), {"text": mine, "version": old})
    run()

    assert files(panel, server)["/server.properties"] == theirs
    shown = page(browser, server, PROPERTIES, "file")
    assert "was changed since you opened it" in shown
    assert "motd=mine" in shown  # nothing that was typed is lost
    discarded = browser.get(address("file", server, PROPERTIES, discard=1)).content.decode()
    assert "motd=theirs" in discarded
    assert "motd=mine" not in discarded
    refused = browser.post(address("file", server, PROPERTIES), {"text": mine, "version": old})
    assert refused.status_code == 422
    assert "text" in refused.context["form"].errors
    again = refused.context["form"]["version"].value()
    browser.post(address("file", server, PROPERTIES), {"text": mine, "version": again})
    run()
    assert files(panel, server)["/server.properties"] == mine


def test_line_ends_are_kept_and_what_is_no_text_is_not_edited() -> None:
    written: dict[str, bytes] = {"a": b"x\r\ny\r\n", "bin": b"\x00\x01", "latin": b"\xff", "mixed": b"a\r\nb\n"}

    class Node:
        def read_file(self, _identifier: str, path: str) -> bytes:
            return written[path]

        def write_file(self, _identifier: str, path: str, content: bytes) -> None:
            written[path] = content

    node: Any = Node()
    shown = texts.read(node, "i", "a")
    assert shown["text"] == "x\ny\n"
    texts.write(node, "i", "a", shown | {"text": "x\nz\n"})
    assert written["a"] == b"x\r\nz\r\n"
    assert [texts.read(node, "i", name)["text"] for name in ("bin", "latin", "mixed")] == [None] * 3


def test_files_are_made_moved_copied_packed_and_deleted(panel: Sandbox, server: Server, browser: Client) -> None:
    page(browser, server)
    browser.post(address("files", server), {"act": "folder", "name": "plugins"})
    new = browser.post(address("files", server), {"act": "file", "name": "notes.txt"})
    browser.post(
        new.url,  # type: ignore[attr-defined]
        {"text": "Remember\n", "version": ""},
    )
    run()
    assert files(panel, server)["/plugins/"] == ""
    assert files(panel, server)["/notes.txt"] == "Remember\n"

    move = choose(browser, server, "move", "notes.txt").url
    browser.post(move, {"folder": "plugins", "name": "read me.txt"})
    run()
    choose(browser, server, "copy", "read me.txt", path="plugins")
    choose(browser, server, "compress", "read me.txt", path="plugins")
    run()
    names = {name.removeprefix("/plugins/") for name in files(panel, server) if name.startswith("/plugins/")}
    [archive] = [name for name in names if name.startswith("archive-")]
    assert names == {"read me.txt", "read me copy.txt", archive}

    asking = choose(browser, server, "delete", "read me.txt", path="plugins").url
    assert "/plugins/read me.txt" in files(panel, server)
    browser.post(asking)
    run()
    assert "/plugins/read me.txt" not in files(panel, server)
    choose(browser, server, "extract", archive, path="plugins")
    run()
    assert files(panel, server)["/plugins/read me.txt"] == "Remember\n"
    assert not Operation.objects.exclude(outcome=OperationOutcome.DONE).exists()

    asking = choose(browser, server, "delete", "plugins", PROPERTIES).url
    assert browser.post(asking, {"typed": "another"}).status_code == 422
    browser.post(asking, {"typed": server.name})
    run()
    assert list(files(panel, server)) == ["/eula.txt", "/logs/latest.log"]


@pytest.mark.parametrize("fault", ["lose_answer", "drop"])
def test_a_copy_whose_answer_was_lost_is_one_copy(panel: Sandbox, server: Server, browser: Client, fault: str) -> None:
    page(browser, server)
    browser.post(address("files", server), {"act": "copy", "names": ["eula.txt"]})
    panel.arm("pterodactyl", "POST /api/client", fault)
    for seconds in range(0, 60, 5):
        run(seconds)

    copies = [name for name in files(panel, server) if "copy" in name]
    assert copies == (["/eula copy.txt"] if fault == "lose_answer" else [])
    expected = OperationOutcome.DONE if fault == "lose_answer" else OperationOutcome.NO_ANSWER
    assert Operation.objects.get().outcome == expected


BAD_PATHS = ("../etc", "a/../../etc", "/etc/passwd", "a\\b", "a\0b", "./a", "a/ b", "a\nb", "x" * 300)


def test_a_path_that_leads_elsewhere_is_refused_at_its_field(server: Server, browser: Client) -> None:
    page(browser, server)
    move = address("file_move", server, name="eula.txt")
    for path in BAD_PATHS:
        with pytest.raises(ValidationError):
            clean_path(path)
        answers = {
            "folder": browser.post(move, {"folder": path, "name": "a"}),
            "name": browser.post(address("files", server), {"act": "folder", "name": path}),
        }
        for field, answer in answers.items():
            assert answer.status_code == 422, (field, path)
            assert field in answer.context["form"].errors
        chosen = browser.post(address("files", server), {"act": "compress", "names": [path]})
        assert chosen.status_code == 422
        assert "no longer there" in chosen.content.decode()
        for name in ("files", "file", "file_upload"):
            assert browser.get(address(name, server, path)).status_code == 404, path
        assert browser.post(address("file_delete", server, name=path), {"typed": server.name}).status_code == 404
    assert not Operation.objects.exists()


def test_a_path_fits_where_it_is_kept_whatever_it_is_written_in(server: Server, browser: Client) -> None:
    page(browser, server)
    letters = "".join(chr(0x4E00 + (each * 7919) % 20000) for each in range(970))
    too_long = "/".join(letters[start : start + 80] for start in range(0, 970, 80))
    answer = browser.post(address("file_move", server, name="eula.txt"), {"folder": too_long, "name": "eula.txt"})
    assert "folder" in answer.context["form"].errors

    for folder, status in (("/".join(["a" * 199] * 5), 404), ("/".join(["a" * 191] * 4), 302)):
        file = SimpleUploadedFile("b" * 255, b"x")
        assert browser.post(address("file_upload", server, folder), {"file": file}).status_code == status
    run()
    assert Operation.objects.get().outcome == OperationOutcome.DONE


def test_folders_that_are_looked_at_fill_neither_queue_nor_database(
    server: Server, browser: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MAX_OPEN", 3)
    monkeypatch.setattr(operations, "MAX_LISTINGS", 4)
    for number in range(4):
        shown = browser.get(address("files", server, f"folder{number}")).content.decode()
    assert Listing.objects.count() == 3
    assert "Too much is being read" in shown

    for number in range(6):
        run()
        browser.get(address("files", server, f"folder{number}"))
    assert Listing.objects.count() == 4
    assert Listing.objects.filter(target="folder5").exists()


def test_names_and_paths_have_one_form() -> None:
    assert clean_path("plugins//config/") == "plugins/config"
    assert clean_path("") == ""
    for name in ("", ".", "..", "a/b", "a\\b", " a", "\udcff"):
        with pytest.raises(ValidationError):
            clean_name(name)


def test_something_of_the_name_is_not_moved_over_and_nothing_into_itself(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    page(browser, server)
    browser.post(address("file_move", server, name="eula.txt"), {"folder": "", "name": PROPERTIES})
    run()
    assert "may be there already" in page(browser, server)
    assert files(panel, server)["/eula.txt"] == "eula=true\n"

    inside = browser.post(address("file_move", server, name="logs"), {"folder": "logs/old", "name": "logs"})
    assert inside.status_code == 422


def test_an_upload_through_us_is_small_and_a_huge_one_is_refused_before_it_is_read(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    content = bytes(range(256))
    browser.post(address("file_upload", server, "world"), {"file": SimpleUploadedFile("level.dat", content)})
    run()
    assert files(panel, server)["/world/level.dat"].encode("latin-1") == content

    class Unread:
        def read(self, *_size: int) -> bytes:
            raise AssertionError("the upload was read")

        readline = read

    huge = {
        "CONTENT_LENGTH": str(2 * 1024**3),
        "wsgi.input": Unread(),
        "CONTENT_TYPE": "multipart/form-data; boundary=x",
    }
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = browser.cookies
    answer = strict.post(address("file_upload", server), **huge)  # type: ignore[arg-type]
    assert answer.status_code == 413
    assert "1 MB" in answer.content.decode()
    sent = {"file": SimpleUploadedFile("a", b"x")}
    assert strict.post(address("file_upload", server), sent).status_code == 403  # the token is looked for all the same
    outside = browser.post(address("file_upload", server), {"file": SimpleUploadedFile("a\\b", b"x")})
    assert outside.status_code in {302, 422}
    assert Operation.objects.filter(kind="file.write").count() <= 2


def test_a_browser_gets_a_link_to_the_node_and_its_page_may_reach_that_node_alone(
    panel: Sandbox, server: Server, browser: Client
) -> None:
    policy = browser.get(address("file_upload", server)).headers["Content-Security-Policy"]
    assert "connect-src 'self';" in policy
    asked = browser.post(reverse("servers:file_upload_link", args=[server.pk]))
    result = asked.json()["url"]
    assert browser.get(result).status_code == 202
    run()
    link = browser.get(result).json()

    assert link["max_bytes"] == 100 * 1024 * 1024
    sent = requests.post(f"{link['url']}&directory=/world", files={"files": ("a.txt", b"hello")}, timeout=30)
    assert sent.status_code == 200
    assert files(panel, server)["/world/a.txt"] == "hello"
    assert requests.post(link["url"], files={"files": ("a.txt", b"hello")}, timeout=30).status_code == 404
    policy = browser.get(address("file_upload", server)).headers["Content-Security-Policy"]
    assert f"connect-src 'self' {panel.base_url};" in policy
    stranger = Client()
    stranger.force_login(make_user())
    assert stranger.get(result).status_code == 404


def test_a_download_is_a_link_of_the_node(server: Server, browser: Client) -> None:
    assert choose(browser, server, "download", "logs").status_code == 422  # a folder
    choose(browser, server, "download", "eula.txt")
    run()
    link = reverse("servers:download", args=[server.pk, Operation.objects.get().pk])
    assert link in page(browser, server)
    found = requests.get(browser.get(link).url, timeout=30)  # type: ignore[attr-defined]
    assert found.content == b"eula=true\n"


def test_files_of_others_and_of_a_suspended_server_stay_as_they_are(server: Server, browser: Client) -> None:
    stranger = Client()
    stranger.force_login(make_user())
    for name in ("files", "file", "file_move", "file_delete", "file_upload"):
        url = address(name, server, "eula.txt", name="eula.txt")
        assert stranger.get(url).status_code == stranger.post(url).status_code == 404
    page(browser, server)
    services.hold_servers(server_ids=[server.pk], kind=HoldKind.ABUSE, reason="spam", actor=None, at=clock.now())

    answer = browser.post(address("files", server), {"act": "copy", "names": ["eula.txt"]}, follow=True)

    assert "The server is suspended" in answer.content.decode()
    assert not Operation.objects.exists()


def test_a_text_that_is_too_large_is_not_shown(panel: Sandbox, server: Server, browser: Client) -> None:
    browser.post(reverse("servers:file_upload_link", args=[server.pk]))
    run()
    url = Operation.objects.get().result["url"]
    large = b"x" * (texts.MAX_VIEWED_BYTES + 1)
    requests.post(f"{url}&directory=/", files={"files": ("big.log", large)}, timeout=30)

    assert "too large to be shown" in page(browser, server, "big.log", "file")


def test_what_was_inside_a_server_is_kept_for_a_day(server: Server, browser: Client) -> None:
    page(browser, server, PROPERTIES, "file")
    choose(browser, server, "download", "eula.txt")
    run()
    assert Operation.objects.get().result

    assert operations.forget(at=clock.now()) == 0
    assert operations.forget(at=clock.now() + operations.KEPT_FOR + timedelta(minutes=1)) == 3
    assert not Listing.objects.exists()
    assert Operation.objects.get().result is None


def test_what_a_worker_could_not_end_is_forgotten_too(server: Server) -> None:
    asked: dict[str, Any] = {"kind": "console.command", "content": "login hunter2"}
    operation = operations.request(server=server, actor=server.owner, at=clock.now(), **asked)
    Operation.objects.update(state=WorkState.DEAD, finished_at=clock.now() - timedelta(days=2))

    assert operations.forget(at=clock.now()) == 1
    operation.refresh_from_db()
    assert operation.content is None
