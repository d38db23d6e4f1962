"""How Keras asks a PyDataset for batches, and which batch it gets. Imports no Keras.

Keras asks for more than the batches of an epoch: 0 and 1 for their shapes, another batch to build the model,
and up to eight that it reads ahead and discards. Callbacks may ask too. With ``shuffle``, the default, Keras
asks in an order of its own. The batches that Keras trains on are read by a generator of Keras. It runs to its
end in one epoch, or with ``steps_per_epoch`` in several, on TensorFlow in another thread. So the answer
depends on the caller:

- the newest generator gets the next batch of the plan, whatever index it asks for. Its requests form a
  *pass*, which serves one epoch of the plan, each batch once, in order, read ahead;
- any other caller gets the batch of its index, without effect on the pass;
- an older generator was abandoned, for example by an interrupted fit, and gets an error. The error is seen
  only if the generator is still in use.

An override of ``__getitem__`` may call ``super().__getitem__`` several times for one request of Keras. The
first call gets the next batch, and the same index gets the same batch again. Another index gets the batch of
that index, as outside a pass. So an override never takes more than one batch of the plan for a request.

PyDataset does not say who is calling, but the caller's stack frame does. Every generator first asks for
``num_batches``, or for the length (Keras 2), which begins its pass. Keras 3 asks for ``num_batches`` outside
a generator only when it starts again: if the end of the last pass was not reported, that pass was a probe or
was interrupted, and its epoch is served again. An epoch ends when Keras calls ``on_epoch_end``::

    fit            num_batches                 an open pass is dropped, and its epoch begins again
                   0, 1                        by index (TensorFlow)
                   a generator, one batch      a pass (JAX, torch, MirroredStrategy build the model so)
                   num_batches, on_epoch_end   the pass is dropped: the epoch begins again
      each epoch   on_epoch_begin
                   a generator, all batches    a pass
                   on_epoch_end                the epoch is over

So the batches asked for are not the batches trained on; only a callback knows the latter.

A dataset without end says ``num_batches=None``. Its generator then asks for no length but counts from 0, so a
request for 0 begins its pass, which runs on through the epochs of the plan. Keras's epochs are
``steps_per_epoch`` long; each moves `epoch` on by one, for the next fit.
"""

from __future__ import annotations

import inspect
import sys
import warnings
from contextvars import ContextVar
from functools import cache, wraps
from multiprocessing import current_process
from typing import TYPE_CHECKING, Any, NamedTuple

from fastclips.errors import EngineError, OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

__all__ = ["Pass", "Passes", "as_tuple", "asked_by_keras"]

_KERAS = {"keras", "tf_keras"}  # packages
_UNKNOWN = object()


class Pass(NamedTuple):
    """An epoch as it is read by a generator of Keras.

    Parameters
    ----------
    generator : int
        id of the generator's stack frame. A later generator with the same id begins a new pass.
    epoch, start : int
        The epoch, and its first batch.
    batches : iterator
        The remaining batches.
    """

    generator: int
    epoch: int
    start: int
    batches: Iterator[Any]


class _Request:
    """One request for a batch, which an override may answer by several calls of ``super().__getitem__``."""

    def __init__(self, dataset: object, index: int) -> None:
        self.dataset, self.index = dataset, index
        self.asker = asked_by_keras(dataset, "__getitem__", above=3)
        self.served: tuple[int, Any] | None = None  # index and batch of the first call, in a pass


_request: ContextVar[_Request | None] = ContextVar("_request", default=None)  # the one that is being answered


def _as_request(override: Callable[[Any, int], Any]) -> Callable[[Any, int], Any]:
    """Wrap an override of ``__getitem__``, so that its calls of ``super()`` belong to one request."""

    @wraps(override)
    def __getitem__(self: object, index: int) -> Any:  # noqa: ANN401, N807 - the user's choice; as overridden
        outer = _request.get()
        if outer is not None and outer.dataset is self:  # called by another override
            return override(self, index)
        token = _request.set(_Request(self, index))
        try:
            return override(self, index)
        finally:
            _request.reset(token)

    return __getitem__


