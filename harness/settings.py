"""What one invocation is to do: resolved once, at the edge, into one frozen object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.stack.choose import Provider
from harness.units import parse_duration, parse_quantity

DEFAULT_SEED = 1
DEFAULT_INTERVAL_S = 1.0  # as exporters are usually scraped, or finer; 10 Hz is for a closer look at a short incident
DEFAULT_OUT = Path("reports")
MAX_RATE = 1000.0
MAX_SCALE = 1000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A run's settings.

    :param variants: names, in the order they are to run
    :param provider: what brings the servers up
    :param rate: factor on the incident's rates
    :param scale: size of the dataset, 1.0 as declared
    :param duration_s: how long the traffic is; None as declared
    :param metrics: host and port to serve live figures at; None: not served
    :param command: the command line, for the record
    """

    variants: tuple[str, ...]
    provider: Provider = Provider.AUTO
    out: Path = DEFAULT_OUT
    workers: int = 1
    rate: float = 1.0
    scale: float = 1.0
    duration_s: float | None = None
    seed: int = DEFAULT_SEED
    interval_s: float = DEFAULT_INTERVAL_S
    metrics: tuple[str, int] | None = None
    command: str = ""


def parse_rate(text: str) -> float:
    """A factor such as ``2x`` or ``0.5``.

    >>> parse_rate("2x"), parse_rate("50%")
    (2.0, 0.5)
    """
    try:
        value, unit = parse_quantity(text)
    except ValueError as error:
        raise UsageError(f"--rate {text}: {error}") from error
    if unit not in ("ratio", "") or not 0 < value <= MAX_RATE:
        raise UsageError(f"--rate {text}: must be a factor above 0 and at most {MAX_RATE:g}, such as 2x or 0.5")
    return value


def parse_positive_duration(option: str, text: str) -> float:
    """Seconds of an option's duration, above 0."""
    try:
        value = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: {error}") from error
    if value <= 0:
        raise UsageError(f"{option} {text}: must be longer than 0 s")
    return value


def check_scale(value: float) -> float:
    """A dataset's size as a factor above 0."""
    if not 0 < value <= MAX_SCALE:
        raise UsageError(f"--scale {value:g}: must be above 0 and at most {MAX_SCALE:g}")
    return value


def check_seed(value: int) -> int:
    """A seed that every generator takes."""
    if not 0 <= value < 2**63:
        raise UsageError(f"--seed {value}: must be 0 to {2**63 - 1}")
    return value


def parse_address(option: str, text: str) -> tuple[str, int]:
    """Host and port; a bare port is on loopback.

    >>> parse_address("--metrics", "127.0.0.1:9464"), parse_address("--metrics", ":9464")
    (('127.0.0.1', 9464), ('127.0.0.1', 9464))
    """
    host, _, port = text.rpartition(":")
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{option} {text}: write it as HOST:PORT, such as 127.0.0.1:9464")
    return host.strip("[]") or "127.0.0.1", int(port)
