"""Whole incidents take minutes: each is run once and looked at by several tests."""

from tests.browser.conftest import browser
from tests.integration.conftest import shared_place
from tests.integration.docker.conftest import client, offline

__all__ = ["browser", "client", "offline", "shared_place"]
