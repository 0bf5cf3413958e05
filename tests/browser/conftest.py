"""A headless Chromium, where there is one, and a report opened in it from the file system."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from harness.report.html import write
from tests.unit.report.sample_runs import make_experiment

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"))), None
)
ARGUMENTS = (
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)


class Opened:
    """A page with a report, and everything that must not have happened in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, or a skipped test that says why. While it is open this thread has a running loop, so no asynchronous test
    works: it is closed with its module."""
    if CHROMIUM is None:
        pytest.skip("no chromium or google-chrome on the PATH")
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on before and after whose texts hold markup that must not work."""
    folder = tmp_path_factory.mktemp("hostile")
    path = folder / "report.html"
    write(path, *make_experiment(folder, hostile=True))
    return path


@pytest.fixture
def opened(browser: Browser, report: Path) -> Iterator[Callable[..., Opened]]:
    """Opens the report; whatever the console said or the network was asked fails the test in the end."""
    contexts = []
    pages: list[Opened] = []

    def open_(*, width: int = 1280, height: int = 900, scheme: str = "light") -> Opened:
        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)  # type: ignore[arg-type]
        contexts.append(context)
        found = Opened(context.new_page())
        pages.append(found)
        found.page.goto(report.as_uri())
        found.page.wait_for_selector(".plot canvas")
        return found

    yield open_
    for context in contexts:
        context.close()
    for page in pages:
        assert page.complaints == []
        assert page.requests == [report.as_uri()]
