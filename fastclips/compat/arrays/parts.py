"""Parts of arrays as rows of a batch: paired crops, and windows of a series.

::

    array, or memmap, workers=0    the caller's own: nothing is copied but what a batch shows
    array, workers > 0             copied once, into memory that all processes share
    x.npy, or a memmap of it all   read where it is, by pread, and no more rows of it than are shown
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from math import prod
from time import perf_counter
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from fastclips.data.arrays import Npy, find_array
from fastclips.data.columns import Columns
from fastclips.engine.arena import COUNTERS
from fastclips.errors import DataError, FrameError, OptionError
from fastclips.options import refuse_masked
from fastclips.spec import Field, SlotLayout

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["Crop", "CutRenderer", "CutSpec", "Item", "Part", "Source", "Window", "open_source"]

_KERNEL, _CLIPS, _FRAMES = map(COUNTERS.index, ("kernel_s", "clips", "frames"))
_KINDS = "biufc"  # NumPy's letters of what is a number or a bool


class Source:
    """An array, (N, ...), that parts are taken from; made by `open_source`.

    Parameters
    ----------
    held : ndarray, Columns or Npy
        The array, a block whose only array it is, or a file.

    Attributes
    ----------
    array : ndarray or None
        None if it is in a file, of which only `rows` can be had.
    shape, dtype
        Of the array.
    """

    __slots__ = ("_file", "_held", "_scratch", "array", "dtype", "shape")

    def __init__(self, held: NDArray[Any] | Columns | Npy) -> None:
        self._held = held
        found = held["array"] if isinstance(held, Columns) else held
        self.shape, self.dtype = found.shape, found.dtype
        self.array = None if isinstance(found, Npy) else found
        self._file = found if isinstance(found, Npy) else None
        self._scratch = np.empty(0, np.uint8)  # what was read last

    def __reduce__(self) -> tuple[Any, ...]:
        return Source, (self._held,)

    def rows(self, lead: tuple[int, ...], first: int, count: int) -> NDArray[Any]:
        """Read ``array[lead][first : first + count]`` from the file.

        Returns
        -------
        ndarray
            The next call overwrites it.

        Raises
        ------
        FrameError
            If the file was changed since it was opened; the message holds its path.
        """
        file = self._file
        assert file is not None  # noqa: S101 - the contract
        inner = self.shape[len(lead) + 1 :]
        each = prod(inner) * self.dtype.itemsize
        before = int(np.ravel_multi_index((*lead, first), self.shape[: len(lead) + 1]))
        if self._scratch.size < count * each:
            self._scratch = np.empty(count * each, np.uint8)
        piece = self._scratch[: count * each]
        try:
            file.read_into(piece.data, before * each)
        except DataError as error:
            where = ", ".join(map(str, (*lead, first)))
            raise FrameError(
                f"cannot read {file.path}[{where}]: {error}. Make the generator again"
            ) from error
        return piece.view(self.dtype).reshape(count, *inner)


def open_source(value: object, name: str, *, shared: bool) -> Source:
    """Take an array, or the path of a .npy file.

    Parameters
    ----------
    value : array_like, path or memmap
        The user's.
    name : str
        What it was given as, for messages.
    shared : bool
        Whether other processes will read it.

    Returns
    -------
    Source

    Raises
    ------
    OptionError
        It holds no numbers, or nothing, or has a mask that would be lost.
    DataError
        A file cannot be read, is no .npy file, is cut short or is in Fortran order.
    """
    found = np.asarray(value) if isinstance(value, np.memmap) and not shared else _found(value, name)
    if found.dtype.kind not in _KINDS:
        raise OptionError(f"{name} holds {found.dtype}: must be an array of numbers")
    if not found.shape or 0 in found.shape:
        raise OptionError(f"{name} has shape {found.shape}: must hold one item at least")
    return Source(Columns.pack({"array": found}) if shared and not isinstance(found, Npy) else found)


def _found(value: Any, name: str) -> Npy | NDArray[Any]:  # noqa: ANN401 - the user's
    refuse_masked(value, name)
    if isinstance(value, (str, os.PathLike, np.memmap)):
        return find_array(value, name)
    try:
        return np.asarray(value)
    except ValueError as error:
        raise OptionError(f"{name}: its items differ in shape, so they make no array: {error}") from error


class Part(Protocol):
    """What a row takes of one array."""

    @property
    def field(self) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of a row."""

    def write(self, sample: int, draws: list[float], frames: list[int], out: NDArray[Any]) -> None:
        """Fill a row's array by what its ticket says."""


