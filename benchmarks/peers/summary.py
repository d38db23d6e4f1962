"""What the README shows: a line for each task, and one task as bars."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from peers.bars import Bar, draw
from peers.common import TASKS
from peers.registry import PEERS
from peers.table import print_rows, read_results

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from peers.table import Lines, Side, Turns

OURS, PLAIN = "fastclips", "plain"  # a Python loop is no loader
FORMS = {"folder": "folder", "jpeg": "JPEG pack", "dct": "dct pack"}
TITLE = (
    "Frames per second: 16 frames of 340x256, one crop of 224 and one flip per clip, two workers on two cores"
)


def print_summary(path: Path) -> None:
    """Print frames per second and bytes on disk of each task, as Markdown: ours, and the fastest others."""
    starts, turns = read_results(path)
    others = [side for side in turns if side[1] not in (OURS, PLAIN)]
    rows: list[tuple[str, ...]] = [
        ("task", *FORMS.values(), "fastest other, from a folder", "fastest other, packed")
    ]
    for task in TASKS:
        ours = [cell((task, OURS, form), starts, turns) for form in FORMS]
        of_task = [side for side in others if side[0] == task]
        folders = [side for side in of_task if side[2] == "folder"]
        packed = [side for side in of_task if side[2] != "folder"]
        rows.append((f"`{task}`", *ours, fastest(folders, starts, turns), fastest(packed, starts, turns)))
    print_rows(rows, markdown=True)


def write_figure(path: Path, to: Path, task: str = "train") -> None:
    """Write a task's frames per second as bars, an SVG."""
    _, turns = read_results(path)
    sides = [side for side in turns if side[0] == task and side[1] != PLAIN]
    to.write_text(draw([Bar(name_of(side), rate_of(turns, side), side[1] == OURS) for side in sides], TITLE))


def rate_of(turns: Turns, side: Side) -> float:
    """Return the median frames per second of a side."""
    return median(turn["frames_per_s"] for turn in turns[side])


def name_of(side: Side) -> str:
    """Return a side's name for a person."""
    return f"{PEERS[side[1]].label}, {FORMS.get(side[2], side[2]) if side[1] == OURS else side[2]}"


def cell(side: Side, starts: Lines, turns: Turns) -> str:
    """Return a side's rate and megabytes; nothing if it was not measured."""
    return f"{rate_of(turns, side):,.0f} ({starts[side]['bytes'] / 1e6:.0f} MB)" if side in turns else ""


def fastest(sides: Iterable[Side], starts: Lines, turns: Turns) -> str:
    """Return the rate, name and megabytes of the fastest side."""
    best = max(sides, key=lambda side: rate_of(turns, side), default=None)
    return "" if best is None else f"{PEERS[best[1]].label}: {cell(best, starts, turns)}"
