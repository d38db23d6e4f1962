"""Keras's augmentation and standardisation of one frame, as pure functions of the frame and drawn numbers.

`Augmentation` draws numbers in Keras's order and applies them; `Standardization` follows. Both are values
that travel to workers. A frame is (H, W, C), of float; or of uint8, as the decoder makes it, which is treated
as float32.

Without interpolation, the bits are those of Keras. Affine maps are SciPy's splines of order 0 and 1, computed
by a kernel in float64 and rounded once; SciPy itself computes other orders and fill modes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from fastclips.errors import EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fastclips.functions import UserFunction

    _Frame = NDArray[Any]

__all__ = ["PARAMETERS", "Augmentation", "Standardization", "brightness_table"]

PARAMETERS = (
    "theta",
    "tx",
    "ty",
    "shear",
    "zx",
    "zy",
    "flip_horizontal",
    "flip_vertical",
    "channel_shift_intensity",
    "brightness",
)
_FLIPS = ("flip_horizontal", "flip_vertical")
_IDENTITY = {"theta": 0, "tx": 0, "ty": 0, "shear": 0, "zx": 1, "zy": 1}
_BYTE = 255
_EPSILON = 1e-6  # added to standard deviations


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a frame; the options of `ImageDataGenerator`, with `zoom_range` as two numbers."""

    rotation_range: float = 0
    width_shift_range: float | Sequence[float] = 0.0
    height_shift_range: float | Sequence[float] = 0.0
    brightness_range: tuple[float, float] | None = None
    shear_range: float = 0.0
    zoom_range: tuple[float, float] = (1, 1)
    channel_shift_range: float = 0.0
    fill_mode: str = "nearest"
    cval: float = 0.0
    horizontal_flip: bool = False
    vertical_flip: bool = False
    interpolation_order: int = 1

    @classmethod
    def of(cls, generator: Any) -> Augmentation:  # noqa: ANN401 - ours, or one of Keras's
        """Return what an ImageDataGenerator draws and applies; its attributes have the same names."""
        return cls(**{option.name: getattr(generator, option.name) for option in fields(cls)})

    def draw(self, random: np.random.RandomState, height: int, width: int) -> dict[str, Any]:
        """Draw `PARAMETERS` for a frame, in the order of Keras's ``get_random_transform``."""
        theta = random.uniform(-self.rotation_range, self.rotation_range) if self.rotation_range else 0
        tx = _shift(random, self.height_shift_range, height)
        ty = _shift(random, self.width_shift_range, width)
        shear = random.uniform(-self.shear_range, self.shear_range) if self.shear_range else 0
        zx: float = 1
        zy: float = 1
        if tuple(self.zoom_range) != (1, 1):
            zx, zy = random.uniform(self.zoom_range[0], self.zoom_range[1], 2)
        horizontal = (random.random_sample() < 0.5) * bool(self.horizontal_flip)  # noqa: PLR2004 - one in two
        vertical = (random.random_sample() < 0.5) * bool(self.vertical_flip)  # noqa: PLR2004 - as above
        channel_shift = brightness = None
        if self.channel_shift_range != 0:
            channel_shift = random.uniform(-self.channel_shift_range, self.channel_shift_range)
        if self.brightness_range is not None:
            brightness = random.uniform(self.brightness_range[0], self.brightness_range[1])
        drawn = theta, tx, ty, shear, zx, zy, horizontal, vertical, channel_shift, brightness
        return dict(zip(PARAMETERS, drawn, strict=True))

    @staticmethod
    def to_vector(parameters: Mapping[str, Any]) -> list[float]:
        """Return parameters as numbers for a ticket; NaN stands for None."""
        found = {**_IDENTITY, **{name: value for name, value in parameters.items() if value is not None}}
        return [float(found.get(name, 0 if name in _FLIPS else math.nan)) for name in PARAMETERS]

    @staticmethod
    def from_vector(vector: Sequence[float]) -> dict[str, Any]:
        """Return the parameters that `to_vector` got."""
        found: dict[str, Any] = {
            name: None if math.isnan(value) else value for name, value in zip(PARAMETERS, vector, strict=True)
        }
        return {**found, **{name: bool(found[name]) for name in _FLIPS}}

    @staticmethod
    def is_warp(parameters: Mapping[str, Any]) -> bool:
        """Whether parameters ask for an affine map other than a flip."""
        return any(parameters.get(name, same) != same for name, same in _IDENTITY.items())

    def apply(self, frame: _Frame, parameters: Mapping[str, Any]) -> _Frame:
        """Augment a frame.

        Parameters
        ----------
        frame : ndarray
            (H, W, C), of float, or of uint8 in place of float32. Not changed.
        parameters : mapping
            From `draw`; the effects of missing parameters are left out.

        Returns
        -------
        ndarray
            (H, W, C), of the same dtype (float32 for uint8 if values change), perhaps a view.
        """
        if self.is_warp(parameters):
            frame = self._warped(frame, parameters)
        if (intensity := parameters.get("channel_shift_intensity")) is not None:
            frame = frame.astype(np.float32) if frame.dtype == np.uint8 else frame
            frame = np.clip(frame + intensity, frame.min(), frame.max())
        if parameters.get("flip_horizontal"):
            frame = frame[:, ::-1]
        if parameters.get("flip_vertical"):
            frame = frame[::-1]
        if (brightness := parameters.get("brightness")) is not None:
            frame = _brightened(frame, brightness)
        return frame

    def _warped(self, frame: _Frame, parameters: Mapping[str, Any]) -> _Frame:
        from fastclips.compat._base import legacy_kernels  # noqa: PLC0415 - compiled, and needed for warps alone

        matrix = _matrix({**_IDENTITY, **parameters}, *frame.shape[:2])
        order, mode, dtype = self.interpolation_order, self.fill_mode, frame.dtype
        if order not in (0, 1) or mode not in legacy_kernels.FILL_MODES:
            return _by_scipy(frame, matrix, order, mode, self.cval)
        if dtype not in (np.uint8, np.float32, np.float64):
            frame = frame.astype(np.float64)
        warped = legacy_kernels.affine(np.ascontiguousarray(frame), matrix, order, mode, self.cval)
        if dtype.kind in "iu" and dtype != np.uint8:
            limits = np.iinfo(dtype)
            warped = np.clip(np.trunc(warped + np.copysign(0.5, warped)), limits.min, limits.max)
        return warped if dtype == np.uint8 else warped.astype(dtype, copy=False)


