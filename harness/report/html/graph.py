"""A lock graph as points and curves of a small SVG: who waits for whom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SIZE = 180
_RADIUS, _NODE = 62, 17


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A session."""

    letter: str
    x: float
    y: float
    victim: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """A drawing, ``SIZE`` wide: nodes, and the paths of the arrows from who waits to whom it waits for."""

    nodes: tuple[Node, ...]
    arrows: tuple[str, ...]
    says: str
    height: int
    size: int = SIZE
    radius: int = _NODE


def graph(letters: Sequence[str], waits: Sequence[tuple[str, str]], victim: str | None) -> Graph:
    """Sessions on a circle, clockwise from the top (two: side by side), with a curved arrow for each wait.

    :param waits: pairs of letters: who waits, for whom
    """
    # Two lie side by side and need but half the height.
    begin, height = (math.pi, SIZE // 2) if len(letters) == 2 else (-math.pi / 2, SIZE)
    at = {}
    for index, letter in enumerate(letters):
        angle = begin + 2 * math.pi * index / len(letters)
        at[letter] = (SIZE / 2 + _RADIUS * math.cos(angle), height / 2 + _RADIUS * math.sin(angle))
    nodes = tuple(Node(letter=name, x=round(x, 1), y=round(y, 1), victim=name == victim) for name, (x, y) in at.items())
    known = [(a, b) for a, b in waits if a in at and b in at and a != b]
    says = "; ".join(f"{a} waits for {b}" for a, b in known)
    return Graph(nodes=nodes, arrows=tuple(_arrow(at[a], at[b]) for a, b in known), says=says, height=height)


def _arrow(begin: tuple[float, float], end: tuple[float, float]) -> str:
    """A curve from edge to edge of two nodes, bent to its left so that an arrow and its opposite do not overlap."""
    (x1, y1), (x2, y2) = begin, end
    distance = math.hypot(x2 - x1, y2 - y1)
    bend_x = (x1 + x2) / 2 + (y2 - y1) / distance * distance * 0.22
    bend_y = (y1 + y2) / 2 - (x2 - x1) / distance * distance * 0.22
    from_x, from_y = _towards(begin, (bend_x, bend_y), _NODE)
    to_x, to_y = _towards(end, (bend_x, bend_y), _NODE + 5)
    return f"M{from_x:.1f} {from_y:.1f}Q{bend_x:.1f} {bend_y:.1f} {to_x:.1f} {to_y:.1f}"


def _towards(point: tuple[float, float], goal: tuple[float, float], by: float) -> tuple[float, float]:
    distance = math.hypot(goal[0] - point[0], goal[1] - point[1])
    return point[0] + (goal[0] - point[0]) / distance * by, point[1] + (goal[1] - point[1]) / distance * by
