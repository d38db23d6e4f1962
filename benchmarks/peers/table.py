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
    *("loader", "reads", "frames/s (quartiles)", "of bare decoding", "CPU ms per frame", "CPU, times the best"),
    *("first batch, s", "memory, MB", "on disk, MB", "version"),
)


class Line(NamedTuple):
    """What is told about a side."""

    cpu_ms: float
    cells: tuple[str, ...]


def print_table(path: Path, *, markdown: bool) -> None:
    """Print the tables of a file; of several starts of a side, the last counts."""
    turns: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    starts: dict[tuple[str, ...], dict[str, Any]] = {}
    absent: dict[str, dict[tuple[str, str], list[str]]] = defaultdict(lambda: defaultdict(list))
    tasks: list[str] = []
    for text in path.read_text().splitlines():
        line = json.loads(text)
        side = line["task"], line["peer"], line["form"]
        if line["task"] not in tasks:
            tasks.append(line["task"])
        if line["kind"] == "turn":
            turns[side].append(line)
        else:
            starts[side], turns[side] = line, []
    for task in tasks:
        lines = []
        for side, start in starts.items():
            if side[0] != task:
                continue
            if start["kind"] == "absent":
                absent[side[1]][side[2], start["reason"]].append(task)
            elif turns[side]:
                lines.append(line_of(side, start, turns[side]))
        best = min((line.cpu_ms for line in lines), default=0)
        rows = [with_ratio(line, best) for line in sorted(lines)]
        print(f"\n### {task}\n" if markdown else f"\n{task}")
        print_rows([COLUMNS, *rows], markdown=markdown)
    print()
    for peer, reasons in absent.items():
        for (form, reason), where in reasons.items():
            print(f"- {PEERS[peer].label}, {form} ({', '.join(where)}): {reason}")


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
