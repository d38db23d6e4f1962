"""How frames of one size, and masks beside them, are rendered, as a value.

A ticket's frames are numbers of files, the same for pictures and masks. Nothing is random.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastclips.spec import Field, SlotLayout

if TYPE_CHECKING:
    import numpy as np

    from fastclips.compat._base.files import FileList
    from fastclips.compat._base.pictures import Picture
    from fastclips.spec import StreamSpec

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
)  # of `fastclips.compat.datasets.resizing.Resizer`


@dataclass(frozen=True)
class Masks:
    """Label maps beside the pictures.

    Parameters
    ----------
    files : FileList
        One for each picture.
    stream : StreamSpec
        How they are decoded.
    classes : int
        Number of classes: the values below. With 1, every value but 0 is that class.
    one_hot : bool
        Whether each pixel becomes `classes` numbers.
    ignore : int or None
        A value that is no class and no error: all zeros in one-hot masks.
    """

    files: FileList
    stream: StreamSpec
    classes: int
    one_hot: bool
    ignore: int | None


@dataclass(frozen=True)
class FrameSpec:
    """How tickets of frames become rows; a `fastclips.spec.RenderSpec`.

    Parameters
    ----------
    files : FileList
        The pictures.
    batch_size : int
        Rows of a batch.
    ticket_dtype : numpy.dtype
        Of `fastclips.compat._base.tickets.sample_ticket`.
    picture : Picture
        How files become frames.
    clips : bool
        Whether a row has an axis of time.
    scale : float
        Factor for pixel values.
    masks : Masks, optional
        The masks of the pictures.
    fast_dct : bool
        Whether JPEGs are decoded as TensorFlow does by default.
    """

    files: FileList
    batch_size: int
    ticket_dtype: np.dtype[np.void]
    picture: Picture
    clips: bool
    scale: float = 1.0
    masks: Masks | None = None
    fast_dct: bool = False
    renderer: ClassVar[str] = "fastclips.compat.datasets.render:FrameRenderer"

    @property
    def layout(self) -> SlotLayout:
        """``"x"``, float32, and with masks ``"y"``, uint8 or float32."""
        time = (self.ticket_dtype["frames"].shape[0],) if self.clips else ()
        fields = [Field("x", (*time, *self.picture.shape), "float32")]
        if self.masks is not None:
            hot = (self.masks.classes,) if self.masks.one_hot else ()
            kind = "float32" if self.masks.one_hot else "uint8"
            fields.append(Field("y", (*time, *self.picture.size, *hot), kind))
        return SlotLayout(self.batch_size, tuple(fields))
