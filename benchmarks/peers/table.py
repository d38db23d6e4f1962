"""Prints what `measuring.py` wrote: a table for each task, and who was absent and why."""

from __future__ import annotations

import json
from collections import defaultdict
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np

from peers.registry import PEERS

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = (
    *("loader", "reads", "frames/s (quartiles)", "of bare decoding", "CPU ms per frame (quartiles)"),
    *("times the least", "first batch, s", "memory, MB", "on disk, MB"),
)
Side = tuple[str, str, str]
Lines = dict[Side, dict[str, Any]]
Turns = dict[Side, list[dict[str, Any]]]


def read_results(path: Path) -> tuple[Lines, Turns]:
    """Return how each side of a file started, and the turns of those that were measured.

    Of several starts of a side, the last counts.
    """
    starts: Lines = {}
    turns: Turns = {}
    for line in map(json.loads, path.read_text().splitlines()):
        side = line["task"], line["peer"], line["form"]
        if line["kind"] == "turn":
            turns[side].append(line)
        else:
            starts[side], turns[side] = line, []
    return starts, {side: of_side for side, of_side in turns.items() if of_side}


def print_table(path: Path, *, markdown: bool) -> None:
    """Print the tables of a file."""
    starts, measured = read_results(path)
    print_overview(starts, measured, markdown=markdown)
    for task in dict.fromkeys(side[0] for side in measured):
        print(f"\n### {task}\n" if markdown else f"\n{task}")
        of_task = {side: of_side for side, of_side in measured.items() if side[0] == task}
        ordered = sorted(of_task, key=lambda side: cpu_ms(measured[side]))
        least = cpu_ms(measured[ordered[0]])
        rows = [cells(side, starts[side], measured[side], least) for side in ordered]
        print_rows([COLUMNS, *rows], markdown=markdown)
    print_absent(starts)


def print_overview(starts: Lines, turns: Turns, *, markdown: bool) -> None:
    """Print the CPU time per frame of each loader in each task."""
    tasks = list(dict.fromkeys(side[0] for side in turns))
    rows: list[tuple[str, ...]] = [("loader", "version", "reads", *tasks)]
    sides = [(name, form) for name, peer in PEERS.items() for form in peer.forms]
    for peer, form in (side for side in sides if any(side == found[1:] for found in turns)):
        figures = [
            f"{cpu_ms(turns[task, peer, form]):.3f}" if (task, peer, form) in turns else "" for task in tasks
        ]
        version = next(
            start["version"] for side, start in starts.items() if side[1] == peer and side in turns
        )
        rows.append((PEERS[peer].label, version, form, *figures))
    print_rows(rows, markdown=markdown)


def cpu_ms(turns: list[dict[str, Any]]) -> float:
    """Return the median CPU time per frame."""
    return median(turn["cpu_ms"] for turn in turns)


def print_absent(starts: Lines) -> None:
    """Print who was left out, where, and why."""
    reasons: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for (task, peer, form), start in starts.items():
        if start["kind"] == "absent":
            reasons[PEERS[peer].label, form, start["reason"]].append(task)
    print()
    for (label, form, reason), tasks in reasons.items():
        print(f"- {label}, {form} ({', '.join(tasks)}): {reason}")


def cells(side: Side, start: dict[str, Any], turns: list[dict[str, Any]], least: float) -> tuple[str, ...]:
    """Return the line of a side."""
    bare = median(turn["frames_per_s"] / turn["bare_frames_per_s"] for turn in turns)
    return (
        PEERS[side[1]].label,
        side[2],
        spread([turn["frames_per_s"] for turn in turns], ",.0f"),
        f"{bare:.2f}",
        spread([turn["cpu_ms"] for turn in turns], ".3f"),
        f"{cpu_ms(turns) / least:.1f}",
        f"{start['first_s']:.1f}",
        f"{median(turn['pss_mb'] for turn in turns):,.0f}",
        f"{start['bytes'] / 1e6:.1f}",
    )


def spread(values: list[float], form: str) -> str:
    """Return a median and quartiles as text."""
    low, middle, high = np.quantile(values, (0.25, 0.5, 0.75))
    return f"{middle:{form}} ({low:{form}}–{high:{form}})"  # noqa: RUF001 - a range


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
