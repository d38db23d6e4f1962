"""Map the colours of a mask to values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastclips.errors import FrameError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["ColorMap", "first_colors"]


class ColorMap:
    """Maps colours to values: each colour is packed into one integer and found by binary search.

    Parameters
    ----------
    colors : tuple of ((int, int, int), int)
        Each colour and its value, 0 to 255: at least one colour, and none twice.
    """

    def __init__(self, colors: tuple[tuple[tuple[int, int, int], int], ...]) -> None:
        packed = _packed(np.array([[color for color, _ in colors]], np.uint8))[0]
        order = np.argsort(packed)
        self._packed = packed[order]
        self._values = np.array([value for _, value in colors], np.uint8)[order]

    def values(self, pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the value of each pixel's colour.

        Parameters
        ----------
        pixels : ndarray of uint8
            (H, W, 3), RGB.

        Returns
        -------
        ndarray of uint8
            (H, W).

        Raises
        ------
        FrameError
            If a colour has no value; the message names the colour and its first position.
        """
        packed = _packed(pixels)
        indices = np.searchsorted(self._packed, packed)
        wrong = np.take(self._packed, indices, mode="clip") != packed
        if wrong.any():
            row, column = divmod(int(wrong.argmax()), wrong.shape[1])
            color = tuple(pixels[row, column].tolist())
            raise FrameError(
                f"the mask's colour {color} at row {row}, column {column} is none of the "
                f"{len(self._packed)} in colors=; add it there, or make the mask anew without smooth edges"
            )
        return np.take(self._values, indices)


def first_colors(pixels: NDArray[np.uint8], most: int = 5) -> str:
    """Return the first `most` colours of a picture, (H, W, 3), for a message."""
    flat = pixels.reshape(-1, 3)
    _, firsts = np.unique(_packed(pixels), return_index=True)
    firsts.sort()
    shown = ", ".join(str(tuple(flat[first].tolist())) for first in firsts[:most])
    return shown + ", ..." * (len(firsts) > most)


def _packed(pixels: NDArray[np.uint8]) -> NDArray[np.uint32]:
    red, green, blue = (pixels[..., channel].astype(np.uint32) for channel in range(3))
    packed: NDArray[np.uint32] = red << np.uint32(16) | green << np.uint32(8) | blue
    return packed
