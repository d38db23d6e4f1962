"""
The native core: the arena in shared memory, decoding of regions of JPEGs, transcoding, reading of files.
"""

from collections.abc import Iterator
import enum
from typing import Annotated, Any, overload

import numpy
from numpy.typing import NDArray
from typing_extensions import CapsuleType


CACHE_LINE: int = 64

PAGE: int = 4096

NOTE_BYTES: int = 1016

TAR_BLOCK: int = 512

NPY_MAGIC: bytes = ...

JPEG_PIXELS_PER_BYTE: int = 512

SMALLEST_JPEG: int = 8

HELD: int = 16

FILLED: int = 17

def die_with_parent(signal: int) -> None:
    """
    Ask the kernel to send this process a signal when the thread that forked it ends.
    """

def end_threads() -> None:
    """
    Let no other thread of this process return from native code that runs without the GIL.
    """

def libjpeg_turbo() -> str:
    """
    Return the version of the libjpeg-turbo that this module was built with.
    """

class Rung(enum.IntEnum):
    """The ways a frame is decoded, cheapest first. All give the same pixels."""

    SLICED = 0
    """
    The blocks around the box of a JPEG, from the restart markers before them.
    """

    CROPPED = 1
    """
    The blocks around the box of a JPEG; of the blocks before them, only code lengths and DC values are read.
    """

    WHOLE = 2
    """A whole JPEG, or usual PNG."""

    PILLOW = 3
    """A whole file of another format, by Pillow."""

    ARRAY = 4
    """Nothing to decode: pixels were given."""

class Method(enum.Enum):
    """How pixels are resampled."""

    LINEAR = 0
    """As cv2.resize does with INTER_LINEAR, bit for bit."""

    NEAREST = 1
    """The pixel in which the position lies."""

class Fill(enum.Enum):
    """The pixels around a frame abcd."""

    NEAREST = 0
    """aa|abcd|dd"""

    REFLECT = 1
    """ba|abcd|dc"""

    WRAP = 2
    """cd|abcd|ab"""

def jpeg_size(data: object) -> tuple[int, int] | None:
    """Height and width of a JPEG with a usual header; None for other files."""

DCT_MAGIC: bytes = ...

def dct_size(data: object) -> tuple[int, int]:
    """
    Height and width of a dct frame, once its checksum is verified; ValueError if it is damaged.
    """

class Crop:
    """
    The same box of frames of one size, and how it is written to rows of an output.
    """

    def __init__(self, size: tuple[int, int], box: tuple[int, int, int, int], scale: int = 1, *, mirrored: bool = False, flipped: bool = False, method: Method = ..., table: NDArray[Any] | None = None, channels_first: bool = False, bypass_cache: bool = False, warp: tuple[tuple[int, int, int], tuple[int, int, int], Fill] | None = None) -> None:
        """
        A box of another size than the output's rows is resampled by the method. `mirrored` reverses left and right, `flipped` top and bottom. `table`, (channels, 256), has the value for each byte of each channel. `warp` has `row`, `column` and `fill` of `fastclips._native.warp`, from pixels of the box.
        """

class RegionDecoder:
    """
    Decodes boxes of JPEGs and dct frames, one at a time. Not thread-safe; no file may change during a call.
    """

    def __init__(self, *, gray: bool, fast_dct: bool) -> None: ...

    def decode(self, data: bytes | bytearray | memoryview, output: object, box: tuple[int, int, int, int], scale: int) -> tuple[int, int, int, int, int, int, int] | int | None:
        """
        Decode the pixels of (top, left, bottom, right), and some around them, to a buffer.

        Returns (rung, top, left, height, width, offset, stride): the `Rung`, at most WHOLE; offset and stride of the output in bytes, the rest in pixels of the scaled frame. If the output is too small, returns the bytes needed; if the file is unusual or damaged, None.
        """

    def decode_crops(self, files: Files | list[bytes | bytearray | memoryview], rows: list[int], crop: Crop, output: NDArray[Any]) -> bytes:
        """
        Decode the same box of several files into rows of an output, (rows, height, width, channels).

        Returns a byte for each file: the `Rung`, or more than WHOLE if the file has another size, is unusual or damaged; its row then holds anything.
        """

    def share_crops(self, area: FrameArea, files: Files | list[bytes | bytearray | memoryview], video: int, frames: list[int], slots: list[int], rows: list[int], crop: Crop, output: NDArray[Any]) -> bytes:
        """
        Decode files whole into frame slots, and their box into rows of an output.

        Returns a byte for each file: HELD if it was copied from its slot, FILLED, or as `decode_crops`, where the slot belongs to another frame or worker.
        """

