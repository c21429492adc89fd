"""A page with everything it needs weighs less than 100 KB as it is, and far less on the wire.

Files and pages are sent compressed; nodebyte/settings.py says why that is safe beside secrets.
"""

import gzip
import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.test import Client

from tests.pages.conftest import MANY, signed_in
from tests.pages.routes import NAMES, OF_SERVERS, PUBLIC, address
from tests.pages.rows import Dataset

MAX_BYTES = 100_000
# Known to weigh more, as it is, also with little in them: the console has two scripts, the folder forty files.
OWN_MAX_BYTES = {"server console": 108_000, "server files": 122_000}
MAX_REQUESTS = 6  # the page itself is one
NEEDED = re.compile(r"""<(?:link|script|img|use)\b[^>]*?(?:href|src)="([^"]+)\"""")


def files_of(page: str) -> set[str]:
    """The files that a page asks its browser to fetch, once each."""
    urls = {unescape(url).partition("#")[0] for url in NEEDED.findall(page.replace('<link rel="canonical"', "<a"))}
    return {urlsplit(url).path if url.startswith("/static/") else url for url in urls}


def content_of(path: str, client: Client) -> bytes:
    """A static file's content, or what the shop answers."""
    if path.startswith("/static/"):
        found = finders.find(unquote(path.removeprefix("/static/")))
        assert found, path
        return Path(str(found)).read_bytes()
    return client.get(path).content


def is_oversized(name: str, dataset: Dataset) -> bool:
    """Twenty-five sizes, regions and add-ons on one form: no shop has that, and the wire carries it lightly.

    The sections of a server list what is in it: of these the page itself weighs less than the limit.
    """
    is_large = dataset.product.plans.filter(is_active=True).count() == MANY
    return is_large and (name == "configurator" or name in OF_SERVERS)


@pytest.mark.parametrize("name", [*NAMES, *OF_SERVERS])
def test_a_page_weighs_little(name: str, small_or_large: Dataset, record_property: pytest.FixtureRequest) -> None:
    client = signed_in(small_or_large) if name not in PUBLIC else Client()
    page = client.get(address(name, small_or_large)).content
    files = [content_of(path, client) for path in files_of(page.decode())]

    assert 2 <= len(files) < MAX_REQUESTS + 2 * (name == "server console")  # which has two scripts
    raw = len(page) + sum(map(len, files))
    sent = len(gzip.compress(page)) + sum(len(gzip.compress(file)) for file in files)
    record_property("weight", f"{name}: {raw} bytes, {sent} sent")  # type: ignore[operator]
    assert max(sent, len(page)) < MAX_BYTES
    assert raw < OWN_MAX_BYTES.get(name, MAX_BYTES) or is_oversized(name, small_or_large), (
        f"{name}: {raw} bytes, {sent} of them sent"
    )
