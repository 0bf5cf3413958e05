"""A dataset for both databases at once: collectibles in PostgreSQL, players in MongoDB."""

from fixtures.collectibles import check, seed
from fixtures.players import check_mongo, seed_mongo

__all__ = ["check", "check_mongo", "seed", "seed_mongo"]
