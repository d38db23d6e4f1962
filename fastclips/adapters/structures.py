"""The structure of a batch: arrays in tuples, lists and dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["map_arrays"]


def map_arrays(function: Callable[[Any], Any], batch: Any, kind: type = np.ndarray) -> Any:  # noqa: ANN401 - a structure
    """Return a structure with the results of a function in place of its arrays.

    Parameters
    ----------
    function : callable
        Called with each array.
    batch : tuple, list, dict or array
        Nested in any way. What is neither of these nor an array stays as it is.
    kind : type
        The arrays' class.
    """
    if isinstance(batch, kind):
        return function(batch)
    if isinstance(batch, dict):
        return {name: map_arrays(function, part, kind) for name, part in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(map_arrays(function, part, kind) for part in batch))
    if isinstance(batch, (tuple, list)):
        return type(batch)(map_arrays(function, part, kind) for part in batch)
    return batch
