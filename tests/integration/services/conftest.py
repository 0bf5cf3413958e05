"""Images for stacks in containers, as the tests of those make them."""

from tests.integration.docker.conftest import client, named, offline

__all__ = ["client", "named", "offline"]
