"""Frames that are parts of arrays: layer A, beside `storage.FolderStorage`.

An array holds N videos of T frames: pictures as (N, T, H, W, C), masks as (N, T, H, W), all uint8. A frame is
already pixels, so nothing is decoded. ::

    array, or list of arrays     copied once into `Columns`, which all processes share
    x.npy, or a memmap of it     left where it is: each frame is read when it is wanted

A file is read by pread and never mapped: cutting a mapped file short kills its readers, while a short read is
an error with a name. Each process opens it for itself, when it first reads from it, and looks whether it is
still the same array.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy

from fastclips.data.columns import Columns
from fastclips.data.storage import Storage
from fastclips.errors import DataError, FrameError, OptionError
from fastclips.options import first_few

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import ArrayLike, NDArray

__all__ = ["ArrayStorage", "Npy", "find_array"]

_PICTURE, _MASK = "(N, T, H, W, C)", "(N, T, H, W)"
_CHANNELS = (1, 3)
_CHANNELS_AXIS = 2  # of pictures from where channels come first: (N, T, C, H, W)


class ArrayStorage(Storage):
    """Videos that are arrays, in memory or in .npy files; made by `open`.

    Parameters
    ----------
    columns : Columns
        The streams that are in memory.
    files : mapping of str to Npy
        The streams that are in files.
    names : mapping of str to str
        What to call each stream in messages, in the order of the streams.
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
        masks: Collection[str] = (),
    ) -> ArrayStorage:
        """Make a storage of arrays.

        What is in memory is copied once, into memory that workers share; free the original if you can. What
        is in a .npy file, given by its path or as ``np.load(path, mmap_mode="r")``, is not copied; a part of
        such a map, or any other map, is.

        Parameters
        ----------
        images : array_like, path, or mapping of str to either
            The one stream ``"image"``, or each stream by its name. Pictures are uint8, (N, T, H, W, C) with
            C = 3 (RGB) or 1 (gray); masks are uint8 or bool, (N, T, H, W). N, T, H and W are those of all.
        masks : collection of str
            Names of the streams whose frames are label maps. A bool becomes 0 or 1. Names that no stream has
            are ignored.

        Returns
        -------
        ArrayStorage

        Raises
        ------
        OptionError
            An array is of another dtype or shape, or streams differ in N, T, H or W.
        DataError
            A file cannot be read, is no .npy file, is cut short or is in Fortran order.
        """
        several = isinstance(images, Mapping)
        sources: dict[str, Any] = dict(images) if isinstance(images, Mapping) else {"image": images}
        if not sources:
            raise OptionError("images={} names no stream: give an array, or a dict such as {'image': array}")
        names = {stream: f"images[{stream!r}]" if several else "images" for stream in sources}
        masks = (masks,) if isinstance(masks, str) else masks
        found = {stream: find_array(source, names[stream]) for stream, source in sources.items()}
        for stream, array in found.items():
            _check(array, names[stream], mask=stream in masks)
        _check_alike({names[stream]: array.shape for stream, array in found.items()})
        files = {stream: array for stream, array in found.items() if isinstance(array, Npy)}
        arrays = {stream: array.view("u1") for stream, array in found.items() if not isinstance(array, Npy)}
        return cls(Columns.pack(arrays), files, names)

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, in the order they were given."""
        return tuple(self._names)

    @property
    def videos(self) -> int:
        """How many videos there are: N."""
        return int(next(iter(self._shapes.values()))[0])

    @property
    def frames(self) -> int:
        """How many frames each video has: T."""
        return int(next(iter(self._shapes.values()))[1])

    def channels(self, stream: str) -> int:
        """Return how many channels a stream's frames have: 3 or 1; a mask has 1."""
        return int((*self._shapes[stream], 1)[4])

    def read(self, stream: str, video: int, frame: int) -> NDArray[np.uint8]:
        """Return one whole frame, which is already decoded.

        Parameters
        ----------
        stream : str
            Name of the stream.
        video, frame : int
            Its place, from 0.

        Returns
        -------
        ndarray of uint8
            (H, W, C), or (H, W) of a mask. C-contiguous; not to be written into.

        Raises
        ------
        IndexError
            There is no such frame.
        FrameError
            The file was cut short, removed or changed since it was opened; the message holds its path.
        """
        videos, frames, *size = self._shapes[stream]
        if not (0 <= video < videos and 0 <= frame < frames):
            raise IndexError(f"there is no frame {frame} of video {video} in {self._names[stream]}")
        file = self._files.get(stream)
        if file is None:
            pixels: NDArray[np.uint8] = self._columns[stream][video, frame]
            return pixels
        pixels = np.empty(size, np.uint8)
        try:
            file.read_into(pixels.reshape(-1).data, (video * frames + frame) * pixels.size)
        except DataError as error:
            where = self.where(stream, video, frame)
            raise FrameError(f"cannot read frame {where}: {error}. Open the dataset again") from error
        return pixels

    def where(self, stream: str, video: int, frame: int) -> str:
        """Return a frame's place, such as ``images[12, 3]`` or ``/data/x.npy[12, 3]``, for messages."""
        file = self._files.get(stream)
        return f"{self._names[stream] if file is None else file.path}[{video}, {frame}]"


