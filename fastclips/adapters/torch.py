"""A loader as an iterable dataset of torch, whose tensors share the loader's memory.

``torch.from_numpy`` copies nothing: a tensor holds its array, and with it the lease of a slot. Another order
of the axes is a view. For a GPU, the next batch is copied while the model works on this one::

    slot ──from_numpy──> CPU tensor ──copy on a stream of its own──> GPU tensor ──event──> the model's stream
                         held until the copy's event has happened

Only for these copies are slots registered as pinned memory, and only while an epoch is read: a tensor in
pinned memory may be copied by a framework while its slot is already used again, unless someone waits for the
copy's event, as this module does. So CPU tensors that are handed out are never pinned.
"""

# ruff: noqa: SLF001 - an adapter is a friend of the loader

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal, NoReturn

from fastclips.adapters.framework_batches import FrameworkBatches
from fastclips.adapters.structures import map_arrays
from fastclips.errors import OptionError
from fastclips.options import checked_choice
from fastclips.planning.launchers import find_launched

try:
    import torch
    from torch.utils.data import IterableDataset, get_worker_info
except ImportError as error:
    raise ImportError(f"this needs torch, see https://pytorch.org/get-started ({error})") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from fastclips.serving.batches import Batches
    from fastclips.serving.progress import BatchId

    Layout = Literal["BTHWC", "BTCHW", "BCTHW"]

__all__ = ["TorchBatches"]

_LAYOUTS = ("BTHWC", "BTCHW", "BCTHW")
_NO_WORKERS = (
    "num_workers=: must be 0, since the loader has worker processes of its own, and these batches cannot be "
    "sent to others; set the number of workers by ClipLoader(workers=)"
)
_PICTURE_AXES = 5
_KINDS = "biufc"  # booleans and numbers


class TorchBatches(FrameworkBatches, IterableDataset):  # type: ignore[misc] # torch may be absent
    """The batches of a loader as tensors; made by `ClipLoader.to_torch`.

    Each iteration serves one epoch. It is used in a plain loop, or as
    ``DataLoader(batches, batch_size=None)``. Lightning and accelerate take it as it is.

    Parameters
    ----------
    loader : ClipLoader
        The loader.
    device, layout, map
        As for `ClipLoader.to_torch`.
    channels_first : bool
        Whether the loader's pictures are (B, T, C, H, W).

    Raises
    ------
    OptionError
        As for `ClipLoader.to_torch`.

    Examples
    --------
    See `ClipLoader.to_torch`.
    """

    def __init__(
        self,
        loader: Batches,
        device: Any = None,  # noqa: ANN401 - whatever torch takes as a device
        layout: Layout = "BTHWC",
        map: Callable[..., Any] | None = None,  # noqa: A002 - as in the other adapters
        *,
        channels_first: bool = False,
    ) -> None:
        super().__init__(loader, map)
        _check_ranks(loader)
        given = "BTCHW" if channels_first else "BTHWC"
        axes = tuple(given.index(axis) for axis in checked_choice(layout, "layout", _LAYOUTS))
        self._axes = None if axes == tuple(range(_PICTURE_AXES)) else axes
        self._device = _device(device)

    def __iter__(self) -> Iterator[Any]:
        """Serve the next epoch, or the rest of an epoch after `load_state_dict`, as tensors.

        Raises
        ------
        OptionError
            In a worker process of torch's `DataLoader`.
        """
        if get_worker_info() is not None:
            raise OptionError(_NO_WORKERS)
        batches = ((place, map_arrays(self._tensor, batch)) for place, batch in self._arrays())
        if self._device is not None and self._device.type == "cuda":
            return self._hand_out(_Copies(self._loader, self._device).ahead(batches))
        return self._hand_out(batches)

    def _tensor(self, array: NDArray[Any]) -> torch.Tensor | NDArray[Any]:
        if array.dtype.kind not in _KINDS:
            return array
        # A write to a tensor over read-only memory, such as Ray's object store, would end the process.
        tensor = torch.from_numpy(array if array.flags.writeable else array.copy())
        if self._axes is not None and tensor.ndim == _PICTURE_AXES:
            tensor = tensor.permute(self._axes)
        if self._device is not None and self._device.type != "cuda":
            tensor = tensor.to(self._device)
        return tensor

    def __reduce__(self) -> NoReturn:
        raise OptionError(_NO_WORKERS)


