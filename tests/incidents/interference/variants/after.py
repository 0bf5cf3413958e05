"""The same query."""

from tests.incidents.interference.variants.before import ask

__all__ = ["ask"]
