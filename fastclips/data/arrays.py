"""Frames that are parts of arrays: a storage, layer A.

An array holds N videos of T frames: pictures as (N, T, H, W, C), masks as (N, T, H, W), both uint8; numbers
likewise. Frames are
pixels already, so nothing is decoded. ::

    array, or list of arrays     copied once into `Columns`, which all processes share
    x.npy, or a memmap of it     read in place, frame by frame

A file is read by pread and never mapped: truncating a mapped file kills its readers, while a short read is an
error with the file's name. Each process opens the file before its first read, and checks that it still holds
the same array.
"""

from __future__ import annotations

import errno
import os
import stat
import weakref
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy

from fastclips.data.columns import Columns
from fastclips.data.storage import Storage
from fastclips.errors import DataError, FrameError, OptionError, why_failed
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ArrayStorage", "Npy", "find_array", "open_npy", "read_header"]

_PICTURE, _MASK = "(N, T, H, W, C)", "(N, T, H, W)"
_VERSIONS = ((1, 0), (2, 0), (3, 0))
_HEADER = 10_000  # bytes of a header, as NumPy's own limit
_BELOW = 2**48  # for the sizes of axes
_CHANNELS = (1, 3)
_FIELDS = {  # dtypes, shapes, and number of axes and channels of each kind that is no picture
    "flow": (("float32",), "(N, T, H, W, 2)", ((5, 2),)),
    "depth": (("uint8", "uint16", "float32"), "(N, T, H, W) or (N, T, H, W, 1)", ((4,), (5, 1))),
}
_CHANNELS_AXIS = 2  # the axis of the channels in (N, T, C, H, W)


