"""What an operation is given beside its connection, and what it may raise."""

from __future__ import annotations

import random

from harness.record.format import ATTEMPT_BITS


class Arrival:
    """One request as its operation sees it.

    :ivar index: number of the arrival in the schedule; closed model: unique per worker and draw
    :ivar attempt: 1, or more where the person tried again
    :ivar random: random choices of this arrival: the same in every variant and run with the same seed
    """

    __slots__ = ("_first_id", "_random", "_seed", "attempt", "index")

    def __init__(
        self, seed: int, index: int, attempt: int, source: random.Random | None = None, first_id: int = 0
    ) -> None:
        self._seed = seed
        self._first_id = first_id
        self.index = index
        self.attempt = attempt
        self._random = source

    @property
    def random(self) -> random.Random:
        if self._random is None:
            self._random = random.Random((self._seed << 40) ^ (self.index << ATTEMPT_BITS) ^ self.attempt)
        return self._random

    @property
    def request_id(self) -> int:
        """Unique among the run's requests; stored by an operation, it lets the dataset's check find what was acknowledged."""
        return self._first_id + (self.index << ATTEMPT_BITS | self.attempt)


class Declined(Exception):
    """Raised by an operation that gives up for a declared reason, such as a full queue; its name is the outcome.

    :param name: short and stable, such as ``queue_full``; never a text that varies from request to request
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name
