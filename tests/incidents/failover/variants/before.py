"""A save is one update of one document."""

from tests.incidents.saves.variants.after import save_progress

__all__ = ["save_progress"]
