"""Keras: a loader as a `keras.utils.PyDataset`, and a callback that saves its place.

Keras asks a PyDataset for more than an epoch's batches: 0 and 1 to learn their shapes, one more to build the
model, up to eight that it reads ahead and drops; a callback may look at some as well. With ``shuffle``, the
default, it also asks in an order of its own. What Keras trains on comes through a generator of its own,
which runs to its end in one epoch, or with ``steps_per_epoch`` in several, on TensorFlow in another thread.
So a request is answered by who asks:

- the generator that began last gets the plan's next batch, whatever index it asks for. That is a *pass*:
  it serves one epoch of the plan, each batch once, from the loader's pipeline;
- anyone else gets the batch of the index, and nothing of the plan is consumed;
- a generator that began earlier was given up, as by an interrupted fit, and gets an error, which is seen only
  if someone still listens.

Nothing in PyDataset says who asks, but the caller's frame does. Every generator asks for ``num_batches``
first, which begins its pass. Keras asks for it outside of a generator only when it starts over: the pass
until then, unless its end was told, was a probe or broken off, and its epoch is served again. An epoch is
over when Keras says so::

    fit            num_batches                 a pass still open is given up, and its epoch begun again
                   0, 1                        by index (TensorFlow)
                   a generator, one batch      a pass (JAX, torch, MirroredStrategy build the model so)
                   num_batches, on_epoch_end   the pass is given up: the epoch begins again
      each epoch   on_epoch_begin
                   a generator, all batches    a pass
                   on_epoch_end                the epoch is over

What was asked for is therefore not what was trained on; only a callback knows that: `ClipCheckpoint`.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import warnings
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from fastclips.batches import Batches
from fastclips.errors import EngineError, OptionError
from fastclips.options import checked_int

try:
    import keras
except ImportError as error:
    raise ImportError(
        'this needs Keras 3: pip install "fastclips[tensorflow]"; or pip install "fastclips[keras]" beside '
        f"JAX or torch, and set KERAS_BACKEND to jax or torch ({error})"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType


__all__ = ["ClipCheckpoint", "ClipSequence"]


class _Pass(NamedTuple):
    generator: int  # id of its frame; a later one with the same id begins a pass of its own
    epoch: int
    start: int
    batches: Iterator[Any]


class ClipSequence(keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """A loader's epochs for ``fit``, ``evaluate`` and ``predict``, on any backend of Keras.

    Each epoch of Keras is an epoch of the loader's plan, every clip once and in the plan's order, whatever
    ``fit(shuffle=...)`` says. One that is broken off is served again, from its first batch, by the next call.
    Indexing gives any batch of the epoch that is being served, or comes next.

    Parameters
    ----------
    loader : ClipLoader or Batches
        What to serve; training and validation each need one of their own.
    epoch : int
        The first epoch to serve.
    workers, use_multiprocessing, max_queue_size
        As for `keras.utils.PyDataset`, and ignored: the loader has workers of its own, and Keras's, if there
        are several, repeat batches and lose others.

    Attributes
    ----------
    loader : ClipLoader or Batches
        As given.
    epoch : int
        The epoch that is being served, or comes next.
    start : int
        The first batch of it to serve: 0, unless resumed inside an epoch.

    Notes
    -----
    To change batches on their way, override ``__getitem__``: a PyDataset around this one is served by index,
    always the same epoch.
    TensorFlow keeps what it was given to ``fit`` until the process ends: close the loader to end its workers.

    Examples
    --------
    >>> model.fit(ClipSequence(loader), validation_data=ClipSequence(other), epochs=10)  # doctest: +SKIP
    """

    def __init__(
        self,
        loader: Batches,
        *,
        epoch: int = 0,
        workers: int = 1,
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ) -> None:
        if not isinstance(loader, Batches):
            raise OptionError(f"loader={loader!r}: must be a fastclips.ClipLoader")
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=max_queue_size)
        self.workers, self.use_multiprocessing = workers, use_multiprocessing
        self.loader = loader
        self.epoch, self.start = checked_int(epoch, "epoch", 0, 2**62), 0
        self._pass: _Pass | None = None
        self._told: int | None = None  # the length that Keras goes by

    @classmethod
    def resume(cls, loader: Batches, path: str | os.PathLike[str]) -> ClipSequence:
        """Go on behind the last batch that was trained on before a `ClipCheckpoint` was written.

        Parameters
        ----------
        loader : ClipLoader or Batches
            With the same data and options as then; the number of workers may differ.
        path : path-like
            Of the checkpoint.

        Returns
        -------
        ClipSequence
            Its length is what is left of the epoch, which needs a ``fit`` of its own: see `ClipCheckpoint`.

        Raises
        ------
        OptionError
            If the loader's plan is another.
        """
        loader.load_state_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        place = loader.state_dict()
        sequence = cls(loader, epoch=place["epoch"])
        sequence.start = place["batch"]
        return sequence

    def __len__(self) -> int:
        """Batches in an epoch, or in what is left of a resumed one."""
        return len(self.loader) - self.start

    @property
    def num_batches(self) -> int:
        """The same, for Keras."""
        asker = _asker(self, "num_batches")
        if asker is None:
            pass
        elif asker.f_code.co_name == "num_batches":  # Keras's adapter passes the question on
            self._pass, self._told = None, len(self)
        elif not _is_generator(asker):
            pass
        elif self._told not in {None, len(self)}:
            raise OptionError(
                f"a resumed epoch of {self._told} batches was followed by one of {len(self)} in the same "
                "fit, but Keras goes by the first: give it a fit of its own, with "
                "initial_epoch=sequence.epoch and epochs=sequence.epoch + 1, as ClipCheckpoint's "
                "documentation shows"
            )
        else:
            batches = self.loader.epoch(self.epoch, self.start)
            self._pass = _Pass(id(asker), self.epoch, self.start, batches)
        return len(self)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        """Return the pass's next batch to Keras's generator, and to anyone else that of the index.

        Parameters
        ----------
        index : int
            Which of the epoch's batches.

        Returns
        -------
        tuple
            ``(x,)``, ``(x, y)`` or ``(x, y, weight)``.
        """
        asker = _asker(self, "__getitem__")
        if asker is None or not _is_generator(asker):
            return _as_tuple(self.loader.batch(self.epoch, self.start + range(len(self))[index]))
        current = self._pass
        if current is None or current.generator != id(asker):
            raise EngineError(
                "Keras has begun anew with this ClipSequence, so what it did before cannot go on. Validation "
                "needs a ClipSequence and a loader of its own"
            )
        return _as_tuple(next(current.batches))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Serve the epoch, or what is left of it, without moving on to the next."""
        return map(_as_tuple, islice(self.loader.epoch(self.epoch, self.start), len(self)))

    def on_epoch_end(self) -> None:
        """Go on to the next epoch; called by Keras."""
        if self._pass is not None:
            self.epoch, self.start = self._pass.epoch + 1, 0

    @property
    def workers(self) -> int:
        """Always 1: Keras's threads; the loader has processes of its own."""
        return 1

    @workers.setter
    def workers(self, value: int) -> None:
        if value > 1:
            _warn(f"workers={value}")

    @property
    def use_multiprocessing(self) -> bool:
        """Always False."""
        return False

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        if value:
            _warn(f"use_multiprocessing={value}")


