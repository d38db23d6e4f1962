"""The rank of this process, from the user, from a library that knows it, or from its launcher's environment.

No library is imported here: one that has set up ranks in this process was imported before.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

from fastclips.errors import OptionError
from fastclips.options import checked_int

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["checked_rank", "find_launched", "resolve_rank"]

_log = logging.getLogger(__name__)
_warned = False  # of a rank that was not given; a training loop makes several loaders


def resolve_rank(rank: int | Literal["env"] | None = None, world: int | None = None) -> tuple[int, int]:
    """Return the rank of this process, and the number of ranks.

    Parameters
    ----------
    rank : int, "env" or None
        The rank, or ``"env"`` to ask what started this process: Ray Train, ``jax.distributed`` or
        ``torch.distributed`` if they were set up, then the environment variables of torchrun, accelerate,
        horovodrun, Open MPI, MPICH and others with PMI, ``TF_CONFIG``, and Slurm. The first that is found
        counts, in this order, since an inner launcher knows better than an outer one; the log says which.
        None is rank 0, and warns once in a process that was started as one of several.
    world : int, optional
        Number of ranks. It may be left out for rank 0, then the only rank, and for ``"env"``, where it must
        agree with the environment if given.

    Returns
    -------
    rank, world : int
        With ``0 <= rank < world``.

    Raises
    ------
    OptionError
        If the numbers contradict each other, or the environment holds none.
    """
    if world is not None:
        world = checked_int(world, "world", 1)
    if rank is None:
        _warn_of_ranks(world or 1)
        rank = 0
    if rank != "env":
        if isinstance(rank, str):
            raise OptionError(f'rank={rank!r}: must be a number, "env" or None')
        if world is None and rank != 0:
            raise OptionError(f"rank={rank!r}: needs world=, the number of ranks")
        world = world or 1
        return checked_rank(rank, world), world
    names, rank, found = next(_launched(), ("", 0, 0))
    if not names:
        pairs = (*_INNER, *_OUTER)
        looked = ", ".join(f"{a} and {b}" for a, b in pairs)
        halves = [
            f"{there} is set, and {missing} is missing"
            for pair in pairs
            for there, missing in (pair, pair[::-1])
            if os.environ.get(there) and not os.environ.get(missing)
        ]
        if halves:
            raise OptionError(
                f'rank="env": {"; ".join(halves)}; set both, or pass rank= and world= as numbers'
            )
        raise OptionError(
            f'rank="env": found none of {looked}, TF_CONFIG, and no ranks of ray.train, jax.distributed or '
            "torch.distributed; pass rank= and world= as numbers"
        )
    if world not in (None, found):
        raise OptionError(
            f"world={world}: must be {found} by {names}; leave world= out, or pass rank= as a number"
        )
    _log.info("rank %d of %d, from %s", rank, found, names)
    return rank, found


def find_launched() -> tuple[str, int, int] | None:
    """Return what started this process as one of several, its rank, and their number; None if nothing did."""
    try:
        return next(_launched(), None)
    except OptionError:  # variables that are no ranks, or a task that reads no clips
        return None


def _warn_of_ranks(world: int) -> None:
    """Warn once per process if a launcher started several ranks, and none was chosen."""
    global _warned  # noqa: PLW0603 - once per process, not per loader
    if _warned:
        return
    names, rank, found = find_launched() or ("", 0, 1)
    if found > 1:
        _warned = True
        warnings.warn(
            f"this process is rank {rank} of {found} by {names}, but the loader has no rank= and reads as "
            f"rank 0 of {world}: all {found} processes train on the same clips; pass "
            'rank="env" to read an equal part of each epoch, or rank=0, world=1 to read all clips in each '
            "process",
            stacklevel=4,
        )


_INNER = (
    ("RANK", "WORLD_SIZE"),  # torchrun, accelerate
    ("HOROVOD_RANK", "HOROVOD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("PMI_RANK", "PMI_SIZE"),  # MPICH, Intel MPI
)
_OUTER = (("SLURM_PROCID", "SLURM_NTASKS"),)  # last: often runs one of the others inside


def _launched() -> Iterator[tuple[str, int, int]]:
    """Yield (what told it, rank, world) of each library and each launcher that knows both numbers."""
    for name, ask in _LIBRARIES:
        known = None
        with suppress(Exception):  # of a library that is half imported, or has no ranks yet
            known = ask()
        if known is not None:
            yield name, *known
    yield from _numbers(_INNER)
    yield from _tf_config()
    yield from _numbers(_OUTER)


def _ray_train() -> tuple[int, int] | None:
    train = sys.modules.get("ray.train")
    if train is None or not _is_ray_worker():
        return None
    context = train.get_context()
    return int(context.get_world_rank()), int(context.get_world_size())


def _is_ray_worker() -> bool:
    """Whether this process runs tasks or actors of Ray; elsewhere Ray warns of a question for the rank."""
    ray = sys.modules["ray"]
    return bool(ray.is_initialized() and ray.get_runtime_context().worker.mode == ray.WORKER_MODE)


def _jax() -> tuple[int, int] | None:
    # `jax.process_index()` would start JAX's backends, and take the GPU's memory.
    state = getattr(sys.modules.get("jax._src.distributed"), "global_state", None)
    return None if state is None or state.client is None else (state.process_id, state.num_processes)


def _torch() -> tuple[int, int] | None:
    torch = sys.modules.get("torch.distributed")
    if torch is None or not torch.is_available() or not torch.is_initialized():
        return None
    return torch.get_rank(), torch.get_world_size()


_LIBRARIES = (("ray.train", _ray_train), ("jax.distributed", _jax), ("torch.distributed", _torch))


def _numbers(pairs: tuple[tuple[str, str], ...]) -> Iterator[tuple[str, int, int]]:
    for pair in pairs:
        texts = [os.environ.get(name, "") for name in pair]
        if not all(texts):
            continue
        if not all(text.isdecimal() for text in texts):
            raise OptionError(f"{pair[0]}={texts[0]!r} and {pair[1]}={texts[1]!r}: must be integers from 0")
        world = checked_int(int(texts[1]), pair[1], 1)
        yield " and ".join(pair), checked_rank(int(texts[0]), world, *pair), world


def _tf_config() -> Iterator[tuple[str, int, int]]:
    text = os.environ.get("TF_CONFIG", "")
    try:
        config = json.loads(text or "{}")
        cluster, task = config.get("cluster", {}), config.get("task", {})
        chiefs, workers = (len(cluster.get(kind, ())) for kind in ("chief", "worker"))
        kind, number = task.get("type"), int(task.get("index", 0))
    except (ValueError, TypeError, AttributeError) as error:
        raise OptionError(f"TF_CONFIG={text!r}: must be JSON with a cluster and a task ({error})") from error
    if not chiefs + workers:
        return
    if kind not in ("chief", "worker"):
        raise OptionError(f"TF_CONFIG: a task of type {kind!r} reads no clips; only chief and worker do")
    rank = number + chiefs * (kind == "worker")  # TensorFlow counts the chief first
    yield "TF_CONFIG", checked_rank(rank, chiefs + workers, "TF_CONFIG's rank", "tasks"), chiefs + workers


def checked_rank(rank: object, world: int, knob: str = "rank", of: str = "world") -> int:
    """Return a rank as a Python int.

    Parameters
    ----------
    rank : object
        The rank, as the user or the launcher gave it.
    world : int
        Number of ranks.
    knob, of : str
        Names of the two numbers for messages.

    Returns
    -------
    int
        The same number.

    Raises
    ------
    OptionError
        If it is not an integer from 0 to ``world - 1``.
    """
    number = checked_int(rank, knob, 0)
    if number >= world:
        raise OptionError(f"{knob}={number}: must be below {of}={world}; ranks count from 0")
    return number
