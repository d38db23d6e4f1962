"""Augmentation policies: `RandAugment` and `TrivialAugment`, which draw operations from a set.

Some operations move pixels, others change their values. So a policy has two *halves*, which share their
draws: `PolicyGeometry` composes onto the one map of the clip, which masks follow, and `PolicyPixels` is a
pixel step. `Recipe` gives both the same numbers. Each half applies the operations of its kind, in the order
in which they were drawn.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from fastclips.errors import OptionError
from fastclips.options import checked_choice, checked_int, checked_number
from fastclips.pixels.geometry.affine import check_border
from fastclips.pixels.geometry.warps import rotate
from fastclips.pixels.on import On, inner
from fastclips.pixels.steps import levels
from fastclips.pixels.steps.base import PixelStep
from fastclips.pixels.steps.noise import normal_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from fastclips.pixels.geometry.affine import Geometry

__all__ = ["PolicyGeometry", "PolicyPixels", "RandAugment", "TrivialAugment", "split_policies"]

_MOVING = ("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate")
_OPERATIONS = (  # of torchvision, in its order
    *("Identity", *_MOVING, "Brightness", "Color", "Contrast", "Sharpness"),
    *("Posterize", "Solarize", "AutoContrast", "Equalize"),
)
_KNOWN = (*_OPERATIONS, "Invert", "SolarizeAdd")
_MOST = 16  # operations for a clip
_BINS = 31  # strengths of TrivialAugment
_LAYER = 4  # draws for each operation: which, whether it acts, its sign, its strength


class _Reach(NamedTuple):
    """The strongest operations of a policy."""

    degrees: float
    shear: float
    share: float  # of the frame that a translation moves by
    pixels: float  # that a translation moves by
    factor: float  # distance from 1
    bits: int  # that Posterize drops


class _Drawn(NamedTuple):
    """An operation for a clip."""

    name: str
    strength: float  # from 0 to 1
    sign: int  # of operations that have one


class _Policy(ABC):
    """What both policies are: a number of operations, drawn for a clip from a set."""

    operations: Sequence[str]
    fill: str
    fill_value: int | tuple[int, int, int]
    per: str
    reach: ClassVar[_Reach]

    @property
    @abstractmethod
    def layers(self) -> int:
        """Operations for a clip."""

    @abstractmethod
    def strength(self, draw: float) -> float:
        """Return the strength of an operation, from 0 to 1."""

    def acts(self, draw: float) -> bool:  # noqa: ARG002 - always, by default
        """Whether an operation acts."""
        return True

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) that a clip takes."""
        return self.layers * _LAYER

    @property
    def halves(self) -> tuple[PolicyGeometry, PolicyPixels]:
        """The geometry transform and the pixel step that the policy consists of."""
        return PolicyGeometry(self), PolicyPixels(self)

    def drawn(self, draws: Sequence[float]) -> Iterator[_Drawn]:
        """Return the operations for a clip, in order."""
        for layer in range(self.layers):
            which, acts, sign, strength = draws[_LAYER * layer : _LAYER * (layer + 1)]
            if self.acts(acts):
                name = self.operations[int(which * len(self.operations))]
                yield _Drawn(name, self.strength(strength), -1 if sign < 0.5 else 1)  # noqa: PLR2004 - half

    def _check(self) -> None:
        owner, given = type(self).__name__, self.operations
        names = (given,) if isinstance(given, str) else tuple(given)
        if not names or not set(names) <= {*_KNOWN} or len(set(names)) < len(names):
            raise OptionError(
                f"{owner}'s operations={given!r}: must be different names of {', '.join(map(repr, _KNOWN))}"
            )
        object.__setattr__(self, "operations", names)
        check_border(self)
        checked_choice(self.per, f"{owner}'s per", ("clip", "video"))


