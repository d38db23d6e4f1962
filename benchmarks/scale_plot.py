"""Draws lines over two logarithmic axes as an SVG; `scale.py` calls it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Line", "draw"]

WIDTH, HEIGHT = 760, 460
LEFT, RIGHT, TOP, BOTTOM = 80, 220, 20, 60
COLORS = ("#1f6fb2", "#c1582a", "#3c8d40")
GAP = 15  # pixels from one label to the next, at least


class Line(NamedTuple):
    """A line.

    Parameters
    ----------
    name : str
        Written at its end.
    points : sequence of (float, float)
        In order of x, both above 0.
    """

    name: str
    points: Sequence[tuple[float, float]]


def _ticks(low: float, high: float) -> list[float]:
    steps = (1, 2, 5)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [step * 10**power for power in powers for step in steps if low <= step * 10**power <= high]


def draw(lines: Sequence[Line], marks: Sequence[tuple[str, float]], *, x: str, y: str) -> str:
    """Return a plot as the text of an SVG.

    Parameters
    ----------
    lines : sequence of Line
        At most three.
    marks : sequence of (str, float)
        Names and heights of horizontal lines.
    x, y : str
        What the axes show.

    Returns
    -------
    str
        The SVG, with a white ground.
    """
    xs = [at for line in lines for at, _ in line.points]
    ys = [at for line in lines for _, at in line.points] + [at for _, at in marks]
    ends_x, ends_y = (min(xs), max(xs)), (min(ys) / 1.3, max(ys) * 1.3)

    def across(at: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * math.log(at / ends_x[0]) / math.log(ends_x[1] / ends_x[0])

    def down(at: float) -> float:
        share = math.log(at / ends_y[0]) / math.log(ends_y[1] / ends_y[0])
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    right, floor = WIDTH - RIGHT, HEIGHT - BOTTOM
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<g stroke="#ddd"><path d="M{LEFT} {TOP}V{floor}H{right}" stroke="#444" fill="none"/>',
        *(f'<path d="M{LEFT} {down(at):.1f}H{right}"/>' for at in _ticks(*ends_y)),
        *(
            f'<path d="M{across(at):.1f} {TOP}V{floor}"/>'
            for at in (16, 64, 192)
            if ends_x[0] < at < ends_x[1]
        ),
        "</g>",
    ]
    out += [
        f'<text x="{LEFT - 6}" y="{down(at) + 4:.1f}" text-anchor="end">{at:,.0f}</text>'
        for at in _ticks(*ends_y)
    ]
    out += [
        f'<text x="{across(at):.1f}" y="{floor + 18}" text-anchor="middle">{at}</text>'
        for at in (16, 32, 64, 128, 192)
        if ends_x[0] < at < ends_x[1]
    ]
    out.append(f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 16}" text-anchor="middle">{escape(x)}</text>')
    turned = f"translate(20 {(TOP + floor) / 2}) rotate(-90)"
    out.append(f'<text transform="{turned}" text-anchor="middle">{escape(y)}</text>')
    labels = []
    for name, at in marks:
        out.append(f'<path d="M{LEFT} {down(at):.1f}H{right}" stroke="#777" stroke-dasharray="5 4"/>')
        labels.append((down(at), name, "#444"))
    for color, line in zip(COLORS, lines, strict=False):
        points = " ".join(f"{across(a):.1f},{down(b):.1f}" for a, b in line.points)
        out.append(f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="2.5"/>')
        labels.append((down(line.points[-1][1]), line.name, color))
    last = -math.inf
    for height, name, color in sorted(labels):
        last = max(height, last + GAP)
        out.append(f'<path d="M{right} {height:.1f}L{right + 12} {last:.1f}" stroke="#bbb"/>')
        out.append(f'<text x="{right + 16}" y="{last + 4:.1f}" fill="{color}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>", ""])