class Passes:
    """Mixin that answers Keras's requests; it comes before Keras's class in the bases.

    A subclass implements the length, `_begin` and `_by_index`.

    Attributes
    ----------
    epoch : int
        The epoch that is being served or comes next.
    start : int
        The first batch of this epoch to serve.
    """

    epoch: int = 0
    start: int = 0
    _pass: Pass | None = None
    _told: int | None = None  # the length that Keras uses
    _has_workers = "workers= of the iterator"  # the option for workers, for a warning
    _endless = False  # whether a pass goes on with the next epoch
    _ends_without_steps = False  # whether it does so only in a fit with steps_per_epoch

    def __init_subclass__(cls, **options: Any) -> None:  # noqa: ANN401 - passed on
        """Wrap an override of ``__getitem__``."""
        super().__init_subclass__(**options)
        override = cls.__dict__.get("__getitem__")
        if inspect.isfunction(override):
            cls.__getitem__ = _as_request(override)  # type: ignore[method-assign] # of the same signature

    def __len__(self) -> int:
        """Batches in an epoch, or in the rest of an epoch."""
        raise NotImplementedError

    def _begin(self, epoch: int, start: int) -> Iterator[Any]:
        """Return the batches of an epoch from `start` on."""
        raise NotImplementedError

    def _by_index(self, index: int, *, probe: bool) -> Any:  # noqa: ANN401 - the structure is the user's choice
        """Return a batch of the current epoch, as a tuple if Keras asks (`probe`)."""
        raise NotImplementedError

    @property
    def num_batches(self) -> int | None:
        """The length, for Keras; None if the batches have no end."""
        asker = asked_by_keras(self, "num_batches")
        if asker is None:
            pass
        elif asker.f_code.co_name == "num_batches":  # Keras's adapter, not a generator
            self._pass, self._told = None, len(self)
            steps = _steps(asker.f_back)
            if self._ends_without_steps and steps is not _UNKNOWN:
                self._endless = steps is not None
            elif self._endless and steps is None:
                raise OptionError(
                    f"steps_per_epoch=None: must be a number of batches, since {type(self).__name__} has no "
                    "end; evaluate and predict need steps=, validation data needs validation_steps="
                )
        elif _is_generator(asker):
            self._begin_pass(asker)
        elif asker.f_code.co_name == "get_data_adapter":  # Keras warns that data without end are not shuffled
            return len(self)
        return None if self._endless else len(self)

    def _begin_pass(self, asker: FrameType) -> None:
        left = len(self)
        if self._told not in {None, left}:
            raise OptionError(
                f"a resumed epoch of {self._told} batches was followed by an epoch of {left} in one fit, but "
                "Keras uses the first number for all epochs: call fit for the resumed epoch alone, with "
                "initial_epoch=sequence.epoch and epochs=sequence.epoch + 1, as in the example of "
                "ClipCheckpoint"
            )
        self._pass = Pass(id(asker), self.epoch, self.start, self._begin(self.epoch, self.start))

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401 - as above
        """Return the next batch of the pass to Keras's generator, and the batch of the index to others.

        Parameters
        ----------
        index : int
            Number of the batch in the epoch; negative numbers count from the end.

        Returns
        -------
        tuple
            ``(x,)``, ``(x, y)`` or ``(x, y, weight)``.

        Raises
        ------
        OptionError
            If Keras 2 asks with ``use_multiprocessing=True``: its processes would share one loader.
        """
        request = _request.get()
        if request is None or request.dataset is not self:
            request = _Request(self, index)
        asker = request.asker
        if asker is not None and _in_processes(asker):
            raise OptionError(
                "use_multiprocessing=True: leave it out of fit, evaluate and predict, since "
                f"{type(self).__name__} has worker processes of its own; set their number by "
                f"{self._has_workers}"
            )
        if asker is None or not _is_generator(asker):
            return self._by_index(index, probe=asker is not None)
        if request.served is None:
            request.served = index, self._next(asker, begins=self._endless and request.index == 0)
        first, batch = request.served
        return batch if index == first else as_tuple(self._by_index(index, probe=True))

    def _next(self, asker: FrameType, *, begins: bool) -> tuple[Any, ...]:
        """Return the next batch of a generator's pass, or the first one if it `begins`."""
        if begins:
            self._pass = Pass(id(asker), self.epoch, self.start, self._begin(self.epoch, self.start))
        current = self._pass
        if current is None or current.generator != id(asker):
            name = next(c.__name__ for c in type(self).__mro__ if c.__module__.startswith("fastclips."))
            raise EngineError(
                f"Keras has started again with this {name}, so its earlier iteration cannot continue; "
                f"pass validation a {name} and a loader of its own"
            )
        for batch in current.batches:
            return as_tuple(batch)
        raise EngineError(
            f"len()={len(self)} of {type(self).__name__}: must be at most the number of batches in the "
            "epoch, which the base class returns"
        )

    def on_epoch_end(self) -> None:
        """Move on to the next epoch; called by Keras."""
        if self._pass is not None:
            last = self.epoch if self._endless else self._pass.epoch
            self.epoch, self.start = last + 1, 0

    @property
    def workers(self) -> int:
        """Threads of Keras: always 1, since the loader has worker processes."""
        asker = asked_by_keras(self, "workers")
        if asker is not None and asker.f_code.co_name == "__init__":
            _give_eager(_self(asker))
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
        warnings.warn(self._ignoring(option), stacklevel=4)

    def _ignoring(self, option: str) -> str:
        return (
            f"{type(self).__name__} ignores {option}: workers of Keras would repeat some batches and lose "
            f"others; set the number of worker processes by {self._has_workers}"
        )