def _shift(random: np.random.RandomState, given: float | Sequence[float], size: int) -> float:
    """Draw a shift in pixels: an item of a list, a whole number below an integer, or a number of a range."""
    if not given:
        return 0
    shifts: Any = given
    if isinstance(given, (int, np.integer)) or np.ndim(given):
        shift = random.choice(shifts) * random.choice([-1, 1])
    else:
        shift = random.uniform(-shifts, shifts)
    return float(shift * size if np.max(given) < 1 else shift)


def _matrix(parameters: Mapping[str, Any], height: int, width: int) -> NDArray[np.float64]:
    """Return the map from output to frame, (2, 3): rotation, shift, shear and zoom about the centre."""
    tx, ty, zx, zy = (parameters[name] for name in ("tx", "ty", "zx", "zy"))
    theta, shear = (np.deg2rad(parameters[name]) for name in ("theta", "shear"))
    maps: list[tuple[bool, Any]] = [
        (parameters["theta"] != 0, [[np.cos(theta), -np.sin(theta), 0], [np.sin(theta), np.cos(theta), 0]]),
        (tx != 0 or ty != 0, [[1, 0, tx], [0, 1, ty]]),
        (parameters["shear"] != 0, [[1, -np.sin(shear), 0], [0, np.cos(shear), 0]]),
        (zx != 1 or zy != 1, [[zx, 0, 0], [0, zy, 0]]),
    ]
    down, across = height / 2 - 0.5, width / 2 - 0.5
    centre = np.array([[1, 0, down], [0, 1, across], [0, 0, 1]])
    back = np.array([[1, 0, -down], [0, 1, -across], [0, 0, 1]])
    moved = reduce(np.dot, [np.array([*rows, [0, 0, 1]], np.float64) for used, rows in maps if used])
    whole = np.dot(np.dot(centre, moved), back)
    # Keras builds it for x and y and applies it to rows and columns.
    return np.asarray(whole[[1, 0]][:, [1, 0, 2]])


def _by_scipy(frame: _Frame, matrix: NDArray[np.float64], order: int, mode: str, cval: float) -> _Frame:
    try:
        from scipy import ndimage  # noqa: PLC0415 - rarely needed, and no dependency
    except ImportError as error:
        raise EngineError(
            f"interpolation_order={order} with fill_mode={mode!r}: needs SciPy, which is not installed; "
            "pip install scipy, or use order 0 or 1 and nearest, constant, reflect or wrap"
        ) from error
    frame = frame.astype(np.float32) if frame.dtype == np.uint8 else frame
    channels = [
        ndimage.affine_transform(
            frame[:, :, channel], matrix[:, :2], matrix[:, 2], order=order, mode=mode, cval=cval
        )
        for channel in range(frame.shape[2])
    ]
    return np.stack(channels, axis=-1)


