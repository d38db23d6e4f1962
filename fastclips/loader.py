"""ClipLoader: plan, engine and arena become batches, in the order of the plan.

The loader keeps a few batches in flight, always the next ones of the plan, on into the next epoch. Whoever
asks for another place (a new epoch begun early, a resume) makes it forget these and begin there: since a
batch is a function of (seed, epoch, batch) alone, nothing depends on what was in flight.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from contextlib import contextmanager
from functools import cached_property
from hashlib import blake2b
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn

import numpy as np

from fastclips.data.index import Dataset
from fastclips.engine.arena import COUNTERS
from fastclips.engine.pool import Inline, Pool
from fastclips.errors import ClosedError, EngineError, FrameError, OptionError
from fastclips.options import checked_bool, checked_bytes, checked_int
from fastclips.outputs import Outputs
from fastclips.pixels.layout import find_layout
from fastclips.pixels.transforms import compile_recipe
from fastclips.planning.choices import split_choices
from fastclips.planning.clips import ClipSampler, Videos
from fastclips.planning.draws import Draws
from fastclips.planning.launchers import resolve_rank
from fastclips.planning.plan import Plan
from fastclips.planning.weights import clip_chances
from fastclips.spec import WEIGHT, ClipSpec
from fastclips.stats import Stats, resident_bytes
from fastclips.tables import PlanTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from types import TracebackType

    import tensorflow as tf
    from numpy.typing import NDArray
    from typing_extensions import Self

    from fastclips.engine.pool import Batch, Engine
    from fastclips.pixels.steps import PixelStep
    from fastclips.pixels.transforms import GeometryTransform, ViewTransform
    from fastclips.planning.choices import FrameChoice

__all__ = ["ClipLoader"]

_PLANNED = 8  # batches whose tickets are written in one go


class _Planned(NamedTuple):
    tickets: NDArray[np.void]
    known: dict[str, NDArray[Any]]  # what the plan tells of a batch


class _Pending(NamedTuple):
    place: tuple[int, int]  # epoch, batch
    batch: Batch
    known: dict[str, NDArray[Any]]


class ClipLoader:
    """Batches of clips, decoded by worker processes ahead of time, the same ones for the same seed.

    Iterating serves one epoch and leaves the loader at the next. A batch is ``x``, ``(x, y)`` or
    ``(x, y, weight)``, of NumPy arrays that may be kept for as long as you like.

    Parameters
    ----------
    dataset : Dataset
        From `fastclips.open`.
    clips : ClipSampler
        Which clips each video gives: `Windows`, `RandomWindow`, `Segments` or `Views`.
    transforms : iterable
        What is done to each clip, in order.
    batch_size : int
        Clips in a batch.
    shuffle : bool
        Whether each epoch has an order of its own, over all clips.
    drop_last : bool
        Whether a last batch of fewer clips is left out.
    repeat : bool
        Whether iterating goes on with the next epoch, without end.
    seed : int
        Of everything random, 0 to 2**64 - 1.
    rank, world : int
        Which of how many equal parts of each epoch to read; ``rank="env"`` takes both from the launcher's
        environment. With several ranks and not `drop_last`, batches carry a weight, float32 (B,), (B, 1) or
        (B, 1, 1, 1) as the target has axes, which is 0 for the clips that fill up the last batch.
    workers : int, optional
        Worker processes; as many as there are cores by default, which is too many where several ranks share
        a machine; 0 does the work in the caller.
    memory : str or int
        Ceiling for the workers' batches in shared memory, such as ``"1GiB"``, or in bytes.
    inputs : str or sequence of str
        Stream for x; several give a dict. ``"valid"`` is (B, T) bool: which steps show a frame of their own,
        and not one that is repeated as padding.
    targets : str, sequence of str or None
        ``"label"`` or stream for y; several give a dict; None gives x alone, without a weight on several
        ranks too (`plan_table` marks the padding). ``"auto"`` is the label where there is one.
    sample_weight : array_like, mapping or "valid", optional
        A third part of each batch, float32: (B,) for one label of a clip, (B, T) for labels of frames and
        (B, T, H, W) for masks. A number for each video; or a mapping from class (name, number, or value of
        the mask) to its weight, the others weighing 1. ``"valid"`` weighs padding alone, which with labels of
        frames or masks always weighs 0, as does what a mask ignores.
    weights : "balanced", mapping or array_like, optional
        How often each clip is drawn, relative to others: all classes alike; or a number for each class, or
        for each video, that holds for each of its clips. As many clips an epoch as without, drawn with
        replacement; needs `shuffle`.
    channels_first : bool
        Whether pictures are (C, H, W) instead of (H, W, C).
    fast_dct : bool
        Whether JPEGs are decoded with libjpeg-turbo's faster inverse DCT, as TensorFlow does; False gives
        the pixels of Pillow and OpenCV.

    Raises
    ------
    OptionError
        If an argument cannot work with this data.
    FrameError
        If the first frame cannot be read.

    Examples
    --------
    >>> loader = ClipLoader(dataset, Windows(16), [RandomCrop(224)], batch_size=8)  # doctest: +SKIP
    >>> for x, y in loader:  # doctest: +SKIP
    ...     print(x.shape, y.shape)
    (8, 16, 224, 224, 3) (8,)
    """

    def __init__(
        self,
        dataset: Dataset,
        clips: ClipSampler,
        transforms: Iterable[GeometryTransform | ViewTransform | PixelStep | FrameChoice] = (),
        *,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        repeat: bool = False,
        seed: int = 0,
        rank: int | Literal["env"] = 0,
        world: int | None = None,
        workers: int | None = None,
        memory: str | int = "1GiB",
        inputs: str | Sequence[str] = "image",
        targets: str | Sequence[str] | None = "auto",
        sample_weight: object = None,
        weights: object = None,
        channels_first: bool = False,
        fast_dct: bool = True,
    ) -> None:
        cores = len(os.sched_getaffinity(0))
        self.workers = checked_int(cores if workers is None else workers, "workers", 0, 2**10)
        if not isinstance(dataset, Dataset):
            raise OptionError(f"dataset={dataset!r}: must be what fastclips.open(folder) returns")
        if isinstance(clips, type) or not isinstance(clips, ClipSampler):
            raise OptionError(f"clips={clips!r}: must be a sampler, such as Windows(time_steps=16)")
        self.dataset, index = dataset, dataset.index
        choices, transforms = split_choices(transforms)
        recipe = compile_recipe(transforms, channels_first=channels_first, time_steps=clips.time_steps)
        self.rank, self.world = resolve_rank(rank, world)
        videos = Videos(index.frame_counts, index.fps, index.names)
        if weights is not None:
            weights = clip_chances(weights, dataset, lambda: clips.clips(videos, Draws(0, 0)).video)
        self._plan = Plan(
            videos,
            clips,
            draws=recipe.draws,
            batch_size=batch_size,
            views=recipe.views,
            weights=weights,
            choices=choices,
            shuffle=shuffle,
            drop_last=drop_last,
            seed=seed,
            rank=self.rank,
            world=self.world,
        )
        self.shuffle = self._plan.shuffle
        self._repeat = checked_bool(repeat, "repeat")
        self._outputs = Outputs(
            dataset, inputs, targets, sample_weight, marks_padding=self.world > 1 and not drop_last
        )
        self._layout = find_layout(
            dataset,
            recipe,
            clips.time_steps,
            self._plan.batch_size,
            self._outputs.streams,
            weighting=self._outputs.weighting,
        )
        streams = {stream.name: stream for stream in dataset.streams}
        spec = ClipSpec(
            storage=dataset.storage,
            streams=tuple(streams[name] for name in self._outputs.streams),
            recipe=recipe,
            layout=self._layout,
            time_steps=clips.time_steps,
            fast_dct=checked_bool(fast_dct, "fast_dct"),
            weighting=self._outputs.weighting,
        )
        self._time_steps = clips.time_steps
        self._engine: Engine = (
            Pool(spec, workers=self.workers, memory=checked_bytes(memory, "memory"))
            if self.workers
            else Inline(spec)
        )
        self._owner = os.getpid()
        self._closed = False
        self._lock = threading.Lock()
        self._pending: deque[_Pending] = deque()
        self._planned: deque[_Planned] = deque()  # from `_next` on
        self._next = (0, 0)  # to be submitted
        self._place = (0, 0)  # to be served
        self._resumed = True  # whether iterating goes on at that place, or at the epoch after it
        self._turn = object()  # the iteration that may go on
        self._began: float | None = None
        self._ended = 0.0
        self._served = 0

    def __len__(self) -> int:
        """Batches per epoch."""
        return len(self._plan)

    def __iter__(self) -> Iterator[Any]:
        """Serve the next epoch, or what a loaded state left of one."""
        epoch, batch = self._place
        if batch and not self._resumed:
            epoch, batch = epoch + 1, 0
        return self.epoch(epoch, batch)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Serve a chosen epoch.

        Parameters
        ----------
        epoch : int
            Which, from 0.
        start : int
            The first batch to serve.

        Returns
        -------
        iterator
            Its batches; with ``repeat=True``, those of the epochs after it too.
        """
        epoch, start = checked_int(epoch, "epoch", 0, 2**62), checked_int(start, "start", 0, len(self) + 1)
        turn = self._go_to((epoch, start))
        return self._run(epoch, start, turn)

    def _run(self, epoch: int, start: int, turn: object) -> Iterator[Any]:
        while True:
            for batch in range(start, len(self)):
                yield self._take((epoch, batch), turn)
            if not self._repeat:
                return
            epoch, start = epoch + 1, 0

    def batch(self, epoch: int, batch: int) -> Any:  # noqa: ANN401 - the structure is the user's choice
        """Return any batch; the iteration is not moved.

        Parameters
        ----------
        epoch, batch : int
            Which, from 0.

        Returns
        -------
        tuple or array or dict
            As iterating gives it.
        """
        self._check_usable()
        with self._lock, self._whole():
            if not self._engine.has_room(beside=True):
                self._forget()
            return self._collect(self._submit((epoch, batch), next(self._plan_run((epoch, batch), 1))))

    def state_dict(self) -> dict[str, Any]:
        """Return the place in the plan, after the batches that were served.

        Returns
        -------
        dict
            Small and JSON-ready: ``epoch``, ``batch``, and what the data and options must agree with.
        """
        epoch, batch = self._place
        return {"epoch": epoch, "batch": batch, "plan": self._fingerprint}

    @cached_property
    def _fingerprint(self) -> str:
        """The plan's, and the videos' names."""
        index = self.dataset.index
        digest = blake2b(self._plan.fingerprint.encode() + index.names.digest(), digest_size=8)
        digest.update(index.starts.tobytes())
        return digest.hexdigest()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a place in the plan; the next iteration begins there.

        Parameters
        ----------
        state : mapping
            From `state_dict`, of a loader with the same data, clips, batches, seed and world.

        Raises
        ------
        OptionError
            If it is of another plan.
        """
        try:
            epoch, batch, plan = (state[name] for name in ("epoch", "batch", "plan"))
        except (KeyError, TypeError):
            raise OptionError(
                f"state={state!r} is no state of a loader; use what state_dict() gave"
            ) from None
        if plan != self._fingerprint:
            raise OptionError(
                "the state is of another plan: data, clips, batch_size, weights, shuffle, drop_last, seed, "
                "world and the transforms' views must be as they were when it was saved "
                f"(plan {plan}, here {self._fingerprint})"
            )
        epoch = checked_int(epoch, "epoch", 0, 2**62)
        batch = checked_int(batch, "batch", 0, len(self) + 1)
        self._go_to((epoch, batch))

    def _go_to(self, place: tuple[int, int]) -> object:
        """Begin anew at a place; return the turn without which nobody is served any more."""
        epoch, batch = place
        with self._lock:
            self._place = place if batch < len(self) else (epoch + 1, 0)
            self._resumed, self._turn = True, object()
            return self._turn

    def plan_table(self, epoch: int, rank: int | None = None) -> PlanTable:
        """Return an epoch's clips in served order.

        Parameters
        ----------
        epoch : int
            Which, from 0.
        rank : int, optional
            Another rank than this loader's.

        Returns
        -------
        PlanTable
            A mapping of columns: ``video``, ``start``, ``paths``, ``size``, ``label``, ``view``, ``padding``
            and more, each with an item for each clip.
        """
        return PlanTable(self._plan, self.dataset, epoch, rank)

    def stats(self) -> Stats:
        """Return what was done so far and what it took.

        Returns
        -------
        Stats
            Print it for a table and a sentence of advice.
        """
        total = dict(zip(COUNTERS, self._engine.counters.sum(axis=0).tolist(), strict=True))
        return Stats.of(
            total,
            seconds=0.0 if self._began is None else self._ended - self._began,
            frames_served=self._served * self._time_steps,
            waited_s=self._engine.waited_s,
            workers=self.workers,
            resident_bytes=resident_bytes([os.getpid(), *self.pids]),
        )

    @property
    def pids(self) -> list[int]:
        """The nursery's process and the workers', if there are any."""
        return self._engine.pids if isinstance(self._engine, Pool) and not self._closed else []

    def to_tf_dataset(self) -> tf.data.Dataset:
        """Return a `tf.data.Dataset` that serves an epoch each time it is iterated.

        Returns
        -------
        tf.data.Dataset
            Of tensors over the loader's own memory: TensorFlow copies no pixels.
        """
        from fastclips.adapters.tf import to_tf_dataset  # noqa: PLC0415 - TensorFlow is an extra

        return to_tf_dataset(self)

    def close(self) -> None:
        """End the worker processes. Batches already served stay good; closing twice is fine."""
        self._closed = True
        self._engine.close()
        if self._lock.acquire(
            timeout=1.0
        ):  # whoever waits for a batch in another thread has given up by then
            try:
                self._engine.release()
            finally:
                self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a loader has processes of its own; pickle its dataset, and make a loader there")

    def __repr__(self) -> str:
        arrays = ", ".join(
            f"{f.name} {f.dtype} {(self._plan.batch_size, *f.shape)}" for f in self._layout.fields
        )
        return f"ClipLoader({len(self)} batches of {arrays}; {self.workers} workers)"

    def _check_usable(self) -> None:
        if self._closed:
            raise ClosedError("the loader was closed; make another")
        if os.getpid() != self._owner:
            raise EngineError("this loader belongs to the process that forked this one; make another here")

    def _take(self, place: tuple[int, int], turn: object) -> Any:  # noqa: ANN401 - as batch()
        self._check_usable()
        with self._lock, self._whole():
            if turn is not self._turn:
                raise EngineError("a later iteration over this loader has begun; this one cannot go on")
            if self._began is None:
                self._began = self._ended = perf_counter()
            if not self._pending or place != self._pending[0].place:
                self._forget()
                self._next = place
            self._fill()
            pending = self._pending.popleft()
            served = self._collect(pending)
            self._fill()
            self._served += len(pending.batch.tickets)
            self._place, self._resumed = self._after(place), False
            self._ended = perf_counter()
            return served

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Forget what is in flight if anything but a bad frame, an interrupt above all, cuts work short."""
        try:
            yield
        except FrameError:
            raise
        except BaseException:
            self._forget()
            raise

    def _fill(self) -> None:
        """Submit the plan's next batches until the engine has enough; one at least."""
        while not self._pending or self._engine.has_room():
            if not self._planned:
                self._planned.extend(self._plan_run(self._next, _PLANNED))
            self._pending.append(self._submit(self._next, self._planned.popleft()))
            self._next = self._after(self._next)

    def _forget(self) -> None:
        """Give up what is in flight; it will be asked for again if it is wanted."""
        if self._pending:
            self._next = self._pending[0].place
        self._pending.clear()
        self._planned.clear()
        self._engine.forget()

    def _after(self, place: tuple[int, int]) -> tuple[int, int]:
        epoch, batch = place
        return (epoch, batch + 1) if batch + 1 < len(self) else (epoch + 1, 0)

    def _plan_run(self, place: tuple[int, int], batches: int) -> Iterator[_Planned]:
        index, steps = self.dataset.index, self._time_steps
        for tickets, padding in self._plan.run(*place, batches):
            videos, frames = tickets["video"].copy(), tickets["frames"]
            known = self._outputs.known(videos, frames[:, :steps], padding)
            starts = index.starts[videos][:, None].astype(np.int32)
            tickets["frames"] = np.where(frames < 0, frames - starts, frames + starts)  # ~(f + s) is ~f - s
            tickets["video"] = index.keys[videos]
            if self._outputs.weighting is not None:
                tickets["weight"] = known[WEIGHT]
            yield _Planned(tickets, known)

    def _submit(self, place: tuple[int, int], planned: _Planned) -> _Pending:
        return _Pending(place, self._engine.submit(planned.tickets), planned.known)

    def _collect(self, pending: _Pending) -> Any:  # noqa: ANN401 - as batch()
        return self._outputs.assemble({**pending.known, **self._engine.collect(pending.batch)})