class PngDecoder:
    """Decodes usual PNG files into memory that each call uses again."""

    def __init__(self) -> None: ...

    def decode(self, data: bytes | bytearray | memoryview, output: NDArray[numpy.uint8], indices: bool) -> bool:
        """
        Write the pixels of a file to an output, (H, W, C), of its size.

        `indices`: those of a palette are taken as pixels, too. Returns False if the file is unusual or damaged, which is left to Pillow; the output then holds anything.
        """

def write_crops(frames: list[NDArray[Any]], rows: list[int], crop: Crop, output: NDArray[Any]) -> bytes:
    """
    Write the same box of frames of pixels into rows of an output.

    Returns a byte for each frame: ARRAY, or another one if it has not the crop's size and the output's channels, is not of uint8, or the pixels of a row do not lie together.
    """

class FrameArea:
    """One stream's area of all frame slots, as a worker sees it."""

    def __init__(self, slots: FrameSlots, *, area: int, offset: int, bytes: int, pixel: int, format: int, worker: int, loader: int | None = None) -> None: ...

    def set_number(self, number: int) -> None:
        """Set the number of the ticket that is rendered."""

    def fits(self, height: int, width: int, scale: int) -> bool:
        """Whether a frame of a size, decoded at a scale, has room."""

    def look(self, slot: int, video: int, frame: int) -> tuple[int, int, int, int, int, int] | None:
        """
        (word, height, width, scale asked for, scale, rung) of a frame in a slot; None if the slot does not hold it.
        """

    def unchanged(self, slot: int, word: int) -> bool:
        """Whether a slot holds what `look` has returned this word for."""

    def pixels(self, slot: int) -> Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C')]:
        """The memory of a slot; write to it only after `claim`."""

    def claim(self, slot: int) -> bool | None:
        """
        Take a slot to fill it: True; False if it is not to be changed; None if another worker fills it.
        """

    def finish(self, slot: int, video: int, frame: int, size: tuple[int, int], asked: int, scale: int, rung: int) -> None:
        """Publish what was written to a claimed slot."""

    def abandon(self, slot: int) -> None:
        """Give a claimed slot back, empty."""

    def wait(self, slot: int, timeout_ms: int) -> None:
        """Wait while another worker fills a slot, but not longer."""

    def copy_crops(self, video: int, frames: list[int], slots: list[int], rows: list[int], crop: Crop, output: NDArray[Any]) -> bytes:
        """
        Copy a box of frames from their slots into rows of an output.

        Returns a byte for each frame: HELD, or another one if the slot does not hold it; its row then holds anything.
        """

def to_dct(data: bytes, usual: bool = False) -> bytes | None:
    """
    A dct frame of the coefficients of a JPEG; None if the JPEG is unusual or damaged, or they do not fit.

    With `usual`, also None if `transcode` might refuse the JPEG.
    """

def from_dct(data: bytes, around: bytes | None = None) -> bytes:
    """
    A JPEG of the coefficients of a dct frame.

    `around` is the JPEG without its scan, as `around_scan` returns it; without it, the file has the standard Huffman tables.
    """

def around_scan(data: bytes) -> bytes | None:
    """
    What a JPEG has before its scan and behind it; None if it is no usual JPEG.
    """

def hand_over(array: object) -> CapsuleType:
    """
    A DLPack capsule of a C-contiguous array. What takes it keeps the array alive, and may let it go in any thread: see native/handed.h.
    """

