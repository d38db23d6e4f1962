"""Frozen values that rooms and processes share.

A *ticket* is a row of a structured array (`ticket_dtype`); a *slot* holds one whole batch, laid out by
`SlotLayout`. Trainer and workers compute both from the same few numbers, so nothing else has to agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from fastclips._native import CACHE_LINE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray


__all__ = [
    "ALIGNMENT",
    "Field",
    "FrameLayout",
    "RenderSpec",
    "SlotLayout",
    "StreamSpec",
    "Weighting",
    "ticket_dtype",
]

ALIGNMENT = CACHE_LINE  # bytes; TensorFlow needs 64 to alias an array instead of copying it


@dataclass(frozen=True)
class StreamSpec:
    """One sequence of frames of each video.

    Parameters
    ----------
    name : str
        The user's name for it, such as ``"image"``.
    kind : {"image", "mask", "flow", "depth"}
        What frames are: pictures, (H, W, C) uint8; label maps, (H, W) uint8; vectors in pixels, (H, W, 2)
        float32, x before y; or one number per pixel, (H, W, 1). Pictures and flow are interpolated, masks
        and depth take the nearest pixel. Pixel steps act on pictures, unless `fastclips.On` names another
        stream.
    channels : int
        Channels of a picture: 3, RGB, or 1, gray.
    colors : tuple of ((int, int, int), int), optional
        Value of each colour of an RGB mask; without it, RGB masks are refused.
    values : tuple of int, optional
        New value of each of the 256 values of a mask.
    smeared : bool
        Whether masks may be JPEGs, whose values are smeared; True if every value was given a meaning.
    ignore : int
        Value of a mask where there is nothing to learn: padding and fill.
    unknown : float, optional
        The same of depth, which may have none.
    own_size : bool
        Whether its frames may have another size than those of other streams.
    bound : float
        Of flow in two series of gray pictures: the displacement of value 255 in pixels; 0 has its negative.
    dtype : str, optional
        Of the decoded depth: ``"uint8"``, ``"uint16"`` or ``"float32"``; None until a frame was looked at.
    """

    name: str
    kind: str = "image"
    channels: int = 3
    colors: tuple[tuple[tuple[int, int, int], int], ...] | None = None
    values: tuple[int, ...] | None = None
    smeared: bool = False
    ignore: int = 255
    unknown: float | None = None
    own_size: bool = False
    bound: float = 20.0
    dtype: str | None = None

    @property
    def mask(self) -> bool:
        """Whether frames are label maps."""
        return self.kind == "mask"

    @property
    def is_field(self) -> bool:
        """Whether frames are numbers rather than pictures or classes: flow or depth."""
        return self.kind in ("flow", "depth")

    @property
    def marks_ignored(self) -> bool:
        """Whether a value says that there is nothing to learn."""
        return self.kind == "mask" or self.unknown is not None

    @property
    def ignored(self) -> float:
        """The value that says that there is nothing to learn; 0 if there is none."""
        return self.ignore if self.kind == "mask" else self.unknown or 0

    @property
    def frame_channels(self) -> int:
        """Length of the last axis of decoded frames; 1 for masks, which do not have the axis."""
        return {"image": self.channels, "mask": 1, "flow": 2, "depth": 1}[self.kind]

    @property
    def decoded_dtype(self) -> str:
        """NumPy's name of the type of decoded frames."""
        return {"flow": "float32", "depth": self.dtype or "float32"}.get(self.kind, "uint8")


@dataclass(frozen=True)
class Weighting:
    """Weights of a mask's pixels, which workers write to a field of their own, `WEIGHT`.

    Parameters
    ----------
    stream : str
        Name of the mask.
    table : tuple of 256 float
        Weight of each value.
    """

    stream: str
    table: tuple[float, ...]


