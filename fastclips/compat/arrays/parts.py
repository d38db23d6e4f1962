"""Parts of arrays as rows of a batch: paired crops, and windows of a series."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from fastclips.compat._base.rendering import SampleRenderer
from fastclips.engine.rendering import KERNEL
from fastclips.spec import Field, SlotLayout

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from fastclips.compat._base.arrays import ArrayRows
    from fastclips.engine.rendering import Meter

__all__ = ["Crop", "CutRenderer", "CutSpec", "Item", "Part", "Window"]


@dataclass(frozen=True)
class Part(ABC):
    """A part of an array (N, ...) that a row of a batch shows.

    Parameters
    ----------
    rows : ArrayRows
        The array.
    """

    rows: ArrayRows

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape in a row of a batch."""

    @abstractmethod
    def write(self, sample: int, draws: list[float], frames: list[int], out: NDArray[Any]) -> None:
        """Copy the part of a sample, by the draws and the frames of its ticket."""


@dataclass(frozen=True)
class Crop(Part):
    """A box of a sample, the same in all of its frames; the ticket's draws are its top and left pixel.

    Parameters
    ----------
    rows : ArrayRows
        (N, H, W, ...), or (N, T, H, W, ...).
    size : (int, int)
        Height and width of the box in pixels.
    clips : bool
        Whether samples have an axis of time.
    """

    size: tuple[int, int]
    clips: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in a row of a batch."""
        shape, axis = self.rows.shape, 1 + self.clips
        return (*shape[1:axis], *self.size, *shape[axis + 2 :])

    def write(self, sample: int, draws: list[float], frames: list[int], out: NDArray[Any]) -> None:  # noqa: ARG002 - Part's
        """Copy the box."""
        top, left = map(int, draws)
        height, across = self.size[0], slice(left, left + self.size[1])
        for step, frame in enumerate(out if self.clips else out[None]):
            lead = (sample, step) if self.clips else (sample,)
            frame[...] = self.rows.cut(lead, top, height)[:, across]


@dataclass(frozen=True)
class Window(Part):
    """The evenly spaced items that a ticket's frames name.

    Parameters
    ----------
    rows : ArrayRows
        (N, ...).
    time_steps : int
        Number of items.
    """

    time_steps: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in a row of a batch."""
        return (self.time_steps, *self.rows.shape[1:])

    def write(self, sample: int, draws: list[float], frames: list[int], out: NDArray[Any]) -> None:  # noqa: ARG002 - Part's
        """Copy the items."""
        dilation = frames[1] - frames[0] if len(frames) > 1 else 1
        if dilation == 1 or self.rows.array is not None:
            out[...] = self.rows.cut((), frames[0], frames[-1] + 1 - frames[0])[::dilation]
        else:
            for step, frame in enumerate(frames):
                out[step] = self.rows.cut((), frame, 1)[0]


@dataclass(frozen=True)
class Item(Part):
    """The item that a ticket's first frame names."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape in a row of a batch."""
        return self.rows.shape[1:]

    def write(self, sample: int, draws: list[float], frames: list[int], out: NDArray[Any]) -> None:  # noqa: ARG002 - Part's
        """Copy the item."""
        out[...] = self.rows.cut((), frames[0], 1)[0]


@dataclass(frozen=True)
class CutSpec:
    """How parts of arrays become rows; a `fastclips.spec.RenderSpec`.

    Parameters
    ----------
    parts : mapping of str to Part
        By field.
    batch_size : int
        Rows of a batch.
    ticket_dtype : numpy.dtype
        Of `fastclips.compat._base.tickets.sample_ticket`.
    """

    parts: Mapping[str, Part]
    batch_size: int
    ticket_dtype: np.dtype[np.void]
    renderer: ClassVar[str] = "fastclips.compat.arrays.parts:CutRenderer"

    @property
    def layout(self) -> SlotLayout:
        """A field for each part, in the array's dtype and native byte order."""
        fields = [
            Field(name, part.shape, str(part.rows.dtype.newbyteorder("=").str))
            for name, part in self.parts.items()
        ]
        return SlotLayout(self.batch_size, tuple(fields))


class CutRenderer(SampleRenderer):
    """Copies the parts that a ticket names into its row."""

    _spec: CutSpec

    def write(self, ticket: np.void, row: Mapping[str, NDArray[Any]], meter: Meter) -> int:
        """Write a row; return its number of frames."""
        sample, draws, frames = int(ticket["sample"]), ticket["draws"].tolist(), ticket["frames"].tolist()
        for name, part in self._spec.parts.items():
            part.write(sample, draws, frames, row[name])
        meter.lap(KERNEL)
        return len(frames)