@dataclass(frozen=True)
class RandAugment(_Policy):
    """Apply operations that are drawn from a set, all of one strength: RandAugment of Cubuk et al.

    The operations are drawn once for all frames of a clip, with replacement, and each is as likely as the
    others. Those that move pixels are part of the clip's one map: masks follow them, and with crops and flips
    each pixel is resampled once. The others act on pictures alone, as a pixel step in the policy's place.

    ==========================================  ==============================================================
    operation                                   with strength s, from 0 to 1
    ==========================================  ==============================================================
    Identity                                    nothing
    ShearX, ShearY                              by ``0.3 s`` pixels a pixel, left or right, up or down
    TranslateX, TranslateY                      by ``150 / 331 s`` of the width or height, both directions
    Rotate                                      by ``30 s`` degrees, both directions
    Brightness, Color, Contrast, Sharpness      blend by a factor of ``1 - 0.9 s`` or ``1 + 0.9 s``
    Posterize                                   keep ``8 - round(4 s)`` bits of each value
    Solarize                                    invert values from ``255 (1 - s)`` on
    AutoContrast, Equalize                      stretch, or equalize, the histogram of each channel
    Invert, SolarizeAdd (only if named)         invert values; add ``110 s`` to values below 128
    ==========================================  ==============================================================

    These are the operations and strengths of torchvision, with differences:

    - The map is applied first, then the other operations, in the order drawn, on the output's pixels. So an
      operation that looks at the whole frame (Contrast, AutoContrast, Equalize) sees what the crop shows.
    - Pixels outside the frame get `fill_value` after all pixel steps: the operations do not change it.
    - Translations are rounded towards 0 to whole pixels of the frame, as in torchvision.
    - Values are rounded where Pillow cuts off digits, so they are up to 1 higher for each operation.

    timm has a probability for each operation (`p`) and a strength that varies (`std`), and counts to 10:
    ``rand-m7-n4-mstd0.5-inc1`` is ``RandAugment(4, 7, levels=10, std=0.5, p=0.5)`` with timm's operations,
    without "Identity" and with "Invert" and "SolarizeAdd". Its Posterize keeps half as many bits or fewer.

    Parameters
    ----------
    n : int
        Operations for a clip, 1 to 16.
    magnitude : float
        The strength, counted from 0 to `levels`.
    levels : float
        The magnitude of full strength.
    std : float
        Standard deviation of the magnitude, in the same unit: normally distributed, cut off at 0 and
        `levels`. With 0, all operations have the same strength.
    p : float
        Probability that an operation acts, 0 to 1, drawn for each.
    operations : sequence of str
        The set to draw from.
    fill : {"constant", "nearest", "reflect", "wrap"}
        Pixels outside a frame ``abcd``: `fill_value`, ``aa|abcd|dd``, ``ba|abcd|dc`` or ``cd|abcd|ab``; the
        same in all transforms of a list.
    fill_value : int or (int, int, int)
        With ``fill="constant"``, the value of those pixels in pictures, set after all pixel steps: a byte, or
        one each for red, green and blue. After `Normalize`, 0 is its mean.
    per : {"clip", "video"}
        How often the operations are drawn: once for all frames of a clip, or once for all clips of a video,
        in each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range, or `fill_value` is given without ``fill="constant"``.

    Examples
    --------
    >>> augment = [fc.RandAugment(n=2, magnitude=9), fc.RandomCrop(32), fc.RandomFlip()]
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), augment, batch_size=2, workers=0)
    >>> next(iter(loader))[0].shape
    (2, 4, 32, 32, 3)
    """

    n: int = 2
    magnitude: float = 9.0
    _: KW_ONLY
    levels: float = 30.0
    std: float = 0.0
    p: float = 1.0
    operations: Sequence[str] = _OPERATIONS
    fill: str = "constant"
    fill_value: int | tuple[int, int, int] = 0
    per: str = "clip"
    reach: ClassVar[_Reach] = _Reach(30, 0.3, 150 / 331, 0, 0.9, 4)

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", checked_int(self.n, "RandAugment's n", 1, _MOST + 1))
        limits = {"levels": (1, 1000), "magnitude": (0, self.levels), "std": (0, self.levels), "p": (0, 1)}
        for name, (low, high) in limits.items():
            value = checked_number(getattr(self, name), f"RandAugment's {name}", low, high)
            object.__setattr__(self, name, value)
        self._check()

    @property
    def layers(self) -> int:
        """Operations for a clip: n."""
        return self.n

    def acts(self, draw: float) -> bool:
        """Whether an operation acts."""
        return draw < self.p

    def strength(self, draw: float) -> float:
        """Return the strength of an operation, from 0 to 1."""
        magnitude = self.magnitude + self.std * normal_of(draw) if self.std else self.magnitude
        return min(max(magnitude, 0.0), self.levels) / self.levels


@dataclass(frozen=True)
class TrivialAugment(_Policy):
    """Apply one operation of random strength: TrivialAugment of Müller and Hutter, in its wide form.

    Operation and strength are drawn once for all frames of a clip. The operations are those of `RandAugment`,
    applied as it says there, with torchvision's wide ranges: shears up to 0.99, translations up to 32 pixels,
    rotations up to 135 degrees, factors from 0.01 to 1.99, and Posterize down to 2 bits. The strength is one
    of 31, from 0 to full.

    Parameters
    ----------
    operations : sequence of str
        The set to draw from, as for `RandAugment`.
    fill, fill_value
        Pixels outside the frame, as for `RandAugment`.
    per : {"clip", "video"}
        How often the operation is drawn: once for all frames of a clip, or once for all clips of a video, in
        each epoch anew.

    Raises
    ------
    OptionError
        If an option is out of range, or `fill_value` is given without ``fill="constant"``.

    Examples
    --------
    >>> augment = [fc.TrivialAugment(fill="reflect"), fc.RandomCrop(32)]
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), augment, batch_size=2, workers=0)
    >>> next(iter(loader))[0].shape
    (2, 4, 32, 32, 3)
    """

    _: KW_ONLY
    operations: Sequence[str] = _OPERATIONS
    fill: str = "constant"
    fill_value: int | tuple[int, int, int] = 0
    per: str = "clip"
    reach: ClassVar[_Reach] = _Reach(135, 0.99, 0, 32, 0.99, 6)

    def __post_init__(self) -> None:
        self._check()

    @property
    def layers(self) -> int:
        """Operations for a clip: 1."""
        return 1

    def strength(self, draw: float) -> float:
        """Return the strength of an operation, from 0 to 1."""
        return int(draw * _BINS) / (_BINS - 1)