class ArrayStorage(Storage):
    """Videos in arrays, in memory or in .npy files. Made by `open`.

    Parameters
    ----------
    columns : Columns
        The streams in memory.
    files : mapping of str to Npy
        The streams in files.
    names : mapping of str to str
        The name of each stream in messages, in the order of the streams.
    """

    __slots__ = ("_columns", "_files", "_names", "_shapes")

    def __init__(self, columns: Columns, files: Mapping[str, Npy], names: Mapping[str, str]) -> None:
        self._columns = columns
        self._files = dict(files)
        self._names = dict(names)
        self._shapes = {name: (files[name] if name in files else columns[name]).shape for name in names}

    def __reduce__(self) -> tuple[type[ArrayStorage], tuple[Columns, dict[str, Npy], dict[str, str]]]:
        return ArrayStorage, (self._columns, self._files, self._names)

    @classmethod
    def open(
        cls,
        images: ArrayLike | str | os.PathLike[str] | Mapping[str, ArrayLike | str | os.PathLike[str]],
        kinds: Mapping[str, str] | None = None,
        own_sizes: Collection[str] = (),
    ) -> ArrayStorage:
        """Make a storage of arrays.

        An array in memory is copied once, into memory that workers share; delete the original if possible. A
        .npy file, given by its path or as ``np.load(path, mmap_mode="r")``, is not copied; a part of such a
        map, or any other map, is copied.

        Parameters
        ----------
        images : array_like, path, or mapping of str to either
            The stream ``"image"``, or each stream by name. Pictures are uint8, (N, T, H, W, C) with C = 3
            (RGB) or 1 (gray); masks are uint8 or bool, (N, T, H, W); flow is float32, (N, T, H, W, 2); depth
            is uint8, uint16 or float32, (N, T, H, W) or (N, T, H, W, 1). N, T, H and W are the same in all
            streams.
        kinds : mapping of str to str, optional
            Kind of each stream that is no picture: see `StreamSpec`. Bools of masks become 0 or 1. Unknown
            names are ignored.
        own_sizes : collection of str
            Names of the streams whose H and W may differ from those of other streams.

        Returns
        -------
        ArrayStorage

        Raises
        ------
        OptionError
            An array has another dtype or shape, or streams differ in N, T, H or W.
        DataError
            A file cannot be read, is not a .npy file, is truncated, or is in Fortran order.
        """
        several = isinstance(images, Mapping)
        sources: dict[str, Any] = dict(images) if isinstance(images, Mapping) else {"image": images}
        if not sources:
            raise OptionError("images={}: must name a stream, as in images={'image': array}")
        names = {stream: f"images[{stream!r}]" if several else "images" for stream in sources}
        kinds = kinds or {}
        found = {stream: find_array(source, names[stream]) for stream, source in sources.items()}
        for stream, array in found.items():
            kind = kinds.get(stream, "image")
            if kind in _FIELDS:
                _check_field(array, names[stream], kind)
            else:
                _check(array, names[stream], mask=kind == "mask")
        _check_alike(
            {names[stream]: array.shape for stream, array in found.items() if stream not in own_sizes}
        )
        _check_alike({names[stream]: array.shape for stream, array in found.items()}, axes=2)
        files = {stream: array for stream, array in found.items() if isinstance(array, Npy)}
        arrays = {
            stream: array.view("u1") if array.dtype == np.bool_ else array
            for stream, array in found.items()
            if not isinstance(array, Npy)
        }
        return cls(Columns.pack(arrays), files, names)

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in the given order."""
        return tuple(self._names)

    @property
    def videos(self) -> int:
        """Number of videos, N."""
        return int(next(iter(self._shapes.values()))[0])

    @property
    def frames(self) -> int:
        """Number of frames of each video, T."""
        return int(next(iter(self._shapes.values()))[1])

    def channels(self, stream: str) -> int:
        """Return the number of channels of a stream, 3 or 1; masks have 1."""
        return int((*self._shapes[stream], 1)[4])

    def dtype(self, stream: str) -> str:
        """Return NumPy's name of the type of a stream."""
        return np.dtype((self._files[stream] if stream in self._files else self._columns[stream]).dtype).name

    def read(self, stream: str, video: int, frame: int) -> NDArray[Any]:
        """Return the pixels of a frame, as `Storage.read`: C-contiguous, and not to be modified."""
        videos, frames, *size = self._shapes[stream]
        if not (0 <= video < videos and 0 <= frame < frames):
            raise IndexError(f"there is no frame {frame} of video {video} in {self._names[stream]}")
        file = self._files.get(stream)
        if file is None:
            pixels: NDArray[Any] = self._columns[stream][video, frame]
            return pixels
        pixels = np.empty(size, np.uint8 if file.dtype == np.bool_ else file.dtype)
        try:
            file.read_into(pixels.reshape(-1).view("u1").data, (video * frames + frame) * pixels.nbytes)
        except DataError as error:
            path = self.where(stream, video, frame)
            raise FrameError(
                f"cannot read frame {path}: {error}. Open the dataset again",
                path=path,
                reason=str(error),
                video=video,
                frame=frame,
            ) from error
        return pixels

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return a frame's place for messages, such as ``images[12, 3]`` or ``/data/x.npy[12, 3]``."""
        file = self._files.get(stream)
        return f"{self._names[stream] if file is None else file.path}[{video}, {frame}]"


class _Header(NamedTuple):
    """The header of a .npy file."""

    shape: tuple[int, ...]
    dtype: str
    offset: int


