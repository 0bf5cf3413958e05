"""Whole incidents take minutes: each is run once and looked at by several tests."""

from tests.browser.conftest import browser
from tests.integration.run.conftest import shared_place

__all__ = ["browser", "shared_place"]
