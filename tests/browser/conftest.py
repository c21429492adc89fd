"""A real browser on a shop that really runs; skipped where no Chromium is installed."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from sandbox.client import Sandbox
from tests.browser import web
from tests.browser.web import Web

CHROMIUMS = (os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder drives a browser."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)


def chromium() -> str:
    """The browser's path; skips the test where there is none."""
    found = next((path for name in CHROMIUMS if name and (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: install one, or name it in CHROMIUM")
    return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for the file; every test opens contexts of its own.

    Playwright keeps an event loop running in this thread meanwhile, which Django would take for asynchronous code.
    """
    path = chromium()
    with sync_playwright() as driver, pytest.MonkeyPatch.context() as patch:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        launched = driver.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def shop_process(
    sandbox_process: Sandbox,
    django_db_setup: None,
    django_db_blocker: Any,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Web]:
    """The shop as it really runs, over the test database."""
    chromium()
    with web.serve(tmp_path_factory.mktemp("shop"), sandbox_process) as running:
        yield running
