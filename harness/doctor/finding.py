"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How it stands."""

    OK = "ok"
    WARNING = "warning"  # a run works, and something about it is worse
    MISSING = "missing"  # what needs it cannot be done


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was found, and what to do about it.

    :param name: what was looked at, in a word or two
    :param advice: empty where all is well
    :param fatal: without it no run is possible, whatever the provider
    """

    name: str
    state: State
    said: str
    advice: str = ""
    fatal: bool = False
