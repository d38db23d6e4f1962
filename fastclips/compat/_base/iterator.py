"""The iterator that every generator of compat returns: batches without end, which Keras's ``fit`` takes, too.

A subclass describes samples; order, randomness, serving and Keras are the iterator's. ::

    clips, draws                   arguments of `Iterator`: the files of each sample, and the size of the next
    draw(random, samples)          a RandomState -> (B, draws) float64, for the tickets
    spec()                         how to render: a `fastclips.spec.RenderSpec` with `self.ticket_dtype` and
                                   batches of `self.rows` rows; called for the first batch
    assemble(arrays)               rendered arrays by name, ``"draws"``, and ``"samples"``, the batch's sample
                                   numbers -> ``x`` or a tuple, as the user gets it
    version()                      the objects that `spec` depends on and that may be replaced; if they are,
                                   `spec` is called again

The renderer gets tickets (`fastclips.compat._base.tickets`). Only workers import the renderer.

**Order and randomness** are those of Keras's own iterator under ``next()``, from private generators: epoch e
has the order ``RandomState(seed + e * len).permutation(n)`` (if shuffled), and the numbers of batch b are
drawn from ``RandomState(seed + e * len + b)``, after the permutation for b = 0. Without a seed, one is drawn
once. So a batch is a function of (seed, epoch, batch), for any number of workers.

**Serving.** ``next()`` serves batch after batch without end, each sample once per epoch. ``it[i]`` serves any
batch of the present epoch, and reads ahead while ``i`` goes up by one. ``fit`` gets each batch of the epoch
once, in order (`fastclips.adapters.passes`). The processes start with the first batch, and end with `close`,
or with the iterator.

Each of these is a *reader*: ``next()``, ``it[i]``, each pass of ``fit``, and each loop over a dataset
(`fastclips.compat._base.epochs`). All readers share one engine, so several at a time need no more processes
or memory. The engine reads ahead for one of them: a reader that asks twice in a row, or whose predecessor is
gone. The other readers get the same batches, rendered when they are asked for.

**Keras.** ``fit`` takes a `PyDataset` (Keras 3) or a `Sequence` (Keras 2, tf_keras), so an iterator becomes
one when it is made: of ``keras`` and ``tf_keras``, whichever is imported. If none is, Keras is imported if it
is installed (``tf_keras`` if TF_USE_LEGACY_KERAS asks for it). Importing this module imports neither.
"""

from __future__ import annotations

import threading
import weakref
from operator import is_not
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol

import numpy as np

from fastclips.adapters.passes import Passes, as_tuple, asked_by_keras
from fastclips.compat._base.fixed import AGAIN, AS_ARGUMENT, Fixed
from fastclips.compat._base.keras import as_keras_dataset
from fastclips.compat._base.tickets import sample_ticket
from fastclips.compat._base.warn import warn
from fastclips.errors import ClosedError, FrameError, OptionError
from fastclips.options import checked_bool, checked_bytes, checked_int, checked_workers
from fastclips.serving.batches import Batches
from fastclips.serving.schedule import Planned
from fastclips.serving.state import Identity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from collections.abc import Iterator as AnyIterator
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from fastclips.serving.stats import Stats
    from fastclips.spec import RenderSpec

__all__ = ["Iterator", "Reader", "Samples", "checked_batch", "drawn_seed"]

_SEEDS = 2**32  # what a RandomState takes
_ORDERS = 3  # orders of epochs that are kept: of an epoch, of the one read ahead, of another reader's


class Samples(Protocol):
    """The files of samples, such as `fastclips.compat._base.videos.Clips`."""

    @property
    def time_steps(self) -> int:
        """Files of a sample, T."""

    def __len__(self) -> int:
        """Return the number of samples."""

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the files of samples, (B, T)."""

    def videos(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of each sample's video, for messages, (B,)."""


class Reader:
    """Somebody that asks for batches in turn; see the module's documentation."""

    __slots__ = ("__weakref__",)


def _nobody() -> None:
    """Stand for a weak reference to a reader that is gone."""


