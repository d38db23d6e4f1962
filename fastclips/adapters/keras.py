"""A loader as a `keras.utils.PyDataset`, and a callback that saves the loader's state.

`fastclips.adapters.passes` describes how Keras asks for batches.
"""

from __future__ import annotations

import json
import os
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastclips.adapters.batch_map import checked_map, mapped
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
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["ClipCheckpoint", "ClipSequence"]


class ClipSequence(Passes, keras.utils.PyDataset):  # type: ignore[misc] # Keras has no types
    """A loader's epochs for ``fit``, ``evaluate`` and ``predict``, on any backend of Keras.

    Each epoch of Keras is an epoch of the loader's plan: every clip once, in the plan's order, whatever
    ``fit(shuffle=...)`` says. The next call serves an interrupted epoch again, from its first batch.
    Indexing gives any batch of the epoch that is being served or comes next.

    With ``repeat=True`` of the loader, batches have no end. ``fit`` then needs ``steps_per_epoch=``, which
    may be longer or shorter than an epoch of the plan. The next ``fit`` begins with the plan's next epoch.

    Parameters
    ----------
    loader : ClipLoader or Batches
        The loader; training and validation each need a loader of their own.
    map : callable, optional
        Function of the arrays of each batch, ``map(x)``, ``map(x, y)`` or ``map(x, y, weight)``, which
        returns x, (x, y) or (x, y, weight). It runs in this process, also for batches that Keras asks for and
        does not train on.
    epoch : int
        The first epoch to serve.
    workers, use_multiprocessing, max_queue_size
        As for `keras.utils.PyDataset`, but ignored: the loader has its own workers, and several workers of
        Keras would repeat some batches and lose others.

    Attributes
    ----------
    loader : ClipLoader or Batches
        As given.
    epoch : int
        The epoch that is being served or comes next.
    start : int
        The first batch of this epoch to serve: 0, unless resumed inside an epoch.
    is_rest : bool
        Whether this epoch is the rest of one that was begun before.

    Raises
    ------
    OptionError
        If `loader` is not a loader, `map` is not a function, or `epoch` is below 0.

    Notes
    -----
    To change batches, give `map`. An override of ``__getitem__`` gets the same arrays each time it calls
    ``super().__getitem__(index)`` in one request of Keras. Do not wrap the sequence in another PyDataset,
    which would ask by index and always get the same epoch.
    TensorFlow keeps the arguments of ``fit`` until the process ends: close the loader to end its workers.

    Examples
    --------
    >>> import keras
    >>> from fastclips.adapters.keras import ClipSequence
    >>> dataset, sampler = fc.open("frames/"), fc.Windows(4)
    >>> loader = fc.ClipLoader(dataset, sampler, [fc.Rescale(1 / 255)], batch_size=9, workers=0)
    >>> layers = [keras.layers.GlobalAveragePooling3D(), keras.layers.Dense(2)]
    >>> model = keras.Sequential(layers)
    >>> loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    >>> model.compile(loss=loss)
    >>> history = model.fit(ClipSequence(loader), epochs=2, verbose=0)
    >>> model.predict(ClipSequence(loader), verbose=0).shape
    (18, 2)

    The next frame as the target:

    >>> loader = fc.ClipLoader(dataset, fc.Windows(4), targets=None, batch_size=9, workers=0)
    >>> x, y = ClipSequence(loader, map=lambda x: (x[:, :-1], x[:, 1:]))[0]
    >>> x.shape, y.shape
    ((9, 3, 48, 64, 3), (9, 3, 48, 64, 3))
    """

    _has_workers = "workers= of the ClipLoader"

    def __init__(
        self,
        loader: Batches,
        *,
        map: Callable[..., Any] | None = None,  # noqa: A002 - as `tf.data.Dataset` and the builtin name it
        epoch: int = 0,
        workers: int = 1,
        use_multiprocessing: bool = False,
        max_queue_size: int = 10,
    ) -> None:
        if not isinstance(loader, Batches):
            raise OptionError(f"loader={loader!r}: must be a fastclips.ClipLoader")
        super().__init__(workers=1, use_multiprocessing=False, max_queue_size=max_queue_size)
        self.workers, self.use_multiprocessing = workers, use_multiprocessing
        self.loader, self._map = loader, checked_map(map)
        self.epoch, self.start = checked_int(epoch, "epoch", 0, 2**62), 0
        self._endless = loader.repeat

    @classmethod
    def resume(
        cls,
        loader: Batches,
        path: str | os.PathLike[str],
        *,
        map: Callable[..., Any] | None = None,  # noqa: A002 - as above
    ) -> ClipSequence:
        """Return a sequence that starts after the last batch trained on before a `ClipCheckpoint` was saved.

        Parameters
        ----------
        loader : ClipLoader or Batches
            A loader with the same data and options; workers, `batch_size` and ranks may differ.
        path : path-like
            Path of the checkpoint.
        map : callable, optional
            As for `ClipSequence`.

        Returns
        -------
        ClipSequence
            Its length is the rest of the epoch, which needs a ``fit`` of its own: see `ClipCheckpoint`. With
            ``repeat=True`` of the loader it does not.

        Raises
        ------
        OptionError
            If the checkpoint is of another plan.
        """
        loader.load_state_dict(json.loads(Path(path).read_text(encoding="utf-8")))
        state = loader.state_dict()
        sequence = cls(loader, epoch=state["epoch"])
        sequence.start = state["batch"]
        if map is not None:  # a subclass may have a function of its own
            sequence._map = checked_map(map)
        return sequence

    def __len__(self) -> int:
        """Batches in an epoch, or in the rest of a resumed epoch."""
        return self.loader.schedule.batches_in(self.epoch) - self.start

    @property
    def is_rest(self) -> bool:
        """Whether the epoch is the rest of one that was begun before."""
        return self.loader.schedule.position(self.epoch, self.start) > 0

    def _begin(self, epoch: int, start: int) -> Iterator[Any]:
        return self._mapped(self.loader.epoch(epoch, start))

    def _mapped(self, batches: Iterator[Any]) -> Iterator[Any]:
        return map(partial(mapped, self._map), batches)

    def _by_index(self, index: int, *, probe: bool) -> tuple[Any, ...]:
        epoch, start = self.epoch, self.start
        if probe and self._pass is not None:  # an override that asks for another batch of the pass
            epoch, start = self._pass.epoch, self._pass.start
        if self._endless and index >= 0:
            epoch, batch = _place(self.loader, epoch, start + index)
        else:
            batch = range(start, self.loader.schedule.batches_in(epoch))[index]
        return as_tuple(mapped(self._map, self.loader.batch(epoch, batch)))

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Serve the epoch, or the rest of it, without moving on to the next epoch."""
        return map(as_tuple, self._mapped(islice(self.loader.epoch(self.epoch, self.start), len(self))))


def _place(loader: Batches, epoch: int, batch: int) -> tuple[int, int]:
    """Return epoch and number of a batch that is counted from an epoch's first one on, over its end."""
    while batch >= (count := loader.schedule.batches_in(epoch)):
        epoch, batch = epoch + 1, batch - count
    return epoch, batch


