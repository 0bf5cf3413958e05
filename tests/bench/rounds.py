"""Sides measured in turn, A B C C B A …: what changes on the machine meanwhile, and what the side before leaves, meets all of
them alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

#: One value of each side, by the side's name.
Round = Mapping[str, float]
Side = Callable[[], Awaitable[float]]


async def interleaved(count: int, sides: Mapping[str, Side], say: Callable[[str], None]) -> list[Round]:
    """Measure every side once a round, in the order given, and in every second round the other way round.

    :param say: is told each value
    """
    rounds: list[Round] = []
    for number in range(1, count + 1):
        values = {}
        for name in sides if number % 2 else reversed(list(sides)):
            values[name] = await sides[name]()
            say(f"  round {number} of {count}: {name} {values[name]:,.6g}")
        rounds.append(values)
    return rounds