def drop_ended() -> None:
    """
    Let the arrays go that were handed over, and whose tensors have died since.
    """

class FrameSlots:
    """Memory for decoded frames: see native/frame_slots.h."""

    def __init__(self, *, frames: int, areas: int, frame_bytes: int) -> None: ...

    @staticmethod
    def nbytes_of(*, frames: int, areas: int, frame_bytes: int) -> int:
        """Bytes that so many frame slots would take."""

    @staticmethod
    def attach(fd: int) -> FrameSlots:
        """Map the frame slots that another process made."""

    @property
    def fd(self) -> int:
        """Descriptor of memory of their own; -1 for those of an arena."""

    def __len__(self) -> int: ...

    @property
    def stride(self) -> int:
        """Bytes of a frame slot."""

    def mark_held(self, videos: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], frames: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], slots: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], first: int, held: Annotated[NDArray[numpy.bool_], dict(shape=(None, None), order='C', device='cpu')]) -> None:
        """
        Mark the frames of tickets that are in their slots, whose numbers begin at `first`.
        """

    @property
    def used(self) -> int:
        """How many slots hold a frame."""

    def free(self, worker: int | None = None, loader: int | None = None) -> int:
        """
        Free the areas that dead workers were filling: that worker, or all of a loader; returns how many.
        """

class State(enum.Enum):
    """The state of a cell's ticket."""

    EMPTY = 0

    READY = 1

    CLAIMED = 2

    DONE = 3

    FAILED = 4

class Arena:
    """
    Shared memory of one loader; states are atomics, waits are futexes.

    Each row of a slot has a cell: cell = slot * rows + row.
    """

    def __init__(self, *, slots: int, rows: int, workers: int, ticket_bytes: int, slot_bytes: int, frames: int = 0, areas: int = 0, frame_bytes: int = 0, ahead_bytes: int = 0) -> None: ...

    @staticmethod
    def nbytes_of(*, slots: int, rows: int, workers: int, ticket_bytes: int, slot_bytes: int, frames: int = 0, areas: int = 0, frame_bytes: int = 0, ahead_bytes: int = 0) -> int:
        """Bytes that an arena would take."""

    @staticmethod
    def attach(fd: int) -> Arena:
        """Map the arena that another process made."""

    @property
    def fd(self) -> int: ...

    @property
    def slots(self) -> int: ...

    @property
    def rows(self) -> int: ...

    @property
    def frame_slots(self) -> FrameSlots:
        """Its frame slots."""

    @property
    def ahead_bytes(self) -> int:
        """Bytes of the byte slot of each cell; 0 if there are none."""

    @property
    def nbytes(self) -> int: ...

    def slot(self, slot: int) -> Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C')]:
        """The bytes of a slot, page-aligned; the array keeps the arena alive."""

    def tickets(self) -> Annotated[NDArray[numpy.uint8], dict(shape=(None, None))]:
        """The tickets of all cells, (cells, ticket_bytes)."""

    def counters(self) -> Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C')]:
        """One row of float64 counters per worker, which only that worker writes."""

    def publish(self, slot: int, number: int, tickets: bytes) -> None:
        """
        Write tickets into the first rows of a settled slot, ready to be claimed.
        """

    def cancel(self, slot: int) -> None:
        """Cancel the tickets that no worker has claimed."""

    def settled(self, slot: int) -> bool:
        """Whether no row is READY or CLAIMED."""

    def wait(self, slot: int, timeout_ms: int) -> bool:
        """Wait for a slot to settle; False after a signal or the timeout."""

    def claim(self, worker: int, timeout_ms: int) -> tuple[int, int] | None:
        """Claim the oldest READY ticket: (cell, number); None after the timeout."""

    def claim_read(self, fetcher: int, timeout_ms: int) -> tuple[int, int] | None:
        """
        Claim the byte slot of the oldest READY ticket that nobody reads for: (cell, number); None after the timeout.
        """

    def byte_slot(self, cell: int) -> Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C')]:
        """
        The byte slot of a cell, page-aligned; the array keeps the arena alive.
        """

    def finish_read(self, cell: int, fetcher: int, ok: bool) -> bool:
        """
        Publish what was written into a byte slot, or give it up; False if the fetcher does not hold it.
        """

    def take_bytes(self, cell: int, number: int, timeout_ms: int) -> bool:
        """
        Whether the byte slot has the bytes of a claimed ticket, after waiting for the fetcher that reads them; if not, no fetcher begins to read them.
        """

    def free_reads(self, fetcher: int) -> int:
        """Free the byte slots that a dead fetcher was filling; how many."""

    def byte_word(self, cell: int) -> tuple[int, int, int]:
        """
        The (number, fetcher, state) of a byte slot; states are 0 empty, 1 filling, 2 full.
        """

    def finish(self, cell: int, worker: int, ok: bool) -> bool:
        """
        Settle a claim as DONE or FAILED; False if the worker does not hold it.
        """

    def reissue(self, cell: int, dead: int) -> bool:
        """
        Make the ticket of a dead worker READY again; False if it does not hold it.
        """

    def claimed_by(self, worker: int) -> list[int]:
        """The cells that a worker has claimed."""

    def count_death(self, cell: int) -> int:
        """
        Add 1 to the workers that crashed over this ticket, and return the sum.
        """

    def deaths(self, cell: int) -> int:
        """How many workers crashed over this ticket."""

    def failed(self, slot: int) -> int | None:
        """The first FAILED cell of a settled slot; None if there is none."""

    def noted(self, slot: int) -> list[int]:
        """The DONE cells of a settled slot that have a note."""

    def set_note(self, cell: int, text: bytes) -> None:
        """
        Note why a ticket failed or which frames were replaced, in up to NOTE_BYTES.
        """

    def note(self, cell: int) -> bytes:
        """The note of a cell."""

    def word(self, cell: int) -> tuple[int, int, State]:
        """A cell's (number, worker, state)."""

    @property
    def last_words(self) -> bytes:
        """Why the nursery gave up; empty if it did not."""

    @last_words.setter
    def last_words(self, arg: bytes, /) -> None: ...

    def discard(self) -> None:
        """
        Return the memory to the kernel; processes that still map it read zeros.
        """