class ClipCheckpoint(keras.callbacks.Callback):  # type: ignore[misc] # as above
    """Saves which clips were trained on, beside a `keras.callbacks.ModelCheckpoint` that saves the model.

    With the same `save_freq`, both save after the same batches (not with ``save_best_only``). This file is
    replaced as a whole, so a process killed at any moment leaves a good one; only if killed between the two
    does it leave them one save apart.

    Parameters
    ----------
    path : path-like
        JSON file to write: the state of a loader.
    sequence : ClipSequence
        What is trained on.
    save_freq : "epoch" or int
        When to save: after each epoch, or after so many batches.

    Raises
    ------
    OptionError
        If `save_freq` is something else.

    Examples
    --------
    A script that can be killed at any time, and started again. Keras takes the number of batches once per
    ``fit``, so what is left of an epoch is a ``fit`` of its own:

    >>> if os.path.exists("run/clips.json"):  # doctest: +SKIP
    ...     model = keras.models.load_model("run/model.keras")
    ...     sequence = ClipSequence.resume(loader, "run/clips.json")
    ... else:
    ...     model, sequence = build_model(), ClipSequence(loader)
    >>> callbacks = [  # doctest: +SKIP
    ...     keras.callbacks.ModelCheckpoint("run/model.keras", save_freq=100),
    ...     ClipCheckpoint("run/clips.json", sequence, save_freq=100),
    ... ]
    >>> if sequence.start:  # doctest: +SKIP
    ...     model.fit(sequence, initial_epoch=sequence.epoch, epochs=sequence.epoch + 1, callbacks=callbacks)
    >>> model.fit(sequence, initial_epoch=sequence.epoch, epochs=10, callbacks=callbacks)  # doctest: +SKIP
    """

    def __init__(
        self, path: str | os.PathLike[str], sequence: ClipSequence, save_freq: str | int = "epoch"
    ) -> None:
        super().__init__()
        self.path, self.sequence = Path(path), sequence
        self.save_freq = save_freq if save_freq == "epoch" else checked_int(save_freq, "save_freq", 1)
        self._pass: _Pass | None = None
        self._trained = 0  # batches of the pass
        self._unsaved = 0  # batches
        self._batch = -1  # the last one of Keras's epoch

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's
        """Begin to count Keras's batches."""
        self._batch = -1

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - as above
        """Count what was trained on, and save when it is time."""
        if self._pass is not self.sequence._pass:  # noqa: SLF001 - two halves of one thing
            self._pass, self._trained = self.sequence._pass, 0  # noqa: SLF001 - as above
        batches = batch - self._batch  # several with steps_per_execution
        self._batch = batch
        self._trained += batches
        self._unsaved += batches
        if self.save_freq != "epoch" and self._unsaved >= int(self.save_freq):
            self._unsaved = 0
            self._save()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - as above
        """Save, if this is when to."""
        if self.save_freq == "epoch":
            self._save()

    def _save(self) -> None:
        if self._pass is None:
            return
        loader = self.sequence.loader
        epoch, batch = self._pass.epoch, self._pass.start + self._trained
        if batch >= len(loader):  # more if steps_per_execution does not divide the epoch
            epoch, batch = epoch + 1, 0
        state = {**loader.state_dict(), "epoch": epoch, "batch": batch}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        with beside.open("w", encoding="utf-8") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


def _asker(sequence: ClipSequence, method: str) -> FrameType | None:
    """Return the frame that called a method of the sequence, past any overrides, if it is one of Keras's."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - see the module's documentation
    while frame is not None and frame.f_code.co_name == method and _self(frame) is sequence:
        frame = frame.f_back
    keras_own = frame is not None and frame.f_globals.get("__name__") == keras.utils.PyDataset.__module__
    return frame if keras_own else None


def _self(frame: FrameType) -> object:
    return frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_varnames else None


def _is_generator(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & inspect.CO_GENERATOR)


def _as_tuple(batch: Any) -> tuple[Any, ...]:  # noqa: ANN401 - the structure is the user's choice
    return batch if isinstance(batch, tuple) else (batch,)


def _warn(option: str) -> None:
    warnings.warn(
        f"ClipSequence ignores {option}: Keras's own workers repeat batches and lose others; the loader has "
        "worker processes already (ClipLoader(workers=...))",
        stacklevel=4,
    )
