"""Fixed: crafts take all their locks in one order and hold them no longer than need be."""

from loadtests.crafting_burst.variants.after import craft, view_recipe

__all__ = ["craft", "view_recipe"]
