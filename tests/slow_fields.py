"""Obvious versions of what geometry makes of depth and flow, pixel by pixel."""

import numpy as np


def inside(index, size, fill):
    """The pixel of an axis that stands for one outside, and whether it is seen in a mirror."""
    if fill == "wrap":
        return index % size, False
    if fill == "reflect":
        mirrored = index // size % 2 == 1
        return (size - 1 - index % size if mirrored else index % size), mirrored
    return min(max(index, 0), size - 1), False


def slow_field(frame, matrix, size, fill="nearest", box=None, *, vectors):
    """A frame, (H, W, C), through a map: (row, column, 1) of the output's edges to those of the frame.

    A map with a box shows nothing outside it, and is clamped at its edges.
    """
    height, width = frame.shape[:2]
    fill = "nearest" if box else fill
    top, left, bottom, right = box or (0, 0, height, width)
    inverse = np.linalg.inv(matrix[:, :2])
    out = np.zeros((*size, frame.shape[2]), np.float64)
    for row, column in np.ndindex(*size):
        y, x = matrix @ [row + 0.5, column + 0.5, 1]
        if not vectors:
            r, _ = inside(int(np.floor(y + 1e-9)), height, fill)
            c, _ = inside(int(np.floor(x + 1e-9)), width, fill)
            out[row, column] = frame[r, c]
            continue
        value = np.zeros(2)
        first_row, first_column = int(np.floor(y - 0.5 + 1e-9)), int(np.floor(x - 0.5 + 1e-9))
        for r in (first_row, first_row + 1):
            for c in (first_column, first_column + 1):
                share = max(0, 1 - abs(y - 0.5 - r)) * max(0, 1 - abs(x - 0.5 - c))
                at_row = inside(r - top, bottom - top, fill)[0] + top
                at_column = inside(c - left, right - left, fill)[0] + left
                value += share * frame[at_row, at_column]
        u, v = value
        if inside(int(np.floor(x + 1e-9)), width, fill)[1]:
            u = -u
        if inside(int(np.floor(y + 1e-9)), height, fill)[1]:
            v = -v
        down, across = inverse @ [v, u]
        out[row, column] = across, down
    return out