class ClipCheckpoint(keras.callbacks.Callback):  # type: ignore[misc] # as above
    """Saves the loader's state, beside a `keras.callbacks.ModelCheckpoint` that saves the model.

    With the same `save_freq`, both save after the same batches (not with ``save_best_only``). The file is
    replaced atomically, so a process killed at any moment leaves a good file. If it is killed between the two
    saves, model and state are one save apart.

    Parameters
    ----------
    path : path-like
        JSON file to write.
    sequence : ClipSequence
        The sequence that is trained on.
    save_freq : "epoch" or int
        When to save: after each epoch, or after this number of batches.

    Raises
    ------
    OptionError
        If `save_freq` is neither ``"epoch"`` nor an integer of at least 1.

    Examples
    --------
    A script that can be killed at any time and started again. Keras reads the number of batches once per
    ``fit``, so the rest of an epoch needs a ``fit`` of its own:

    >>> import keras, os
    >>> from fastclips.adapters.keras import ClipCheckpoint, ClipSequence
    >>> def train(epochs):
    ...     loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=3, workers=0)
    ...     if os.path.exists("run/clips.json"):
    ...         model = keras.models.load_model("run/model.keras")
    ...         sequence = ClipSequence.resume(loader, "run/clips.json")
    ...     else:
    ...         model, sequence = build_model(), ClipSequence(loader)
    ...     callbacks = [
    ...         keras.callbacks.ModelCheckpoint("run/model.keras", save_freq=4),
    ...         ClipCheckpoint("run/clips.json", sequence, save_freq=4),
    ...     ]
    ...     first = sequence.epoch, sequence.start
    ...     if sequence.is_rest:
    ...         rest = sequence.epoch + 1
    ...         model.fit(sequence, initial_epoch=sequence.epoch, epochs=rest, callbacks=callbacks, verbose=0)
    ...     model.fit(sequence, initial_epoch=sequence.epoch, epochs=epochs, callbacks=callbacks, verbose=0)
    ...     return first
    >>> def build_model():
    ...     layers = [keras.layers.Rescaling(1 / 255), keras.layers.GlobalAveragePooling3D()]
    ...     model = keras.Sequential([*layers, keras.layers.Dense(2)])
    ...     model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    ...     return model
    >>> train(epochs=1)  # 6 batches; saved after batch 4
    (0, 0)
    >>> train(epochs=2)
    (0, 4)
    """

    def __init__(
        self, path: str | os.PathLike[str], sequence: ClipSequence, save_freq: str | int = "epoch"
    ) -> None:
        super().__init__()
        self.path, self.sequence = Path(path), sequence
        self.save_freq = save_freq if save_freq == "epoch" else checked_int(save_freq, "save_freq", 1)
        self._pass: Pass | None = None
        self._trained = 0  # batches of the pass
        self._unsaved = 0  # batches since the last save
        self._batch = -1  # last batch of Keras's epoch

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - Keras's signature
        """Start counting the batches of Keras's epoch."""
        self._batch = -1

    def on_train_batch_end(self, batch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - as above
        """Count the batches trained on, and save if it is time."""
        if self._pass is not self.sequence._pass:  # noqa: SLF001 - the two classes belong together
            self._pass, self._trained = self.sequence._pass, 0  # noqa: SLF001 - as above
        batches = batch - self._batch  # several with steps_per_execution
        self._batch = batch
        self._trained += batches
        self._unsaved += batches
        if self.save_freq != "epoch" and self._unsaved >= int(self.save_freq):
            self._unsaved = 0
            self._save()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, Any] | None = None) -> None:  # noqa: ARG002 - as above
        """Save, with ``save_freq="epoch"``."""
        if self.save_freq == "epoch":
            self._save()

    def _save(self) -> None:
        if self._pass is None:
            return
        loader = self.sequence.loader
        epoch, batch = self._pass.epoch, self._pass.start + self._trained
        if loader.repeat:  # a pass goes on with the next epoch
            epoch, batch = _place(loader, epoch, batch)
        # The number is greater if steps_per_execution does not divide the epoch.
        state = loader.state_dict(epoch, min(batch, loader.schedule.batches_in(epoch)))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(state, file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.path)