class Npy:
    """An array in a .npy file. Picklable; open only in processes that read from it.

    Parameters
    ----------
    path : str
        Absolute path.
    header : tuple
        The file's header when it was first opened.
    shape : tuple of int
        Shape of the array in C order.
    """

    __slots__ = ("__weakref__", "_fds", "_header", "path", "shape")

    def __init__(self, path: str, header: _Header, shape: tuple[int, ...]) -> None:
        self.path = path
        self.shape = shape
        self._header = header
        self._fds: list[int] = []  # several if threads opened the file at once: the first is used
        weakref.finalize(self, _close, self._fds).atexit = False

    def __reduce__(self) -> tuple[type[Npy], tuple[str, _Header, tuple[int, ...]]]:
        return Npy, (self.path, self._header, self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's dtype."""
        return np.dtype(self._header.dtype)

    def read_into(self, out: memoryview, start: int) -> None:
        """Fill `out` with the array's bytes from `start` on.

        Raises
        ------
        DataError
            The file cannot be read, or no longer holds the same array.
        """
        if not self._fds:
            fd, header = _opened(self.path)
            if header != self._header:
                os.close(fd)
                raise DataError(f"the file now holds {header.shape}, no longer {self._header.shape}")
            self._fds.append(fd)
        done = 0
        while done < len(out):
            try:
                got = os.preadv(self._fds[0], [out[done:]], self._header.offset + start + done)
            except OSError as error:
                raise DataError(f"{self.path!r}: {why_failed(error)}") from error
            if not got:
                raise DataError("the file was truncated")
            done += got


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _opened(path: str) -> tuple[int, _Header]:
    """Open a .npy file; check that it is complete and in C order."""
    try:
        file = open_npy(Path(path))
    except OSError as error:
        raise DataError(f"cannot open {path!r}: {why_failed(error)}") from error
    with file:
        try:
            shape, fortran, dtype = read_header(file)
        except (OSError, ValueError) as error:
            raise DataError(f"{path!r} is not a .npy file: {error}. Write it with np.save") from error
        if fortran:
            raise DataError(
                f"{path!r} is in Fortran order, which scatters a frame over the whole file: write it again "
                "with np.save(path, np.ascontiguousarray(array))"
            )
        header = _Header(shape, dtype.str, file.tell())
        size, needed = os.fstat(file.fileno()).st_size, header.offset + prod(shape) * dtype.itemsize
        if size < needed:
            raise DataError(f"{path!r} is truncated: {size} bytes of {needed}. Write it again")
        try:
            return os.dup(file.fileno()), header
        except OSError as error:
            raise DataError(f"cannot open {path!r}: {why_failed(error)}") from error


def open_npy(path: Path) -> BinaryIO:
    """Open a .npy file; raise OSError if it cannot be opened, or is a FIFO or a device, which might wait."""
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return file


def read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, Fortran order and dtype from the header of a .npy file, which is then read past.

    Raises
    ------
    ValueError
        The header is damaged or too long, or the array holds Python objects.
    OSError
        The file cannot be read.
    """
    version = npy.read_magic(file)
    if version not in _VERSIONS:
        raise ValueError(f"its format version {version} is not one of {_VERSIONS}")
    size = 2 if version == (1, 0) else 4
    length = int.from_bytes(file.read(size), "little")
    if length > _HEADER:
        raise ValueError(f"its header of {length} bytes is longer than {_HEADER}")
    file.seek(-size, os.SEEK_CUR)
    try:
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read(file)
    except (OSError, ValueError):
        raise
    except Exception as error:  # NumPy evaluates the header as Python, with any error
        raise ValueError(f"its header cannot be parsed ({type(error).__name__})") from error
    if not all(type(size) is int and 0 <= size < _BELOW for size in shape):
        raise ValueError(f"its shape {shape} is not possible")
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return shape, fortran, dtype


def find_array(source: Any, name: str) -> Npy | NDArray[Any]:  # noqa: ANN401 - any argument of the user
    """Return the file or the array of a source.

    Parameters
    ----------
    source : array_like, path or memmap
        A path, or a map of a whole .npy file, gives an `Npy`.
    name : str
        Its name in messages.

    Raises
    ------
    OptionError
        The source is not an array.
    DataError
        A file cannot be read, is not a .npy file, is truncated, or is in Fortran order.
    """
    if isinstance(source, (str, os.PathLike)):
        path = str(Path(source).absolute())
        fd, header = _opened(path)
        os.close(fd)
        return Npy(path, header, header.shape)
    if isinstance(source, np.memmap) and (file := _file_of(source)) is not None:
        return file
    if isinstance(source, np.ma.MaskedArray):
        raise OptionError(
            f"{name} is a masked array, whose mask would be lost: give array.filled(), "
            "and the mask as a stream"
        )
    error = None
    try:
        array = np.asarray(source)
    except ValueError as ragged:
        error = ragged
    if error is None and array.dtype.kind != "O":
        return array
    if not isinstance(source, Iterable):
        raise OptionError(f"{name}={source!r}: must be an array {_PICTURE}")
    shapes = dict.fromkeys(getattr(video, "shape", None) for video in source)
    raise OptionError(
        f"{name}: videos have different shapes, {first_few(list(shapes))}, but must make an array "
        f"{_PICTURE}: cut them to one length and size, or keep them as folders of frames"
    ) from error


def _file_of(array: np.memmap[Any, Any]) -> Npy | None:
    """Return the .npy file that a memmap maps completely; None for other or copy-on-write maps."""
    if array.filename is None or array.mode == "c" or not array.flags.c_contiguous:
        return None
    path = str(array.filename)
    try:
        fd, header = _opened(path)
    except DataError:
        return None
    size = os.fstat(fd).st_size
    os.close(fd)
    whole = header.offset == array.offset and size == array.offset + array.nbytes
    if not whole or header.dtype != array.dtype.str or prod(header.shape) != array.size:
        return None
    return Npy(path, header, array.shape)


def _check(found: Npy | NDArray[Any], name: str, *, mask: bool) -> None:
    """Raise OptionError unless the dtype and the shape are those of pictures, or of masks."""
    dtype, shape = found.dtype, found.shape
    where, value = f"{name} of shape {shape}", name
    if isinstance(found, Npy):
        where, value = f"{where} in {found.path!r}", f"np.load({found.path!r}, mmap_mode='r')"
    if mask and dtype not in (np.uint8, np.bool_):
        raise OptionError(f"{where}: {dtype}, but masks must be uint8 or bool: convert it to uint8, 0 to 255")
    if not mask and dtype != np.uint8:
        raise OptionError(
            f"{where}: {dtype}, but pictures must be uint8: scale it to 0..255 and convert it to uint8; "
            "Normalize makes floats of it"
        )
    if 0 in shape:
        raise OptionError(f"{where}: empty, but must be {_MASK if mask else _PICTURE}, each at least 1")
    if mask:
        if len(shape) != len("NTHW"):
            hint = f"; give {value}[..., 0]" * (shape[4:] == (1,))
            raise OptionError(f"{where}: masks must be {_MASK}{hint}")
    elif len(shape) == len("NTHW"):
        raise OptionError(
            f"{where}: pictures must be {_PICTURE}; give {value}[..., None] if they are gray, {value}[None] "
            "if this is one video, or name the stream in masks= if these are label maps"
        )
    elif len(shape) != len("NTHWC"):
        raise OptionError(f"{where}: pictures must be {_PICTURE}")
    elif shape[-1] not in _CHANNELS:
        hint = f"; give np.moveaxis({value}, 2, -1)" * (shape[_CHANNELS_AXIS] in _CHANNELS)
        raise OptionError(f"{where}: pictures must be {_PICTURE} with C = 3 (RGB) or 1 (gray){hint}")


def _check_field(found: Npy | NDArray[Any], name: str, kind: str) -> None:
    """Raise OptionError unless the dtype and the shape are those of flow, or of depth."""
    dtype, shape = found.dtype, found.shape
    dtypes, shapes, channels = _FIELDS[kind]
    if dtype.name not in dtypes or not dtype.isnative:
        raise OptionError(
            f"{name} of shape {shape}: {dtype}, but {kind} must be {' or '.join(dtypes)}: convert it by "
            f"astype(np.{dtypes[-1]})"
        )
    if 0 in shape or (len(shape), *shape[4:]) not in channels:
        raise OptionError(f"{name} of shape {shape}: {kind} must be {shapes}, each at least 1")


def _check_alike(shapes: Mapping[str, tuple[int, ...]], axes: int = 4) -> None:
    """Raise OptionError unless all streams have the same videos and frames and, with 4 axes, one size."""
    first = next(iter(shapes), "")
    for name, shape in shapes.items():
        if shape[:axes] != shapes[first][:axes]:
            alike = "the videos and frames"
            if axes > 2:  # noqa: PLR2004 - videos, frames
                alike = (
                    "the videos, frames, height and width; if they are another camera's, or On resizes them, "
                    "declare them by Stream(array)"
                )
            raise OptionError(
                f"{first} is {shapes[first]} and {name} is {shape}: streams must agree in "
                f"{_MASK if axes > 2 else '(N, T)'}, {alike}"  # noqa: PLR2004 - videos, frames
            )
