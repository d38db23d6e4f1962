"""What `datasets` and `sequence` render: frames of one size, and masks beside them. Rendered in workers.

A ticket's frames are numbers of files, the same ones for pictures and masks. Nothing is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastclips.compat._base.files import CHANNELS
from fastclips.spec import Field, SlotLayout

if TYPE_CHECKING:
    import numpy as np

    from fastclips.compat._base.files import FileList
    from fastclips.spec import Stream

__all__ = ["INTERPOLATIONS", "FrameSpec", "Masks"]

INTERPOLATIONS = (
    "bilinear",
    "nearest",
    "bicubic",
    "area",
    "lanczos3",
    "lanczos5",
    "gaussian",
    "mitchellcubic",
)
"""As `fastclips.compat.datasets.resizing` has them."""


@dataclass(frozen=True)
class Masks:
    """Label maps beside the pictures.

    Parameters
    ----------
    files : FileList
        One for each picture.
    stream : Stream
        How they are decoded.
    classes : int
        Values below it are classes. With one class, that is whatever is not 0.
    one_hot : bool
        Whether each pixel becomes `classes` numbers.
    ignore : int or None
        A value that is no class and no error: in one-hot masks, all zeros.
    """

    files: FileList
    stream: Stream
    classes: int
    one_hot: bool
    ignore: int | None


@dataclass(frozen=True)
class FrameSpec:
    """What renders tickets of frames; a `fastclips.spec.RenderSpec`.

    Parameters
    ----------
    files : FileList
        The pictures.
    rows : int
        Of a batch.
    ticket_dtype : numpy.dtype
        As `fastclips.compat._base.iterator.sample_ticket` makes it.
    size : (int, int)
        Height and width of the result, in pixels.
    clips : bool
        Whether a row has an axis of time.
    color_mode : str
        One of `CHANNELS`.
    interpolation, aspect
        Of pictures, as for `fastclips.compat.datasets.resizing.Resizer`.
    scale : float
        What pictures are multiplied by.
    channels_first : bool
        Whether a picture is (C, H, W).
    masks : Masks, optional
        What lies beside them.
    """

    files: FileList
    rows: int
    ticket_dtype: np.dtype[np.void]
    size: tuple[int, int]
    clips: bool
    color_mode: str = "rgb"
    interpolation: str = "bilinear"
    aspect: str | None = None
    scale: float = 1.0
    channels_first: bool = False
    masks: Masks | None = None
    renderer: ClassVar[str] = "fastclips.compat.datasets.frame_renderer:FrameRenderer"

    @property
    def layout(self) -> SlotLayout:
        """``"x"``, float32, and perhaps ``"y"``, uint8 or float32."""
        time = (self.ticket_dtype["frames"].shape[0],) if self.clips else ()
        channels = CHANNELS[self.color_mode]
        frame = (channels, *self.size) if self.channels_first else (*self.size, channels)
        fields = [Field("x", (*time, *frame), "float32")]
        if self.masks is not None:
            hot = (self.masks.classes,) if self.masks.one_hot else ()
            kind = "float32" if self.masks.one_hot else "uint8"
            fields.append(Field("y", (*time, *self.size, *hot), kind))
        return SlotLayout(self.rows, tuple(fields))