@dataclass(frozen=True)
class Crop:
    """A box of a sample, the same in all of its frames; its ticket's draws are the top and the left pixel.

    Parameters
    ----------
    source : Source
        (N, H, W, ...), or (N, T, H, W, ...).
    size : (int, int)
        Height and width of the box in pixels.
    clips : bool
        Whether samples have an axis of time.
    """

    source: Source
    size: tuple[int, int]
    clips: bool

    @property
    def field(self) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of a row."""
        shape, axis = self.source.shape, 1 + self.clips
        return (*shape[1:axis], *self.size, *shape[axis + 2 :]), _native(self.source.dtype)

    def write(self, sample: int, draws: list[float], frames: list[int], out: NDArray[Any]) -> None:  # noqa: ARG002 - Part's
        """Fill a row's array by what its ticket says."""
        source, (height, width) = self.source, self.size
        top, left = map(int, draws)
        down, across = slice(top, top + height), slice(left, left + width)
        if source.array is not None:
            out[...] = (
                source.array[sample, :, down, across] if self.clips else source.array[sample, down, across]
            )
        elif not self.clips:
            out[...] = source.rows((sample,), top, height)[:, across]
        else:
            for time, frame in enumerate(out):
                frame[...] = source.rows((sample, time), top, height)[:, across]


@dataclass(frozen=True)
class Window:
    """The items that a ticket's frames name, which are evenly spaced.

    Parameters
    ----------
    source : Source
        (N, ...).
    time_steps : int
        How many there are.
    """

    source: Source
    time_steps: int

    @property
    def field(self) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of a row."""
        return (self.time_steps, *self.source.shape[1:]), _native(self.source.dtype)

    def write(self, sample: int, draws: list[float], frames: list[int], out: NDArray[Any]) -> None:  # noqa: ARG002 - Part's
        """Fill a row's array by what its ticket says."""
        dilation = frames[1] - frames[0] if len(frames) > 1 else 1
        if self.source.array is not None:
            out[...] = self.source.array[frames[0] : frames[-1] + 1 : dilation]
        elif dilation == 1:
            out[...] = self.source.rows((), frames[0], len(frames))
        else:
            for step, frame in enumerate(frames):
                out[step] = self.source.rows((), frame, 1)[0]


@dataclass(frozen=True)
class Item:
    """The item that a ticket's first frame names.

    Parameters
    ----------
    source : Source
        (N, ...).
    """

    source: Source

    @property
    def field(self) -> tuple[tuple[int, ...], str]:
        """Shape and dtype of a row."""
        return self.source.shape[1:], _native(self.source.dtype)

    def write(self, sample: int, draws: list[float], frames: list[int], out: NDArray[Any]) -> None:  # noqa: ARG002 - Part's
        """Fill a row's array by what its ticket says."""
        array = self.source.array
        out[...] = self.source.rows((), frames[0], 1)[0] if array is None else array[frames[0]]


@dataclass(frozen=True)
class CutSpec:
    """What makes rows of parts; a `fastclips.spec.RenderSpec`.

    Parameters
    ----------
    parts : mapping of str to Part
        By the field's name.
    rows : int
        Of a batch.
    ticket_dtype : numpy.dtype
        As `fastclips.compat._base.iterator.sample_ticket` makes it.
    """

    parts: Mapping[str, Part]
    rows: int
    ticket_dtype: np.dtype[np.void]
    renderer: ClassVar[str] = "fastclips.compat.arrays.parts:CutRenderer"

    @property
    def layout(self) -> SlotLayout:
        """A field for each part."""
        return SlotLayout(self.rows, tuple(Field(name, *part.field) for name, part in self.parts.items()))


class CutRenderer:
    """Copies the parts that a ticket names into its row.

    Parameters
    ----------
    spec : CutSpec
        What to copy.
    single_threaded : bool
        Makes no difference.
    """

    def __init__(self, spec: CutSpec, *, single_threaded: bool = False) -> None:  # noqa: ARG002 - the contract
        self._parts = list(spec.parts.items())

    def render(self, ticket: np.void, row: Mapping[str, NDArray[Any]], counters: NDArray[np.float64]) -> None:
        """Write a row: see `fastclips.engine.worker.AnyRenderer`."""
        began = perf_counter()
        sample, draws, frames = int(ticket["sample"]), ticket["draws"].tolist(), ticket["frames"].tolist()
        for name, part in self._parts:
            part.write(sample, draws, frames, row[name])
        counters[_KERNEL] += perf_counter() - began
        counters[_CLIPS] += 1
        counters[_FRAMES] += len(frames)


def _native(dtype: np.dtype[Any]) -> str:
    return str(dtype.newbyteorder("=").str)