def ticket_dtype(time_steps: int, draws: int, rows: int = 1, *, shares: bool = False) -> np.dtype[np.void]:
    """Return the dtype of a ticket.

    Parameters
    ----------
    time_steps : int
        Frames in a clip.
    draws : int
        Numbers in [0, 1) that the recipe takes per clip.
    rows : int
        Rows of the batch that a ticket is rendered into, each with draws and a weight of its own.
    shares : bool
        Whether clips share decoded frames.

    Returns
    -------
    numpy.dtype
        ``video`` and ``frames`` are the storage's own numbers, ``~frame`` (below 0) for padding that repeats
        a frame. ``position`` is the clip's place in the plan of its epoch, ``view`` its view of the recipe,
        ``weight`` the weight of the whole clip. With several rows, ``position`` is the first, and ``weight``
        and ``draws`` have one more axis, in front. With `shares`, ``slots`` are the frame slots of the time
        steps, -1 for none. The size is a multiple of 8 bytes.
    """
    each = () if rows == 1 else (rows,)
    fields: list[tuple[str, str, tuple[int, ...]]] = [
        ("epoch", "<i8", ()),
        ("position", "<i8", ()),
        ("video", "<i8", ()),
        ("view", "<i8", ()),
        ("weight", "<f8", each),
        ("draws", "<f8", (*each, draws)),
        ("frames", "<i4", (time_steps + time_steps % 2,)),  # padded to 8 bytes
    ]
    if shares:
        fields.append(("slots", *fields[-1][1:]))
    return np.dtype([(name, kind, shape) if shape else (name, kind) for name, kind, shape in fields])


@dataclass(frozen=True)
class Field:
    """One array of a batch.

    Parameters
    ----------
    name : str
        Name of the stream.
    shape : tuple of int
        Shape of one row: (T, H, W, C), or (T, C, H, W), or (T, H, W) for masks; any shape after a user's
        function.
    dtype : str
        NumPy's name of the dtype, such as ``"uint8"``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class SlotLayout:
    """The place of each array of a batch in its slot: (batch, *field.shape), one after the other.

    Parameters
    ----------
    batch_size : int
        Rows of each array.
    fields : tuple of Field
        The arrays, in order.
    ticket_rows : int
        Rows that one ticket is rendered into, at its place in the batch; divides `batch_size`.
    """

    batch_size: int
    fields: tuple[Field, ...]
    ticket_rows: int = 1

    @property
    def tickets(self) -> int:
        """Tickets of a whole batch."""
        return self.batch_size // self.ticket_rows

    def of_ticket(self, arrays: Mapping[str, NDArray[Any]], number: int) -> dict[str, NDArray[Any]]:
        """Return the part of a batch's arrays that a ticket is rendered into.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            Of a batch.
        number : int
            The ticket's number in the batch, from 0.

        Returns
        -------
        dict of str to ndarray
            A row's arrays, (T, ...) each; with several rows, (ticket_rows, T, ...).
        """
        if self.ticket_rows == 1:  # the ellipsis keeps arrays without axes
            return {name: array[number, ...] for name, array in arrays.items()}
        rows = slice(number * self.ticket_rows, (number + 1) * self.ticket_rows)
        return {name: array[rows] for name, array in arrays.items()}

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
        """Return a slot's `nbytes` bytes as arrays, (batch_size, *shape) for each field, sharing `memory`."""
        views = {}
        for field, offset in zip(self.fields, self.offsets, strict=True):
            rows = memory[offset : offset + self.batch_size * field.row_bytes]
            views[field.name] = rows.view(field.dtype).reshape(self.batch_size, *field.shape)
        return views


@dataclass(frozen=True)
class FrameLayout:
    """The place of each stream's decoded frame in a frame slot: an area each, one after the other.

    Parameters
    ----------
    areas : tuple of (str, int)
        Name of each stream, and the bytes of its area.
    """

    areas: tuple[tuple[str, int], ...]

    @property
    def offsets(self) -> tuple[int, ...]:
        """Byte offset of each area, a multiple of `ALIGNMENT`; and the end."""
        offsets = [0]
        for _, nbytes in self.areas:
            offsets.append(-(-(offsets[-1] + nbytes) // ALIGNMENT) * ALIGNMENT)
        return tuple(offsets)

    @property
    def nbytes(self) -> int:
        """Bytes of a frame slot, a multiple of `ALIGNMENT`."""
        return self.offsets[-1]


class RenderSpec(Protocol):
    """Everything that an engine needs to start: an immutable, picklable value."""

    @property
    def layout(self) -> SlotLayout:
        """Place of each array in a slot."""

    @property
    def ticket_dtype(self) -> np.dtype[np.void]:
        """Dtype of the tickets; its size is a multiple of 8 bytes."""

    @property
    def renderer(self) -> str:
        """``"module:class"`` of the renderer, which is made from the spec; only workers import it."""
