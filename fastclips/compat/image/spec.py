"""How samples of pictures are rendered, as a value. The trainer imports this module, workers the renderer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import numpy as np

    from fastclips.compat._base.arrays import ArrayRows
    from fastclips.compat._base.augmentation import Augmentation, Standardization
    from fastclips.compat._base.cache import KeptArrays
    from fastclips.compat._base.files import FileList
    from fastclips.compat._base.pictures import Picture
    from fastclips.compat._base.tickets import DrawLayout
    from fastclips.spec import SlotLayout

__all__ = ["FIELD", "PictureSpec"]

FIELD = "x"


@dataclass(frozen=True)
class PictureSpec:
    """All that is needed to render samples of pictures; a `fastclips.spec.RenderSpec`.

    Parameters
    ----------
    storage : FileList or ArrayRows
        Source of frames, by the ticket's file numbers. A row of an array is a frame, or a clip.
    layout : SlotLayout
        One field, `FIELD`: (H, W, C) or (T, H, W, C) a row, or what the user's function makes of frames.
    ticket_dtype : numpy.dtype
        Dtype of the tickets.
    draws : DrawLayout
        Layout of the tickets' draws.
    augmentation : Augmentation
        Applies the draws.
    standardization : Standardization
        Follows the augmentation.
    picture : Picture or None
        How files become frames.
    working : str
        Dtype in which the rows of an array are augmented.
    channels_first : bool
        Whether the user's frames, also those in arrays, are (C, H, W).
    clip : bool
        Whether a row is several frames.
    cache : KeptArrays or None
        Decoded frames of the target's size, by file number.
    """

    storage: FileList | ArrayRows
    layout: SlotLayout
    ticket_dtype: np.dtype[np.void]
    draws: DrawLayout
    augmentation: Augmentation
    standardization: Standardization
    picture: Picture | None = None
    working: str = "float32"
    channels_first: bool = False
    clip: bool = False
    cache: KeptArrays | None = None
    renderer: ClassVar[str] = "fastclips.compat.image.render:Renderer"
