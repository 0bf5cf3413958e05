"""What seeded data is made of: by it a copy that is kept is found again, and one of anything else is not taken for it."""

from __future__ import annotations

import hashlib
import json
import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from harness.dataset import Fixture

#: Files of servers belong to one kind of machine.
MACHINE = {"machine": f"{platform.system()} {platform.machine()}"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe(ABC):
    """A dataset at a scale, and what it is seeded with; equal recipes give equal data."""

    fixture: Fixture
    scale: float
    seed: int

    @abstractmethod
    def made_with(self) -> Mapping[str, object]:
        """All but the dataset that makes a difference, as JSON values: our own seeding's number, the server, the machine."""

    def made_of(self) -> Mapping[str, object]:
        """All that makes a difference, as JSON values."""
        return {
            "module": self.fixture.module,
            "version": self.fixture.version,
            "files": self.fixture.fingerprint(),
            "scale": self.scale,
            "seed": self.seed,
            **self.made_with(),
        }

    def digest(self) -> str:
        """SHA-256 of all that makes a difference."""
        return hashlib.sha256(json.dumps(self.made_of(), sort_keys=True).encode()).hexdigest()
