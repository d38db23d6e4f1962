"""
The arena, slots and tickets in one shared memfd; regions of JPEGs, and JPEGs made baseline.
"""

import enum
from typing import Annotated

import numpy
from numpy.typing import NDArray


CACHE_LINE: int = 64

PAGE: int = 4096

NOTE_BYTES: int = 1016

TAR_BLOCK: int = 512

NPY_MAGIC: bytes = ...

JPEG_PIXELS_PER_BYTE: int = 512

SMALLEST_JPEG: int = 8

class Rung(enum.IntEnum):
    """The ways a frame is decoded, cheapest first. All give the same pixels."""

    SLICED = 0
    """
    A JPEG's blocks around the box, from the restart markers before them on.
    """

    CROPPED = 1
    """
    A JPEG's blocks around the box; of the blocks before them only code lengths and DC values are read.
    """

    WHOLE = 2
    """A whole JPEG."""

    PILLOW = 3
    """A whole file of another format, by Pillow."""

    ARRAY = 4
    """Nothing to decode: pixels were given."""

class State(enum.Enum):
    """What a cell's word says of its ticket."""

    EMPTY = 0

    READY = 1

    CLAIMED = 2

    DONE = 3

    FAILED = 4

def die_with_parent(signal: int) -> None:
    """
    Have this process killed by a signal when the thread that forked it ends.
    """

class Arena:
    """
    Shared memory of one loader; states are atomics, waits are futexes.

    A cell is a slot's row: cell = slot * rows + row.
    """

    def __init__(self, *, slots: int, rows: int, workers: int, ticket_bytes: int, slot_bytes: int) -> None: ...

    @staticmethod
    def nbytes_of(*, slots: int, rows: int, workers: int, ticket_bytes: int, slot_bytes: int) -> int:
        """How many bytes an arena would take."""

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
    def nbytes(self) -> int: ...

    def slot(self, slot: int) -> Annotated[NDArray[numpy.uint8], dict(shape=(None,), order='C')]:
        """Bytes of a slot, page-aligned; the array keeps the arena alive."""

    def tickets(self) -> Annotated[NDArray[numpy.uint8], dict(shape=(None, None))]:
        """Bytes of every cell's ticket, (cells, ticket_bytes)."""

    def counters(self) -> Annotated[NDArray[numpy.float64], dict(shape=(None, None), order='C')]:
        """One row of float64 counters per worker, written by that worker alone."""

    def publish(self, slot: int, number: int, tickets: bytes) -> None:
        """Write tickets into a settled slot's first rows and hand them out."""

    def cancel(self, slot: int) -> None:
        """Take back what no worker has claimed."""

    def settled(self, slot: int) -> bool:
        """Whether no row is asked for or being written."""

    def wait(self, slot: int, timeout_ms: int) -> bool:
        """Wait for a slot to settle; False after a signal or the timeout."""

    def claim(self, worker: int, timeout_ms: int) -> tuple[int, int] | None:
        """Claim the oldest ready ticket: (cell, number)."""

    def finish(self, cell: int, worker: int, ok: bool) -> bool:
        """
        Settle a claim as DONE or FAILED; False if the worker does not hold it.
        """

    def reissue(self, cell: int, dead: int) -> bool:
        """Make a dead worker's ticket ready again."""

    def claimed_by(self, worker: int) -> list[int]:
        """Cells that a worker holds."""

    def count_death(self, cell: int) -> int:
        """Count a death over this ticket: how many now."""

    def failed(self, slot: int) -> int | None:
        """The first FAILED cell of a settled slot, if there is one."""

    def noted(self, slot: int) -> list[int]:
        """The DONE cells of a settled slot that have a note."""

    def set_note(self, cell: int, text: bytes) -> None:
        """Say why a ticket fails, or what its row lacks; cut to NOTE_BYTES."""

    def note(self, cell: int) -> bytes:
        """What set_note said."""

    def word(self, cell: int) -> tuple[int, int, State]:
        """A cell's (number, worker, state)."""

    @property
    def last_words(self) -> bytes:
        """Why the nursery gave up; empty while it has not."""

    @last_words.setter
    def last_words(self, arg: bytes, /) -> None: ...

    def discard(self) -> None:
        """Give the memory back; whoever still maps it reads zeros."""

def read_files(folder: bytes, names: list[bytes]) -> list[memoryview] | tuple[int, int]:
    """
    Read files of a folder, in one go.

    Or say which place cannot be read, and the error's number: 0 if that file is empty.
    """

def find_members(data: bytes, starts: list[int], lengths: list[int]) -> tuple[list[memoryview], bool]:
    """
    Views of a tar's members, and whether any is a .npy file.

    As far as each has bytes, and the header before it says how many.
    """

def jpeg_size(data: object) -> tuple[int, int] | None:
    """Height and width, if this is a JPEG with a header of a usual kind."""

class RegionDecoder:
    """
    Decodes boxes of JPEGs, one after the other; not for two threads at once. No file may change meanwhile.
    """

    def __init__(self, *, gray: bool, fast_dct: bool) -> None: ...

    def decode(self, data: bytes | bytearray | memoryview, output: object, box: tuple[int, int, int, int], scale: int) -> tuple[int, int, int, int, int, int, int] | int | None:
        """
        Write the pixels of (top, left, bottom, right), and what comes with them, to a buffer.

        Returns (rung, top, left, height, width, offset, stride): the `Rung`, at most WHOLE; the output's offset and stride in bytes, the rest in pixels of the scaled frame. Or how many bytes the output must have; or None if this is declined, for another decoder.
        """

    def decode_crops(self, files: list[bytes | bytearray | memoryview], rows: list[int], size: tuple[int, int], box: tuple[int, int, int, int], scale: int, mirrored: bool, bypass_cache: bool, output: NDArray[numpy.uint8]) -> bytes:
        """
        Write the same box of files into rows of an output, (rows, height, width, channels).

        Returns a byte for each file: the `Rung`; or more than WHOLE if the frame is not of that size, or declined, and then its row holds anything.
        """

def transcode(data: bytes, restart: int) -> bytes:
    """
    The same picture as a baseline JPEG with a restart marker about every `restart` MCUs.
    """