class _Copies:
    """Copies batches to a GPU, one ahead of the batch that is used.

    Parameters
    ----------
    loader : Batches
        Whose slots hold the batches.
    device : torch.device
        The GPU.
    """

    def __init__(self, loader: Batches, device: torch.device) -> None:
        self._slots, self._device = loader._engine.slot_memory(), device
        self._held: deque[tuple[Any, Any]] = deque()  # event of a copy, and what it reads

    def ahead(self, batches: Iterator[tuple[BatchId, Any]]) -> Iterator[tuple[BatchId, Any]]:
        """Yield batches on the GPU, each after the next one's copy was begun."""
        stream, pinned = torch.cuda.Stream(self._device), self._pin()
        try:
            waiting = None
            for after, batch in batches:
                begun = self._copy(batch, stream)
                if waiting is not None:
                    yield waiting[0], self._arrived(*waiting[1:])
                waiting = after, *begun
            if waiting is not None:
                yield waiting[0], self._arrived(*waiting[1:])
        finally:
            stream.synchronize()
            self._held.clear()
            for address in pinned:
                torch.cuda.cudart().cudaHostUnregister(address)

    def _copy(self, batch: Any, stream: torch.cuda.Stream) -> tuple[Any, torch.cuda.Event]:  # noqa: ANN401 - a structure
        """Begin to copy a batch; return what it becomes, and the event of its end."""
        while self._held and self._held[0][0].query():
            self._held.popleft()
        with torch.cuda.stream(stream):
            copies = map_arrays(
                lambda tensor: tensor.to(self._device, non_blocking=True), batch, kind=torch.Tensor
            )
            event = torch.cuda.Event()
            event.record(stream)
        self._held.append((event, batch))
        return copies, event

    def _arrived(self, copies: Any, event: torch.cuda.Event) -> Any:  # noqa: ANN401 - a structure
        """Let the model's stream wait for a copy, and return it."""
        current = torch.cuda.current_stream(self._device)
        current.wait_event(event)
        map_arrays(lambda tensor: tensor.record_stream(current), copies, kind=torch.Tensor)
        return copies

    def _pin(self) -> list[int]:
        """Register slots as pinned memory; return the addresses of those that could be."""
        runtime = torch.cuda.cudart()
        return [
            slot.ctypes.data
            for slot in self._slots
            if int(runtime.cudaHostRegister(slot.ctypes.data, slot.nbytes, 0)) == 0
        ]


def _device(device: Any) -> torch.device | None:  # noqa: ANN401 - whatever torch takes
    """Return a device; None for the CPU."""
    if device is None:
        return None
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise OptionError(
            f"device={device!r}: must be a device of torch, such as 'cuda:0' ({error})"
        ) from None
    if found.type == "cuda" and not torch.cuda.is_available():
        raise OptionError(f"device={device!r}: torch finds no GPU here; leave device= out for CPU tensors")
    return None if found.type == "cpu" else found


def _check_ranks(loader: Batches) -> None:
    """Raise OptionError if this process is one of several, and the loader reads all clips."""
    launched = find_launched()
    if launched is not None and launched[2] > 1 and getattr(loader, "world", 1) == 1:
        names, rank, world = launched
        raise OptionError(
            f"this process is rank {rank} of {world} by {names}, but the loader is rank 0 of 1, so all ranks "
            'would train on the same clips: make it by ClipLoader(rank="env")'
        )