@dataclass(frozen=True, repr=False)
class PolicyGeometry:
    """The operations of a policy that move pixels, as a geometry transform."""

    policy: _Policy
    fixes_size: ClassVar[bool] = False

    def __repr__(self) -> str:
        return repr(self.policy)

    @property
    def draws(self) -> int:
        """Numbers in [0, 1) that it shares with the other half."""
        return self.policy.draws

    @property
    def per(self) -> str:
        """How often is drawn."""
        return self.policy.per

    @property
    def fill(self) -> str | None:
        """The border rule; None if no operation moves pixels."""
        return self.policy.fill if set(_MOVING) & set(self.policy.operations) else None

    @property
    def fill_value(self) -> int | tuple[int, int, int]:
        """The value of pixels outside the frame."""
        return self.policy.fill_value

    def compose(self, geometry: Geometry, draws: Sequence[float]) -> Geometry:
        """Return the map of the operations after `geometry`."""
        for drawn in self.policy.drawn(draws):
            if drawn.name in _MOVING:
                geometry = _move(geometry, drawn, self.policy.reach)
        return geometry


@dataclass(frozen=True, repr=False)
class PolicyPixels(PixelStep):
    """The operations of a policy that change values, as a frame step."""

    kind = "frame"
    policy: _Policy

    def __post_init__(self) -> None:
        object.__setattr__(self, "draws", self.policy.draws)
        object.__setattr__(self, "per", self.policy.per)

    def __repr__(self) -> str:
        return repr(self.policy)

    def apply(
        self,
        frame: NDArray[np.float32],
        draws: Sequence[float],
        number: int,  # noqa: ARG002 - PixelStep's
    ) -> NDArray[np.float32]:
        """Return the result for a frame, (H, W, C) on the scale of bytes."""
        for drawn in self.policy.drawn(draws):
            if drawn.name not in ("Identity", *_MOVING):
                np.clip(frame, 0, 255, out=frame)
                frame = _change(np.floor(frame + np.float32(0.5)), drawn, self.policy.reach)
        return frame


def split_policies(transforms: Iterable[Any]) -> Iterator[Any]:
    """Return transforms, with the halves of each policy, also in `On`, in its place."""
    for item in transforms:
        policy = inner(item)
        if not isinstance(policy, _Policy):
            yield item
        elif isinstance(item, On):
            yield from (On(item.streams, half) for half in policy.halves)
        else:
            yield from policy.halves


def _move(geometry: Geometry, drawn: _Drawn, reach: _Reach) -> Geometry:
    """Return the map of an operation after `geometry`."""
    amount, y, x = drawn.sign * drawn.strength, geometry.y, geometry.x
    if not amount:
        return geometry
    if drawn.name == "Rotate":
        return rotate(geometry, amount * reach.degrees)
    if drawn.name == "TranslateX":
        return geometry._replace(x=x.spread(_pixels(amount, reach, x.size), x.size))
    if drawn.name == "TranslateY":
        return geometry._replace(y=y.spread(_pixels(amount, reach, y.size), y.size))
    amount *= reach.shear
    if drawn.name == "ShearX":  # about the corner at the top left, as Pillow's
        sheared = geometry.map_about_center(((1.0, 0.0), (amount, 1.0)))
        return sheared._replace(x=sheared.x.spread(amount * y.size / 2, x.size))
    sheared = geometry.map_about_center(((1.0, amount), (0.0, 1.0)))
    return sheared._replace(y=sheared.y.spread(amount * x.size / 2, y.size))


def _pixels(amount: float, reach: _Reach, size: int) -> int:
    return int(amount * (reach.share * size + reach.pixels))


def _change(frame: NDArray[np.float32], drawn: _Drawn, reach: _Reach) -> NDArray[np.float32]:
    """Return the result of an operation for a frame of whole numbers."""
    name, strength = drawn.name, drawn.strength
    if name in ("Brightness", "Color", "Contrast", "Sharpness"):
        blend = getattr(levels, name.lower())
        return blend(frame, 1 + drawn.sign * strength * reach.factor)  # type: ignore[no-any-return]
    if name == "Posterize":
        return levels.posterize(frame, 8 - round(strength * reach.bits))
    if name == "Solarize":
        return levels.solarize(frame, 255 * (1 - strength))
    if name == "SolarizeAdd":
        return levels.solarize_add(frame, int(110 * strength))
    whole = {"Invert": levels.invert, "AutoContrast": levels.auto_contrast, "Equalize": levels.equalize}
    return whole[name](frame)
