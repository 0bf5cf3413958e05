"""The same; it is the service that is another."""

from tests.incidents.served.variants.before import fetch

__all__ = ["fetch"]
