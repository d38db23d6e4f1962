"""Keras: a loader as a `keras.utils.PyDataset`, and a callback that saves its place.

Who asks Keras's questions, and what is answered to whom: `fastclips.adapters.passes`.
"""

from __future__ import annotations

import json
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.adapters.passes import Pass, Passes, as_tuple
from fastclips.errors import OptionError
from fastclips.options import checked_int
from fastclips.serving.batches import Batches

try:
    import keras
except ImportError as error:
    raise ImportError(
        'this needs Keras 3: pip install "fastclips[tensorflow]"; or pip install "fastclips[keras]" beside '
        f"JAX or torch, and set KERAS_BACKEND to jax or torch ({error})"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["ClipCheckpoint", "ClipSequence"]


class ClipSequence(Passes, keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
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

    _has_workers = "ClipLoader(workers=...)"

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

    def _begin(self, epoch: int, start: int) -> Iterator[Any]:
        return self.loader.epoch(epoch, start)

    def _by_index(self, index: int, *, probe: bool) -> tuple[Any, ...]:  # noqa: ARG002 - Passes'
        return as_tuple(self.loader.batch(self.epoch, self.start + range(len(self))[index]))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Serve the epoch, or what is left of it, without moving on to the next."""
        return map(as_tuple, islice(self.loader.epoch(self.epoch, self.start), len(self)))


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
        self._pass: Pass | None = None
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
