"""`On`: a transform of some streams alone, in its place in the list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fastclips.errors import OptionError
from fastclips.pixels.steps.base import PixelStep

__all__ = ["On", "inner"]


@dataclass(frozen=True)
class On:
    """Apply a transform to some streams alone, in its place in the list of transforms.

    Geometry in `On` gives a stream another size than the others, or makes it fit: a mask of half the size
    becomes as large as its pictures before both are cropped alike. The resize and the crop are one map, so
    each pixel is resampled once. Pixel steps outside of `On` act on pictures only; `On` gives them to depth
    or flow, or to some of several pictures.

    Masks, flow and depth belong to a picture, pixel by pixel. So wherever the list has geometry that acts on
    all streams, each of them must have the size of a picture, and random geometry must act on both: name
    both, ``On(("camera_2", "depth"), RandomFlip())``.

    Parameters
    ----------
    streams : str or sequence of str
        Names of streams of the dataset. Names that the loader does not serve have no effect.
    transform : transform
        Geometry or a pixel step. Random numbers are drawn once for all these streams, after those of all
        transforms without `On`. Views, such as
        `ThreeCrop`, and frame choices, such as `Reverse`, act on all streams and are refused.

    Raises
    ------
    OptionError
        If `transform` is a view, a frame choice or no transform, or swaps labels or mask values; once a
        loader is made, if a name is no stream, or if the streams no longer fit each other.

    Examples
    --------
    Pictures of 48x64 pixels, and masks of half the size:

    >>> images = np.zeros((2, 8, 48, 64, 3), np.uint8)
    >>> masks = np.tile(np.arange(32, dtype=np.uint8), (2, 8, 24, 1))
    >>> data = fc.open(images={"image": images, "mask": fc.Stream(masks, kind="mask")})
    >>> transforms = [fc.On("mask", fc.Resize((48, 64))), fc.RandomCrop(32), fc.RandomFlip()]
    >>> loader = fc.ClipLoader(data, fc.Windows(4), transforms, targets="mask", batch_size=2, workers=0)
    >>> x, y = next(iter(loader))
    >>> x.shape, y.shape
    ((2, 4, 32, 32, 3), (2, 4, 32, 32))
    """

    streams: str | tuple[str, ...]
    transform: Any

    def __post_init__(self) -> None:
        given = self.streams
        names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else ()
        if not names or not all(isinstance(name, str) and name for name in names):
            raise OptionError(f"On's streams={given!r}: must be the name of a stream, or a sequence of names")
        object.__setattr__(self, "streams", names)
        transform = self.transform
        if isinstance(transform, On) or hasattr(transform, "compose_view") or hasattr(transform, "choose"):
            raise OptionError(
                f"On's transform={transform!r}: must be geometry without views or a pixel step; views and "
                "frame choices act on all streams: put it into the list without On"
            )
        if isinstance(transform, type) or not (
            isinstance(transform, PixelStep) or hasattr(transform, "compose") or hasattr(transform, "halves")
        ):
            raise OptionError(
                f"On's transform={transform!r}: must be one transform, as in On('mask', Resize((256, 340)))"
            )
        if getattr(transform, "label_map", None) or getattr(transform, "mask_map", None):
            raise OptionError(
                f"On's transform={transform!r}: must not swap labels or mask values, since other streams are "
                "not mirrored; leave out label_map= and mask_map="
            )

    def names(self, stream: str) -> bool:
        """Whether the transform acts on a stream."""
        return stream in self.streams


def inner(transform: Any) -> Any:  # noqa: ANN401 - any transform
    """Return the transform in an `On`, and any other transform itself."""
    return transform.transform if isinstance(transform, On) else transform