class _Header(NamedTuple):
    """What a .npy file says of itself."""

    shape: tuple[int, ...]
    dtype: str
    offset: int


class Npy:
    """An array in a .npy file. Picklable, and open only in processes that read from it.

    Parameters
    ----------
    path : str
        Absolute.
    header : tuple
        What the file said of itself when it was first opened.
    shape : tuple of int
        How to see the array, in C order.
    """

    __slots__ = ("__weakref__", "_fds", "_header", "path", "shape")

    def __init__(self, path: str, header: _Header, shape: tuple[int, ...]) -> None:
        self.path = path
        self.shape = shape
        self._header = header
        self._fds: list[int] = []  # several where threads were at it together: the first one is used
        weakref.finalize(self, _close, self._fds).atexit = False

    def __reduce__(self) -> tuple[type[Npy], tuple[str, _Header, tuple[int, ...]]]:
        return Npy, (self.path, self._header, self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The array's type."""
        return np.dtype(self._header.dtype)

    def read_into(self, out: memoryview, start: int) -> None:
        """Fill `out` with the array's bytes from `start` on.

        Raises
        ------
        DataError
            The file cannot be read, or holds another array than when it was first opened.
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
                raise DataError(f"{self.path!r}: {error.strerror}") from error
            if not got:
                raise DataError("the file was cut short")
            done += got


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _opened(path: str) -> tuple[int, _Header]:
    """Open a .npy file that holds all that its header says, in C order."""
    try:
        file = Path(path).open("rb")  # noqa: SIM115 - its descriptor is duplicated, then it is closed
    except OSError as error:
        raise DataError(f"cannot open {path!r}: {error.strerror}") from error
    with file:
        try:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read(file)
        except (OSError, ValueError) as error:
            raise DataError(f"{path!r} is no .npy file: {error}. Write it by np.save") from error
        if fortran:
            raise DataError(
                f"{path!r} is in Fortran order, in which a frame is scattered over the whole file: write it "
                "again, by np.save(path, np.ascontiguousarray(array))"
            )
        header = _Header(shape, dtype.str, file.tell())
        size, needed = os.fstat(file.fileno()).st_size, header.offset + prod(shape) * dtype.itemsize
        if size < needed:
            raise DataError(f"{path!r} is cut short: {size} bytes of {needed}. Write it again")
        return os.dup(file.fileno()), header


def find_array(source: Any, name: str) -> Npy | NDArray[Any]:  # noqa: ANN401 - whatever the user gave
    """Return the file or the array that a source is.

    Parameters
    ----------
    source : array_like, path or memmap
        A path, or a map of the whole of a .npy file, stays a file.
    name : str
        What to call it in messages.

    Returns
    -------
    Npy or ndarray

    Raises
    ------
    OptionError
        If it is no array.
    DataError
        If a file cannot be read, is no .npy file, is cut short or in Fortran order.
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
            f"{name} is a masked array, whose mask would be lost: give filled(), and it as a stream"
        )
    error = None
    try:
        array = np.asarray(source)
    except ValueError as ragged:
        error = ragged
    if error is None and array.dtype.kind != "O":
        return array
    if not isinstance(source, Iterable):
        raise OptionError(f"{name}={source!r} is no array {_PICTURE}")
    shapes = dict.fromkeys(getattr(video, "shape", None) for video in source)
    raise OptionError(
        f"{name}: videos of different shapes, {first_few(list(shapes))}, make no array {_PICTURE}: cut "
        "them to one length and size, or keep them as folders of frames"
    ) from error


def _file_of(array: np.memmap[Any, Any]) -> Npy | None:
    """Return the .npy file that a map is the whole of, unless changes to the map stay out of the file."""
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
        raise OptionError(f"{where}: {dtype}, but masks are uint8 or bool: convert it to uint8, 0 to 255")
    if not mask and dtype != np.uint8:
        raise OptionError(
            f"{where}: {dtype}, but pictures are uint8: scale it to 0..255 and convert it to uint8; let "
            "Normalize make floats of it"
        )
    if 0 in shape:
        raise OptionError(f"{where}: empty, but it must be {_MASK if mask else _PICTURE}, each at least 1")
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


def _check_alike(shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raise OptionError unless all streams have the same videos, frames and size."""
    first = next(iter(shapes))
    for name, shape in shapes.items():
        if shape[:4] != shapes[first][:4]:
            raise OptionError(
                f"{first} is {shapes[first]} and {name} is {shape}: streams must agree in {_MASK}, their "
                "videos, frames, height and width"
            )
