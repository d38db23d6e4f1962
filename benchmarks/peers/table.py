"""Prints what `measuring.py` wrote: a table for each task, and who was absent and why."""

from __future__ import annotations

import json
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from peers.registry import PEERS

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (
    *(
        "loader",
        "reads",
        "frames/s (quartiles)",
        "of bare decoding",
        "CPU ms per frame",
        "CPU, times the best",
    ),
    *("first batch, s", "memory, MB", "on disk, MB", "version"),
)


class Line(NamedTuple):
    """What is told about a side."""

    cpu_ms: float
    cells: tuple[str, ...]


def print_table(path: Path, *, markdown: bool) -> None:
    """Print the tables of a file; of several starts of a side, the last counts."""
    starts: dict[tuple[str, ...], dict[str, Any]] = {}
    turns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for line in map(json.loads, path.read_text().splitlines()):
        side = line["task"], line["peer"], line["form"]
        if line["kind"] == "turn":
            turns[side].append(line)
        else:
            starts[side], turns[side] = line, []
    for task in dict.fromkeys(side[0] for side in starts):
        lines = sorted(
            line_of(side, starts[side], of_side)
            for side, of_side in turns.items()
            if side[0] == task and of_side
        )
        print(f"\n### {task}\n" if markdown else f"\n{task}")
        print_rows([COLUMNS, *(with_ratio(line, lines[0].cpu_ms) for line in lines)], markdown=markdown)
    print_absent(starts)


def print_absent(starts: dict[tuple[str, ...], dict[str, Any]]) -> None:
    """Print who was left out, where, and why."""
    reasons: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for (task, peer, form), start in starts.items():
        if start["kind"] == "absent":
            reasons[PEERS[peer].label, form, start["reason"]].append(task)
    print()
    for (label, form, reason), tasks in reasons.items():
        print(f"- {label}, {form} ({', '.join(tasks)}): {reason}")


def line_of(side: tuple[str, ...], start: dict[str, Any], turns: list[dict[str, Any]]) -> Line:
    """Return the line of a side."""
    _, peer, form = side
    rates = [turn["frames_per_s"] for turn in turns]
    low, rate, high = np.quantile(rates, (0.25, 0.5, 0.75))
    bare = median(turn["frames_per_s"] / turn["bare_frames_per_s"] for turn in turns)
    cpu = median(turn["cpu_ms"] for turn in turns)
    cells = (
        PEERS[peer].label,
        form,
        f"{rate:,.0f} ({low:,.0f}–{high:,.0f})",  # noqa: RUF001 - a range
        f"{bare:.2f}",
        f"{cpu:.3f}",
        f"{start['first_s']:.1f}",
        f"{median(turn['pss_mb'] for turn in turns):,.0f}",
        f"{start['bytes'] / 1e6:.1f}",
        start["version"],
    )
    return Line(cpu, cells)


def with_ratio(line: Line, best: float) -> tuple[str, ...]:
    """Return a line's cells, with its CPU time over the least."""
    return (*line.cells[:5], f"{line.cpu_ms / best:.1f}", *line.cells[5:])


def print_rows(rows: list[tuple[str, ...]], *, markdown: bool) -> None:
    """Print cells in columns, or as Markdown."""
    if markdown:
        for number, row in enumerate(rows):
            print(f"| {' | '.join(row)} |")
            if not number:
                print(f"|{' --- |' * len(row)}")
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