class Iterator(Fixed, Passes):
    """Batches of samples without end, and the `fastclips.serving.batches.Schedule` of these batches.

    Parameters
    ----------
    clips : Samples
        The files of each sample; at least one sample.
    batch_size : int
        Samples in a batch; the last batch of an epoch may be smaller.
    shuffle : bool
        Whether each epoch has an order of its own.
    seed : int or None
        0 to 2**32 - 1; None draws a seed.
    draws : int
        Random numbers of a sample's ticket.
    drop_last : bool
        Whether a smaller last batch is left out.
    workers : int or None
        Worker processes; by default as many as cores; with 0 the caller does the work.
    memory : str or int
        Ceiling for the workers' batches in shared memory.
    use_multiprocessing, max_queue_size
        Arguments of Keras; ``use_multiprocessing=True`` is ignored with a warning.
    time_steps : int, optional
        Frames of a sample, if they are not its files: a row of an array may be a clip.

    Attributes
    ----------
    n, samples : int
        Samples in an epoch.
    batch_size, shuffle, seed
        As given; `seed` is the drawn one if none was given.
    batch_index : int
        The batch that ``next()`` serves next.
    time_steps : int
        Frames of a sample.
    total_batches_seen : int
        Batches served by ``next()``, by index and to ``fit``.
    epoch : int
        The epoch that is being served.

    Raises
    ------
    OptionError
        If an argument is out of range.

    Examples
    --------
    >>> batches = fc.compat.ImageDataGenerator().flow(np.zeros((5, 4, 4, 3)), batch_size=2, workers=0)
    >>> isinstance(batches, fc.compat.Iterator), [len(next(batches)) for _ in range(4)]
    (True, [2, 2, 1, 2])
    """

    _fixed: ClassVar[Mapping[str, str]] = {
        **dict.fromkeys(("batch_size", "shuffle", "seed"), AS_ARGUMENT),
        **dict.fromkeys(("n", "samples", "rows", "time_steps", "ticket_dtype"), AGAIN),
        **dict.fromkeys(("index_array", "index_generator"), "seed= and shuffle= decide the order"),
        **dict.fromkeys(("batch_index", "total_batches_seen"), "reset() begins a new epoch"),
    }

    def __new__(cls, *_: object, **__: object) -> Self:
        """Make it a dataset of the Keras that is imported or installed."""
        made: Self = object.__new__(as_keras_dataset(cls))
        return made

    def __init__(
        self,
        clips: Samples,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        *,
        draws: int = 0,
        drop_last: bool = False,
        workers: int | None = None,
        memory: str | int = "1GiB",
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,  # noqa: ARG002 - Keras's, of its own queue
        time_steps: int | None = None,
    ) -> None:
        super().__init__()
        self.use_multiprocessing = use_multiprocessing
        self._clips, self.time_steps = clips, clips.time_steps if time_steps is None else time_steps
        self.n = self.samples = checked_int(len(clips), "n", 1, 2**62)
        self.batch_size = checked_int(batch_size, "batch_size", 1)
        self._shuffled = checked_bool(shuffle, "shuffle")
        self.seed = drawn_seed() if seed is None else checked_int(seed, "seed", 0, _SEEDS)
        self._batch_index = 0
        self._seen = 0
        self.rows = min(self.batch_size, self.n)
        self.ticket_dtype = sample_ticket(clips.time_steps, draws)
        self._length = self.n // self.batch_size if drop_last else -(-self.n // self.batch_size)
        if not self._length:
            raise OptionError(
                f"batch_size={batch_size}: must be at most {self.n} (samples) with drop_last=True"
            )
        self._processes = checked_workers(workers, shared=True)
        checked_bytes(memory, "memory")
        self._memory = memory
        self._lock = threading.RLock()
        self._shared_random = np.random.RandomState()
        self._batches: Batches | None = None
        self._version: tuple[object, ...] = ()  # held, or another object might get the id of one
        self._closed = False
        self._served: int | None = None  # the epoch of the batch that next() served last, if that is known
        self._indexed = (0, -1)  # epoch and batch last asked for by index
        self._next_reader, self._index_reader = Reader(), Reader()
        self._ahead: Callable[[], Reader | None] = _nobody  # the reader for which the engine reads ahead
        self._asked: Callable[[], Reader | None] = _nobody  # the reader that asked last
        self._orders: dict[int, tuple[NDArray[np.int64], Any]] = {}  # of the epochs that were served last

    # --- what a subclass says

    def frames(self, samples: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the file numbers of samples (B,) for their tickets, (B, T)."""
        return self._clips.frames(samples)

    def draw(self, random: np.random.RandomState, samples: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return numbers (B, draws) drawn for samples (B,) from the batch's own generator."""
        del random
        return np.zeros((len(samples), self.ticket_dtype["draws"].shape[0]))

    def spec(self) -> RenderSpec:
        """Return how a batch is rendered."""
        raise NotImplementedError

    def version(self) -> tuple[object, ...]:
        """Return other objects, by ``is``, whenever `spec` or `draw` would give other results."""
        return ()

    def assemble(self, arrays: Mapping[str, NDArray[Any]]) -> Any:  # noqa: ANN401 - the user's choice
        """Make a batch as the user gets it; here x or (x, y), as rendered.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            What was rendered, by field; ``"draws"``, (B, draws); ``"samples"``, sample numbers, int64 (B,).

        Returns
        -------
        array or tuple
            ``x``, ``(x, y)`` or ``(x, y, weight)``; several inputs or targets as tuples.
        """
        return (arrays["x"], arrays["y"]) if "y" in arrays else arrays["x"]

    # --- the schedule

    @property
    def identity(self) -> Identity:
        """What decides the order of batches."""
        order = {"samples": self.n, "shuffle": self._shuffled, "seed": self.seed}
        return Identity(self.batch_size, 1, {"order": order}, "")

    def batches_in(self, epoch: int) -> int:  # noqa: ARG002 - all epochs are alike
        """Return the number of batches in an epoch."""
        return self._length

    def position(self, epoch: int, batch: int) -> int:  # noqa: ARG002 - as above
        """Return the number of samples of an epoch before a batch."""
        return batch * self.batch_size

    def resume(self, epoch: int, position: int) -> None:
        """Refuse: what is drawn for a sample depends on the number of its batch."""
        raise OptionError(f"position={position} of epoch {epoch}: batches begin at 0 in every epoch")

    def run(self, epoch: int, batch: int, most: int) -> AnyIterator[Planned]:
        """Plan up to `most` batches in a row."""
        for number in range(batch, min(batch + most, self._length)):
            yield self._plan(epoch, number)

    @property
    def batch_index(self) -> int:
        """The batch that ``next()`` serves next."""
        return self._batch_index

    @property
    def total_batches_seen(self) -> int:
        """Batches served by ``next()``, by index and to ``fit``."""
        return self._seen

    @property
    def shuffle(self) -> bool:
        """Whether each epoch has an order of its own."""
        return self._shuffled

    @property
    def index_array(self) -> NDArray[np.int64]:
        """The order of the epoch that is being served, (n,); not to be changed.

        After the last batch of an epoch by ``next()``, still the order of that epoch.
        """
        with self._lock:
            return self._order(self.epoch if self._served is None else self._served)[0]

    def _random(self, epoch: int, batch: int) -> np.random.RandomState:
        """Return the shared generator, seeded anew: 50 times as fast as making one. Hold the lock."""
        self._shared_random.seed((self.seed + epoch * self._length + batch) % _SEEDS)
        return self._shared_random

    def _order(self, epoch: int) -> tuple[NDArray[np.int64], Any]:
        """Return an epoch's order, and the state of the generator after it was drawn."""
        found = self._orders.pop(epoch, None)
        if found is None:
            random = self._random(epoch, 0)
            order = np.asarray(random.permutation(self.n) if self._shuffled else np.arange(self.n), np.int64)
            order.flags.writeable = False
            found = order, random.get_state()
            self._orders = {other: self._orders[other] for other in list(self._orders)[1 - _ORDERS :]}
        self._orders[epoch] = found
        return found

    def _plan(self, epoch: int, batch: int) -> Planned:
        """Return a batch's tickets."""
        order, state = self._order(epoch)
        samples = order[batch * self.batch_size : (batch + 1) * self.batch_size]
        random = self._random(epoch, batch)
        if batch == 0:
            random.set_state(state)
        tickets = np.zeros(len(samples), self.ticket_dtype)
        tickets["epoch"] = epoch
        tickets["sample"], tickets["video"] = samples, self._clips.videos(samples)
        tickets["frames"] = self.frames(samples)
        tickets["draws"] = draws = self.draw(random, samples)
        return Planned(tickets, {"samples": samples, "draws": draws})

    # --- serving

    def _serving(self) -> Batches:
        """Return the engine, started again if the version has changed."""
        if self._closed:
            raise ClosedError("the iterator was closed; make a new one")
        version = self.version()
        changed = any(map(is_not, version, self._version))
        if self._batches is not None and changed:
            self._batches.close()
            self._batches = None
        if self._batches is None:
            self._version = version
            schedule = weakref.proxy(self)  # so both end together
            self._batches = Batches(schedule, self.spec(), workers=self._processes, memory=self._memory)
        return self._batches

    def _in_turn(self, reader: Reader, epoch: int, batch: int) -> Any:  # noqa: ANN401 - as assemble()
        """Serve a reader's next batch. Hold the lock."""
        self._seen += 1
        batches, ahead = self._serving(), self._ahead()
        if ahead is not None and reader not in (ahead, self._asked()):
            self._asked = weakref.ref(reader)
            return batches.batch(epoch, batch)
        self._ahead = self._asked = weakref.ref(reader)
        return next(batches.epoch(epoch, batch))

    def _leave(self, reader: Reader) -> None:
        """Let another reader be read ahead: this one has ended."""
        if self._ahead() is reader:
            self._ahead = _nobody

    def _begin(self, epoch: int, start: int) -> AnyIterator[Any]:
        self._batch_index, self._served = 0, None
        return _InTurn(weakref.ref(self), epoch, start)

    def _by_index(self, index: int, *, probe: bool) -> Any:  # noqa: ANN401 - as assemble()
        if probe and self._endless:
            index %= len(self)
        if not -len(self) <= index < len(self):
            raise OptionError(f"it[{index}]: there are {len(self)} batches, 0 to {len(self) - 1}")
        place = self.epoch, range(len(self))[index]
        with self._lock:
            if probe:
                return as_tuple(self._serving().batch(*place))
            self._served = None
            sequential = place == (self._indexed[0], self._indexed[1] + 1)
            self._indexed = place
            if sequential and place[1]:
                return self._in_turn(self._index_reader, *place)
            self._seen += 1
            return self._serving().batch(*place)

    def __len__(self) -> int:
        """Batches in an epoch."""
        asker = asked_by_keras(self, "__len__")
        if asker is not None and asker.f_code.co_name == "generator_fn":  # Keras 2 begins an epoch
            self._begin_pass(asker)
        return self._length

    def __iter__(self) -> Self:
        """Return itself: the batches of ``next()``."""
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - as assemble()
        """Serve the next batch; after the last one of an epoch, the first one of the next."""
        with self._lock:
            place = self.epoch, self._batch_index
            after = (place[0], place[1] + 1) if place[1] + 1 < self._length else (place[0] + 1, 0)
            try:
                batch = self._in_turn(self._next_reader, *place)
            except FrameError:
                self.epoch, self._batch_index = after  # a caller that catches it goes on with the next batch
                raise
            self.epoch, self._batch_index = after
            self._served = place[0]
            return batch

    def next(self) -> Any:  # noqa: ANN401 - as assemble()
        """Serve the next batch, as the built-in ``next`` does."""
        return next(self)

    def reset(self) -> None:
        """Begin a new epoch with the next batch, unless it would be one anyway."""
        with self._lock:
            self._served = None
            if self._batch_index:
                self.epoch, self._batch_index = self.epoch + 1, 0

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; Keras calls it, and loops over ``it[i]`` do."""
        asker = asked_by_keras(self, "on_epoch_end")
        self._served = None
        if asker is None or asker.f_code.co_name == "_run":  # Keras 2's queue for workers
            self.epoch, self._batch_index = self.epoch + 1, 0
        else:
            super().on_epoch_end()

    def _warn(self, option: str) -> None:
        warn(self._ignoring(option))

    def stats(self) -> Stats:
        """Return counts and times so far; printed, a table and a sentence of advice."""
        with self._lock:
            return self._serving().stats()

    def close(self) -> None:
        """End the worker processes and free the frames kept; batches already served stay valid."""
        self._closed = True
        batches, self._batches = self._batches, None  # holds the frames kept, without workers too
        if batches is not None:
            batches.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an iterator has worker processes and cannot be pickled: make it in the process that uses it"
        )

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {self.n} samples in {self._length} batches of {self.batch_size}, "
            f"{self._processes} workers>"
        )


class _InTurn(Reader):
    """An epoch of an iterator, batch after batch; other requests in between do not affect it."""

    def __init__(self, owner: Callable[[], Iterator | None], epoch: int, start: int) -> None:
        self._owner, self._place = owner, (epoch, start)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:  # noqa: ANN401 - as Iterator.assemble()
        owner = self._owner()
        if owner is not None and self._place[1] == len(owner) and owner._endless:  # noqa: SLF001 - a part of it
            self._place = self._place[0] + 1, 0
        if owner is None or self._place[1] == len(owner):
            if owner is not None:
                owner._leave(self)  # noqa: SLF001 - as above
            raise StopIteration
        with owner._lock:  # noqa: SLF001 - a part of it
            batch = owner._in_turn(self, *self._place)  # noqa: SLF001 - as above
        self._place = self._place[0], self._place[1] + 1
        return batch


def checked_batch(batch_size: int | None) -> int:
    """Return a batch size; None, with which Keras serves samples without batches, is refused."""
    if batch_size is None:
        raise OptionError("batch_size=None: must be an integer from 1; give batch_size=1 for single samples")
    return checked_int(batch_size, "batch_size", 1)


def drawn_seed() -> int:
    """Return a seed from the system's entropy."""
    return int(np.random.SeedSequence().generate_state(1)[0])