def brightness_table(brightness: float) -> NDArray[np.uint8]:
    """Return the byte that Pillow makes of each byte by a factor of brightness, uint8 (256,)."""
    values = np.float32(brightness) * np.arange(_BYTE + 1, dtype=np.float32)
    return np.asarray(np.clip(values, 0, _BYTE), np.uint8)


def _brightened(frame: _Frame, brightness: float) -> _Frame:
    """Change the brightness as Keras does: in bytes, stretched to 0 to 255 if values are outside."""
    if frame.shape[2] not in (1, 3, 4):
        raise OptionError(
            f"brightness_range= with frames of {frame.shape[2]} channels: frames must have 1, 3 or 4"
        )
    table = brightness_table(brightness)
    if frame.dtype == np.uint8:
        changed = table[frame]
        changed[:, :, 3:] = frame[:, :, 3:]  # alpha stays
        return changed
    values = np.asarray(frame, np.float32)
    least, most = frame.min(), frame.max()
    outside = bool(least < 0 or most > _BYTE)
    if outside:
        values = values - values.min()
        top = values.max()
        values = values / top * _BYTE if top != 0 else values
    pixels = values.astype(np.uint8)
    bright = table[pixels].astype(np.float32)
    bright[:, :, 3:] = pixels[:, :, 3:]
    return bright / _BYTE * (most - least) + least if outside else bright


@dataclass(frozen=True)
class Standardization:
    """Last changes of a frame's values; options of `ImageDataGenerator`.

    Parameters
    ----------
    function : UserFunction or None
        ``preprocessing_function``.
    rescale, samplewise_center, samplewise_std_normalization
        As in `ImageDataGenerator`.
    mean, std, zca_matrix : ndarray or None
        Fitted values to apply.
    """

    function: UserFunction | None = None
    rescale: float | None = None
    samplewise_center: bool = False
    samplewise_std_normalization: bool = False
    mean: NDArray[Any] | float | None = field(default=None, compare=False)
    std: NDArray[Any] | float | None = field(default=None, compare=False)
    zca_matrix: NDArray[Any] | None = field(default=None, compare=False)

    @property
    def _changes(self) -> bool:
        """Whether there is something to do after the user's function."""
        return bool(self.rescale or self._whole) or self.mean is not None or self.std is not None

    @property
    def _whole(self) -> bool:
        """Whether a value depends on others of the frame."""
        return self.samplewise_center or self.samplewise_std_normalization or self.zca_matrix is not None

    def apply(self, frame: _Frame, draw: float = 0.0) -> _Frame:
        """Standardise a frame or a batch, in the axes of the user's data format; in place where possible.

        `draw`, in [0, 1), seeds the global generators for the user's function.
        """
        if self.function is not None:
            frame = np.asarray(self.function(draw, frame))
        if not self._changes:
            return frame
        if frame.dtype.kind != "f":
            frame = frame.astype(np.float32)
        if self.rescale:
            frame *= self.rescale
        if self.samplewise_center:
            frame -= np.mean(frame, keepdims=True)
        if self.samplewise_std_normalization:
            frame /= np.std(frame, keepdims=True) + _EPSILON
        if self.mean is not None:
            frame -= self.mean
        if self.std is not None:
            frame /= self.std + _EPSILON
        if self.zca_matrix is not None:
            flat = frame.reshape(-1, self.zca_matrix.shape[0])
            frame = (flat @ self.zca_matrix).reshape(frame.shape)
        return frame

    def table(self, channels: int, *, channels_first: bool) -> NDArray[np.float32] | None:
        """Return the value of each byte, float32 (C, 256); None if it depends on more than the channel."""
        if self.function is not None or self._whole:
            return None
        shape = (channels, 1, 1) if channels_first else (1, 1, channels)
        for value in (self.mean, self.std):
            if (
                value is not None
                and np.shape(value) not in ((), (1,), shape)
                and np.shape(value) != (channels,) * (not channels_first)
            ):
                return None
        values = np.broadcast_to(np.arange(_BYTE + 1, dtype=np.float32)[:, None], (_BYTE + 1, channels))
        frame = values.T[:, :, None] if channels_first else values[:, None, :]
        done = self.apply(frame.copy())
        table = done[:, :, 0] if channels_first else done[:, 0, :].T
        return np.ascontiguousarray(table, np.float32)
