"""For all tests: Locust must not patch this process, and where CI says so a skipped test is a failed one."""

import os
from collections.abc import Generator

import pytest

# Importing locust monkey-patches the process otherwise, and pytest's own event loops with it.
os.environ.setdefault("LOCUST_SKIP_MONKEY_PATCH", "1")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With FLASHCROWD_NO_SKIPS=1, as in CI, what should have run and was skipped has failed."""
    report = yield
    if report.skipped and os.environ.get("FLASHCROWD_NO_SKIPS") == "1" and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, where FLASHCROWD_NO_SKIPS=1 asks for every test to run: {report.longrepr}"
    return report
