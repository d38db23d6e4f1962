"""What an engine is told about pictures; the trainer makes it, and imports no more than this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastclips.compat._base.files import CHANNELS
from fastclips.compat._base.iterator import sample_ticket

if TYPE_CHECKING:
    import numpy as np

    from fastclips.compat._base.augmentation import Augmentation, Standardization
    from fastclips.compat._base.cache import FrameCache
    from fastclips.compat._base.files import ArrayList, FileList
    from fastclips.spec import SlotLayout

__all__ = ["FIELD", "Picture", "PictureSpec"]

FIELD = "x"


@dataclass(frozen=True)
class Picture:
    """How a file becomes a frame.

    Parameters
    ----------
    target_size : (int, int)
        Height and width.
    color_mode : str
        ``"rgb"``, ``"rgba"`` or ``"grayscale"``.
    interpolation : str
        One of `fastclips.compat._base.legacy_pictures.INTERPOLATIONS`.
    keep_aspect_ratio : bool
        Whether the middle is cut out in the target's proportions before.
    """

    target_size: tuple[int, int]
    color_mode: str = "rgb"
    interpolation: str = "nearest"
    keep_aspect_ratio: bool = False

    @property
    def channels(self) -> int:
        """Of a frame."""
        return CHANNELS[self.color_mode]


@dataclass(frozen=True)
class PictureSpec:
    """All that is needed to render samples of pictures.

    Parameters
    ----------
    storage : FileList or ArrayList
        Where frames come from, by the ticket's file numbers. An array's row is one frame, or one clip.
    layout : SlotLayout
        One field, `FIELD`: (H, W, C) or (T, H, W, C) a row, or what the user's function makes of a frame.
    time_steps : int
        File numbers in a ticket.
    draws : int
        Numbers in a ticket: `PARAMETERS` and one for the user's function, once or for each frame; then
        whatever else.
    augmentation : Augmentation
        How what was drawn is done.
    standardization : Standardization
        What follows.
    picture : Picture or None
        How files become frames.
    working : str
        The dtype that rows of an array are worked on in.
    channels_first : bool
        How the user's axes lie, in arrays too.
    clip : bool
        Whether a row is several frames.
    per_frame : bool
        Whether each of them has draws of its own.
    cache : FrameCache or None
        Where decoded frames of the target's size are kept, by file number.
    """

    storage: FileList | ArrayList
    layout: SlotLayout
    time_steps: int
    draws: int
    augmentation: Augmentation
    standardization: Standardization
    picture: Picture | None = None
    working: str = "float32"
    channels_first: bool = False
    clip: bool = False
    per_frame: bool = False
    cache: FrameCache | None = None
    renderer: ClassVar[str] = "fastclips.compat.image.render:Renderer"

    @property
    def ticket_dtype(self) -> np.dtype[np.void]:
        """Of the tickets."""
        return sample_ticket(self.time_steps, self.draws)