def asked_by_keras(dataset: object, method: str, above: int = 2) -> FrameType | None:
    """Return the stack frame that called a method of a dataset, if it belongs to Keras.

    Parameters
    ----------
    dataset : object
        The object whose method calls this function.
    method : str
        Name of the method; overrides of it are skipped.
    above : int
        Number of stack frames from this function's to that of the method's caller.

    Returns
    -------
    frame or None
        None if the caller is not Keras.
    """
    frame: FrameType | None = sys._getframe(above)  # noqa: SLF001 - see the module's documentation
    while frame is not None and frame.f_code.co_name == method and _self(frame) is dataset:
        frame = frame.f_back
    package = str(frame.f_globals.get("__name__", "")).partition(".")[0] if frame is not None else ""
    return frame if package in _KERAS else None


def _give_eager(adapter: object) -> None:
    """Let an adapter of Keras that is being made give the TensorFlow trainer an `EagerDataset`."""
    kind: Any = type(adapter)
    if kind.__name__ == "PyDatasetAdapter" and {"get_tf_dataset", "_get_iterator"} <= kind.__dict__.keys():
        adapter.__class__ = _eager_kind(kind)


@cache
def _eager_kind(kind: Any) -> type:  # noqa: ANN401 - a class of Keras, which has no types
    class EagerAdapter(kind):  # type: ignore[misc] # as above
        def get_tf_dataset(self) -> Any:  # noqa: ANN401 - a tf.data.Dataset
            from fastclips.adapters.eager import EagerDataset  # noqa: PLC0415 - imports TensorFlow

            return EagerDataset.of(super().get_tf_dataset(), self._get_iterator)

    return EagerAdapter


def _self(frame: FrameType) -> object:
    return frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_varnames else None


def _steps(frame: FrameType | None) -> object:
    """Return the number of steps that Keras was given, if the stack frame begins fit, evaluate or predict."""
    return _UNKNOWN if frame is None else frame.f_locals.get("steps_per_epoch", _UNKNOWN)


def _in_processes(frame: FrameType) -> bool:
    """Whether Keras 2 asks in processes of its own, or for the batch that it looks at before."""
    call = frame.f_back if frame.f_code.co_name == "_peek_and_restore" else None
    if call is not None and call.f_locals.get("use_multiprocessing") and call.f_locals.get("workers"):
        return True
    return current_process().name.startswith("Keras_worker")


def _is_generator(frame: FrameType) -> bool:
    return bool(frame.f_code.co_flags & inspect.CO_GENERATOR)


def as_tuple(batch: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as above
    """Return a batch as the tuple that Keras expects."""
    return batch if isinstance(batch, tuple) else (batch,)
