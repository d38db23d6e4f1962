"""Draws the rates of one task as bars, an SVG; `peers summary --figure` calls it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Bar", "draw"]

WIDTH, LEFT, RIGHT, TOP = 760, 210, 80, 44
STEP, THICK = 24, 16  # pixels from one bar to the next, and of a bar
OURS, OTHERS = "#1f6fb2", "#a9b2ba"


class Bar(NamedTuple):
    """A bar.

    Parameters
    ----------
    name : str
        Written before it.
    rate : float
        Its length.
    ours : bool
        Whether it stands out.
    """

    name: str
    rate: float
    ours: bool


def draw(bars: Sequence[Bar], title: str) -> str:
    """Return bars as the text of an SVG, the longest first, on a white ground.

    Parameters
    ----------
    bars : sequence of Bar
        At least one.
    title : str
        Written above them.
    """
    bars = sorted(bars, key=lambda bar: -bar.rate)
    height, longest = TOP + STEP * len(bars) + 12, bars[0].rate
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
    lines = [
        f'{start} font-family="sans-serif" font-size="13" fill="#222">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="24" font-size="14">{escape(title)}</text>',
    ]
    for number, bar in enumerate(bars):
        top, length = TOP + STEP * number, max(1.0, bar.rate / longest * (WIDTH - LEFT - RIGHT))
        middle = top + THICK / 2 + 4.5
        weight, color = (' font-weight="bold"', OURS) if bar.ours else ("", OTHERS)
        lines += [
            f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end"{weight}>{escape(bar.name)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{THICK}" fill="{color}"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{middle}">{bar.rate:,.0f}</text>',
        ]
    return "\n".join([*lines, "</svg>", ""])
