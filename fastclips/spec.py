"""Frozen values that cross layers and processes.

A *ticket* is a row of a structured array (`ticket_dtype`); a *slot* is one whole batch, laid out by
`SlotLayout`. Trainer and workers compute both from the same few numbers, so nothing else has to agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


__all__ = [
    "ALIGNMENT",
    "WEIGHT",
    "Field",
    "RenderSpec",
    "SlotLayout",
    "Stream",
    "Weighting",
    "ticket_dtype",
]

ALIGNMENT = 64  # bytes: a cache line, and what TensorFlow needs to alias an array instead of copying it
WEIGHT = "sample_weight"  # the field that is no stream


@dataclass(frozen=True)
class Stream:
    """One aligned sequence of frames of each video.

    Parameters
    ----------
    name : str
        What the user called it, such as ``"image"``.
    mask : bool
        Whether frames are label maps, (H, W) uint8, rather than pictures, (H, W, C) uint8. Masks are
        resampled by nearest neighbour and see no pixel steps.
    channels : int
        Of a picture: 3, RGB, or 1, gray.
    colors : tuple of ((int, int, int), int), optional
        What each colour of an RGB mask means; without it such a mask is refused.
    values : tuple of int, optional
        What becomes of each of the 256 values of a mask.
    smeared : bool
        Whether masks may be JPEG, whose values are smeared, since each of them was given a meaning.
    ignore : int
        The value of a mask where there is nothing to learn: padding and fill.
    """

    name: str
    mask: bool = False
    channels: int = 3
    colors: tuple[tuple[tuple[int, int, int], int], ...] | None = None
    values: tuple[int, ...] | None = None
    smeared: bool = False
    ignore: int = 255


@dataclass(frozen=True)
class Weighting:
    """Weights of a mask's pixels, which workers write beside it as one more field, `WEIGHT`.

    Parameters
    ----------
    stream : str
        The mask's name.
    table : tuple of 256 float
        The weight of each value.
    """

    stream: str
    table: tuple[float, ...]


def ticket_dtype(time_steps: int, draws: int) -> np.dtype[np.void]:
    """Return the dtype of a ticket.

    Parameters
    ----------
    time_steps : int
        Frames in a clip.
    draws : int
        Numbers in [0, 1) that the recipe uses up per clip.

    Returns
    -------
    numpy.dtype
        ``video`` and ``frames`` are the storage's own numbers, ``~frame`` (below 0) where a frame is
        repeated as padding; ``position`` is the clip's place in its epoch's plan, ``view`` which of the
        recipe's views it is, ``weight`` what the whole clip counts. Its size is a multiple of 8 bytes.
    """
    fields: list[tuple[str, str, tuple[int, ...]]] = [
        ("epoch", "<i8", ()),
        ("position", "<i8", ()),
        ("video", "<i8", ()),
        ("view", "<i8", ()),
        ("weight", "<f8", ()),
        ("draws", "<f8", (draws,)),
        ("frames", "<i4", (time_steps + time_steps % 2,)),  # padded to 8 bytes
    ]
    return np.dtype([(name, kind, shape) if shape else (name, kind) for name, kind, shape in fields])


@dataclass(frozen=True)
class Field:
    """One array of a batch: what every stream becomes.

    Parameters
    ----------
    name : str
        The stream's name.
    shape : tuple of int
        Shape of one row: (T, H, W, C), or (T, C, H, W), or (T, H, W) for masks; any where a user's function
        makes it.
    dtype : str
        NumPy's name of the type, such as ``"uint8"``.
    trials : tuple of Trial
        Of each user's function on the way, in order.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    trials: tuple[Any, ...] = ()

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class SlotLayout:
    """Where each array of a batch lies in its slot: (batch, *field.shape), one after the other.

    Parameters
    ----------
    batch_size : int
        Rows of each array.
    fields : tuple of Field
        The arrays, in order.
    """

    batch_size: int
    fields: tuple[Field, ...]

    @property
    def offsets(self) -> tuple[int, ...]:
        """Byte offset of each field from the start of the slot, each a multiple of `ALIGNMENT`."""
        offsets = [0]
        for field in self.fields:
            end = offsets[-1] + self.batch_size * field.row_bytes
            offsets.append(-(-end // ALIGNMENT) * ALIGNMENT)
        return tuple(offsets[:-1])

    @property
    def nbytes(self) -> int:
        """Bytes of a slot, a multiple of `ALIGNMENT`."""
        last = self.batch_size * self.fields[-1].row_bytes
        return -(-(self.offsets[-1] + last) // ALIGNMENT) * ALIGNMENT

    def arrays(self, memory: NDArray[np.uint8]) -> dict[str, NDArray[Any]]:
        """View a slot's bytes as its arrays.

        Parameters
        ----------
        memory : ndarray of uint8
            The `nbytes` bytes of the slot.

        Returns
        -------
        dict of str to ndarray
            One (batch_size, *shape) array per field, sharing `memory`.
        """
        views = {}
        for field, offset in zip(self.fields, self.offsets, strict=True):
            rows = memory[offset : offset + self.batch_size * field.row_bytes]
            views[field.name] = rows.view(field.dtype).reshape(self.batch_size, *field.shape)
        return views


class RenderSpec(Protocol):
    """What an engine is started with: an immutable, picklable value."""

    @property
    def layout(self) -> SlotLayout:
        """Where a batch's arrays lie."""

    @property
    def ticket_dtype(self) -> np.dtype[np.void]:
        """Of the tickets; its size is a multiple of 8 bytes."""

    @property
    def renderer(self) -> str:
        """``"module:class"`` of what renders; it is made of the spec, and imported by workers alone."""