class FramePlanner:
    """Assigns frame slots to the frames of tickets, by their next uses."""

    def __init__(self, *, slots: int, least_uses: int, margin: float, rest: int, room: int) -> None: ...

    @property
    def ahead(self) -> int:
        """Uses of frames in the window."""

    @property
    def counts(self) -> tuple[int, int, int, int]:
        """
        (uses, hits, fills, lost) that were assigned: lost are frames that are used again, but for which no slot was left.
        """

    @property
    def used(self) -> int:
        """How many slots hold a frame."""

    def restart(self) -> None:
        """
        Empty the window, since the plan goes on elsewhere; slots still hold their frames.
        """

    def extend(self, videos: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], frames: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], scales: Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C', device='cpu', writable=False)]) -> int:
        """
        Add tickets at the end of the window; returns how many there was room for.
        """

    def assign(self, videos: Annotated[NDArray[numpy.int64], dict(shape=(None,), order='C', device='cpu', writable=False)], frames: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu', writable=False)], slots: Annotated[NDArray[numpy.int32], dict(shape=(None, None), order='C', device='cpu')]) -> bool:
        """
        Take tickets off the start of the window and write the slot of each time step, -1 for none; False if they are not the next ones.
        """

class Files:
    """The bytes of several files, read together: a sequence."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int) -> memoryview: ...

    def __iter__(self) -> Iterator[memoryview]: ...

    @property
    def nbytes(self) -> int:
        """Bytes of all files."""

class MemberRun:
    """Members of one tar that lie close together, and are read in one call."""

    @property
    def shard(self) -> int:
        """Number of the tar."""

    @property
    def begin(self) -> int:
        """First byte, of the first header, counted through all tars."""

    @property
    def end(self) -> int:
        """End of the last member."""

    @property
    def first(self) -> int:
        """Offset of the first member that was asked for, from `begin`."""

    def cut(self, data: bytes | memoryview) -> Files | None:
        """
        The members, in the run's bytes; None if a header gives another size, or a member is a .npy file.
        """

class MemberTable:
    """
    Where the members of one stream lie: the columns of `fastclips.data.pack_storage`.
    """

    def __init__(self, ends: list[int], firsts: NDArray[numpy.int64], counts: NDArray[numpy.int64], begins: NDArray[numpy.int64], bases: NDArray[numpy.int64], blocks: NDArray[numpy.uint32], lengths: NDArray[numpy.uint32]) -> None: ...

    def find(self, video: int, frames: list[int]) -> MemberRun | None:
        """
        The run of some frames of a video. None if they are not read in one call, a frame has no member, or there is no such frame.
        """

def read_files(folder: bytes, names: list[bytes]) -> Files | tuple[int, int]:
    """
    Read files of a folder.

    If one cannot be read, returns its number and errno instead, 0 for an empty file.
    """

def find_members(data: bytes | memoryview, starts: list[int], lengths: list[int]) -> tuple[list[memoryview], bool]:
    """
    Views of a tar's members, and whether any of them is a .npy file.

    Ends before the first member that is empty, or whose header gives another size.
    """

def transcode(data: bytes, restart: int) -> bytes:
    """
    Write a JPEG as a baseline JPEG with a restart marker about every `restart` MCUs.
    """

def blur(frame: NDArray[numpy.float32], weights: list[float], output: NDArray[numpy.float32]) -> None:
    """Convolve a frame, (H, W, C), with symmetric weights, down and across."""

def mix_channels(frame: NDArray[numpy.float32], matrix: list[float], output: NDArray[numpy.float32]) -> None:
    """
    Make each channel a weighted sum of all; the matrix by rows, one for each result.
    """

def rotate_hue(frame: NDArray[numpy.float32], degrees: float) -> None:
    """Turn the hue of a frame, (H, W, 3), in place, by 0 to 360 degrees."""

def raise_saturation_value(frame: NDArray[numpy.float32], saturation: float, value: float) -> None:
    """
    Raise saturation and value of a frame, (H, W, 3) of 0 to 255, to powers, in place.
    """

@overload
def raise_to(values: NDArray[numpy.float32], exponent: float) -> None: ...

@overload
def raise_to(values: NDArray[numpy.float64], exponent: float) -> None:
    """
    Raise float32 or float64 values, C-contiguous, to a power by the C library, in place.
    """

def find_moments(frame: NDArray[numpy.float32]) -> tuple[float, float]:
    """
    Return mean and standard deviation of all values of a frame, (H, W, C), summed in order.
    """

def multiply(rows: NDArray[numpy.float32], matrix: NDArray[numpy.float32], output: NDArray[numpy.float32]) -> None:
    """Multiply rows, (T, n), by a matrix, (n, n), each sum in one order."""

def shrink(frame: NDArray[numpy.uint8], output: NDArray[numpy.uint8]) -> None:
    """
    Shrink a frame, (H, W, C), to the size of an output, (h, w, C), by means of areas.
    """

def stretch(frame: NDArray[numpy.uint8], mirrored: bool, flipped: bool, method: Method, output: NDArray[numpy.uint8]) -> None:
    """
    Resample a frame, (H, W, C), to the size of an output, (h, w, C).

    `mirrored` reverses left and right of the output, `flipped` top and bottom.
    """

def stretch_floats(frame: NDArray[numpy.uint8], output: NDArray[numpy.float32]) -> None:
    """
    Resample a frame, (H, W, C), bilinearly to the size of an output, (h, w, C), unrounded.
    """

POINT_BITS: int = 32

def warp(frame: NDArray[numpy.uint8], row: tuple[int, int, int], column: tuple[int, int, int], fill: Fill, output: NDArray[numpy.uint8]) -> None:
    """
    Resample a frame, (H, W, C), bilinearly into an output, (h, w, C); C is 1 or 3.

    `row` and `column` give the position in the frame of the output's pixels, from centre to centre, with POINT_BITS bits behind the point: the change with each row and with each column of the output, and the position of its first pixel.
    """
