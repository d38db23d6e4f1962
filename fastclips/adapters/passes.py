"""What Keras asks of a dataset, answered by who asks. Imports no Keras: whoever is served by it is one.

Keras asks a PyDataset for more than an epoch's batches: 0 and 1 to learn their shapes, one more to build the
model, up to eight that it reads ahead and drops; a callback may look at some as well. With ``shuffle``, the
default, it also asks in an order of its own. What Keras trains on comes through a generator of its own,
which runs to its end in one epoch, or with ``steps_per_epoch`` in several, on TensorFlow in another thread.
So a request is answered by who asks:

- the generator that began last gets the plan's next batch, whatever index it asks for. That is a *pass*:
  it serves one epoch of the plan, each batch once, in order, read ahead;
- anyone else gets the batch of the index, and nothing of the plan is consumed;
- a generator that began earlier was given up, as by an interrupted fit, and gets an error, which is seen only
  if someone still listens.

Nothing in PyDataset says who asks, but the caller's frame does. Every generator asks for ``num_batches``
first, or for the length (Keras 2), which begins its pass. Keras 3 asks for it outside of a generator only
when it starts over: the pass until then, unless its end was told, was a probe or broken off, and its epoch is
served again. An epoch is over when Keras says so::

    fit            num_batches                 a pass still open is given up, and its epoch begun again
                   0, 1                        by index (TensorFlow)
                   a generator, one batch      a pass (JAX, torch, MirroredStrategy build the model so)
                   num_batches, on_epoch_end   the pass is given up: the epoch begins again
      each epoch   on_epoch_begin
                   a generator, all batches    a pass
                   on_epoch_end                the epoch is over

What was asked for is therefore not what was trained on; only a callback knows that.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from fastclips.errors import EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["Pass", "Passes", "as_tuple", "asked_by_keras"]

_KERAS = {"keras", "tf_keras"}  # packages


class Pass(NamedTuple):
    """An epoch on its way to Keras.

    Parameters
    ----------
    generator : int
        id of the asking frame; a later one with the same id begins a pass of its own.
    epoch, start : int
        Which, and its first batch.
    batches : iterator
        Those that are left.
    """

    generator: int
    epoch: int
    start: int
    batches: Iterator[Any]


class Passes:
    """The part of a PyDataset that tells Keras's requests apart; mix it in before Keras's own class.

    A subclass has a length and says how an epoch, and a batch by its index, are served.

    Attributes
    ----------
    epoch : int
        The epoch that is being served, or comes next.
    start : int
        The first batch of it to serve.
    """

    epoch: int = 0
    start: int = 0
    _pass: Pass | None = None
    _told: int | None = None  # the length that Keras goes by
    _has_workers = "workers=... of what made this"  # for a warning

    def __len__(self) -> int:
        """Batches in an epoch, or in what is left of one."""
        raise NotImplementedError

    def _begin(self, epoch: int, start: int) -> Iterator[Any]:
        """Serve an epoch from one of its batches on."""
        raise NotImplementedError

    def _by_index(self, index: int, *, probe: bool) -> Any:  # noqa: ANN401 - the structure is the user's choice
        """Return a batch of the present epoch; `probe` says that Keras asks, and gets a tuple."""
        raise NotImplementedError

    @property
    def num_batches(self) -> int:
        """The length, for Keras."""
        asker = asked_by_keras(self, "num_batches")
        if asker is None:
            pass
        elif asker.f_code.co_name == "num_batches":  # Keras's adapter passes the question on
            self._pass, self._told = None, len(self)
        elif _is_generator(asker):
            self._begin_pass(asker)
        return len(self)

    def _begin_pass(self, asker: FrameType) -> None:
        left = len(self)
        if self._told not in {None, left}:
            raise OptionError(
                f"a resumed epoch of {self._told} batches was followed by one of {left} in the same "
                "fit, but Keras goes by the first: give it a fit of its own, with "
                "initial_epoch=sequence.epoch and epochs=sequence.epoch + 1, as ClipCheckpoint's "
                "documentation shows"
            )
        self._pass = Pass(id(asker), self.epoch, self.start, self._begin(self.epoch, self.start))

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401 - as above
        """Return the pass's next batch to Keras's generator, and to anyone else that of the index.

        Parameters
        ----------
        index : int
            Which of the epoch's batches; below 0 from its end.

        Returns
        -------
        tuple
            ``(x,)``, ``(x, y)`` or ``(x, y, weight)``.
        """
        asker = asked_by_keras(self, "__getitem__")
        if asker is None or not _is_generator(asker):
            return self._by_index(index, probe=asker is not None)
        current = self._pass
        if current is None or current.generator != id(asker):
            name = next(c.__name__ for c in type(self).__mro__ if c.__module__.startswith("fastclips."))
            raise EngineError(
                f"Keras has begun anew with this {name}, so what it did before cannot go on. Validation "
                f"needs a {name} and a loader of its own"
            )
        return as_tuple(next(current.batches))

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
            self._warn(f"workers={value}")

    @property
    def use_multiprocessing(self) -> bool:
        """Always False."""
        return False

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        if value:
            self._warn(f"use_multiprocessing={value}")

    def _warn(self, option: str) -> None:
        warnings.warn(
            f"{type(self).__name__} ignores {option}: Keras's own workers repeat batches and lose others; "
            f"there are worker processes already ({self._has_workers})",
            stacklevel=4,
        )


def asked_by_keras(dataset: object, method: str) -> FrameType | None:
    """Return the frame that called a method of a dataset, past any overrides, if it is one of Keras's.

    Parameters
    ----------
    dataset : object
        Whose method calls this.
    method : str
        Its name.

    Returns
    -------
    frame or None
    """
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001 - see the module's documentation
    while frame is not None and frame.f_code.co_name == method and _self(frame) is dataset:
        frame = frame.f_back
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0] if frame is not None else ""
    return frame if package in _KERAS else None


def _self(frame: FrameType) -> object:
    return frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_varnames else None


def _is_generator(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & inspect.CO_GENERATOR)


def as_tuple(batch: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    """Return a batch as Keras wants it."""
    return batch if isinstance(batch, tuple) else (batch,)
