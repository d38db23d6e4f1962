"""A loader as batches of `jax.Array`, put on the devices one batch ahead.

``jax.device_put`` returns before the copy is done. The arrays of a batch, which lease a slot, are held until
the transfer has ended, so nothing is overwritten under it. On the CPU, JAX uses the memory of a slot as it
is, and holds the array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastclips.adapters.framework_batches import FrameworkBatches
from fastclips.adapters.structures import map_arrays
from fastclips.errors import OptionError

try:
    import jax
except ImportError as error:
    raise ImportError(f"this needs JAX, see https://docs.jax.dev ({error})") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from fastclips.serving.batches import Batches
    from fastclips.serving.progress import BatchId

__all__ = ["JaxBatches"]

_KINDS = "biufc"  # booleans and numbers


class JaxBatches(FrameworkBatches):
    """The batches of a loader as `jax.Array`; made by `ClipLoader.to_jax`. Each iteration serves one epoch.

    Parameters
    ----------
    loader : ClipLoader
        The loader.
    sharding, map
        As for `ClipLoader.to_jax`.

    Raises
    ------
    OptionError
        As for `ClipLoader.to_jax`.

    Examples
    --------
    See `ClipLoader.to_jax`.
    """

    def __init__(
        self,
        loader: Batches,
        sharding: Any = None,  # noqa: ANN401 - of JAX
        map: Callable[..., Any] | None = None,  # noqa: A002 - as in the other adapters
    ) -> None:
        if sharding is not None and not isinstance(sharding, jax.sharding.Sharding):
            raise OptionError(f"sharding={sharding!r}: must be a jax.sharding.Sharding, or None")
        super().__init__(loader, map)
        self._sharding = sharding

    def __iter__(self) -> Iterator[Any]:
        """Serve the next epoch, or the rest of an epoch after `load_state_dict`."""
        return self._hand_out(self._ahead())

    def _ahead(self) -> Iterator[tuple[BatchId, Any]]:
        """Yield batches on the devices, each after the transfer of the next one was begun."""
        waiting: tuple[BatchId, Any, Any] | None = None
        for place, batch in self._arrays():
            begun = place, map_arrays(self._put, batch), batch  # holds the arrays until they have arrived
            if waiting is not None:
                yield waiting[0], _arrived(waiting[1])
            waiting = begun
        if waiting is not None:
            yield waiting[0], _arrived(waiting[1])

    def _put(self, array: NDArray[Any]) -> Any:  # noqa: ANN401 - a jax.Array, or what JAX does not take
        if array.dtype.kind not in _KINDS:
            return array
        if self._sharding is None:
            return jax.device_put(array)
        return jax.make_array_from_process_local_data(self._sharding, array)


def _arrived(batch: Any) -> Any:  # noqa: ANN401 - a structure
    """Return a batch once its transfer has ended."""
    jax.block_until_ready([leaf for leaf in jax.tree.leaves(batch) if isinstance(leaf, jax.Array)])
    return batch
