"""`RemoteClipLoader`: a `ClipLoader` whose clips other hosts decode."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from fastclips.adapters.in_frameworks import InFrameworks
from fastclips.adapters.ray.cluster import checked_options, connect, store_bytes
from fastclips.adapters.ray.decoding import DecodingHost
from fastclips.adapters.ray.engine import RayEngine, ahead_of
from fastclips.adapters.ray.host import content_of
from fastclips.adapters.ray.hosts import Hosts, Order
from fastclips.engine.clip_spec import ClipSpec
from fastclips.errors import OptionError
from fastclips.options import checked_bytes, checked_int, checked_number, checked_workers
from fastclips.serving.batches import Batches
from fastclips.serving.frame_check import spread_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from fastclips.adapters.ray.host import Place

__all__ = ["RemoteClipLoader"]

_COMPARED = 16  # frames that hosts compare
_LEAST_SLOTS = 3  # batches in the object store
_SHARE = 3  # of this node's object store, by default


class RemoteClipLoader(Batches, InFrameworks):
    """A `fastclips.ClipLoader` whose clips are decoded on the hosts of a Ray cluster.

    It serves the batches of the loader, in its order and with the same bits, whatever happens to hosts.
    Iteration, `epoch`, `batch`, `state_dict`, `stats`, `report` and `damaged` are those of the loader;
    `ClipSequence`, `to_tf_dataset`, `to_torch` and `to_jax` take either.

    Each host has an actor with worker processes of its own, which reads the data at the same path as the
    trainer. Arrays of pixels arrive without a copy and are read-only, in Ray's object store.

    If an actor or a node dies, or a node joins, the stream of batches does not change. It goes on while one
    host is left. Actors are started again where there is room.

    Parameters
    ----------
    loader : ClipLoader
        Its data, options and place are taken over, and it is closed. It needs no workers: give
        ``workers=0`` there.
    num_actors : int, optional
        Number of actors; by default one on each node that has the resources, also on nodes that join later.
    ray_actor_options : mapping, optional
        Options of the actors, as for ``options`` of a class of Ray: by default ``num_cpus`` is the number of
        workers.
    workers : int, optional
        Worker processes of each actor: by default ``num_cpus`` of `ray_actor_options`, or else the loader's,
        at least 1. With 0, the actor itself decodes.
    address : str, optional
        Address of the cluster, if ``ray.init`` was not called: by default ``RAY_ADDRESS``, or the cluster of
        this machine.
    object_store : str or int, optional
        Bytes of batches in the object store of the trainer's node at a time: those that hosts are asked for,
        and those that you keep. By default a third of that store.
    slow_s : float
        Seconds after which a batch that training waits for is asked of a second host; later if hosts take
        more than a fourth of it for a batch.
    start_s : float
        Seconds that actors may take to start, and that training waits for a new host if the last one is lost.

    Attributes
    ----------
    dataset : Dataset
        Of the loader.
    rank, world : int
        Of the loader.

    Raises
    ------
    OptionError
        If an argument is out of range, or the cluster does not have the resources that are asked for.
    DataError
        If a host has other data than the trainer, by a look at some frames.
    EngineError
        If there is no cluster, or no actor starts in time.

    Examples
    --------
    >>> import ray
    >>> from fastclips.adapters.ray import RemoteClipLoader
    >>> context = ray.init("local", num_cpus=1, include_dashboard=False, log_to_driver=False)
    >>> loader = fc.ClipLoader(fc.open("frames/"), fc.Windows(4), batch_size=9, workers=0)
    >>> with RemoteClipLoader(loader, workers=1) as remote:
    ...     for x, y in remote:
    ...         print(x.shape, x.flags.writeable)
    (9, 4, 48, 64, 3) False
    (9, 4, 48, 64, 3) False
    >>> ray.shutdown()
    """

    def __init__(
        self,
        loader: Batches,
        *,
        num_actors: int | None = None,
        ray_actor_options: Mapping[str, Any] | None = None,
        workers: int | None = None,
        address: str | None = None,
        object_store: str | int | None = None,
        slow_s: float = 10.0,
        start_s: float = 60.0,
    ) -> None:
        if not isinstance(loader, Batches) or not isinstance(loader.spec, ClipSpec):
            raise OptionError(f"loader={loader!r}: must be a fastclips.ClipLoader")
        if isinstance(loader, RemoteClipLoader):
            raise OptionError("loader=: is a RemoteClipLoader already; give its ClipLoader")
        if loader.spec.kept is not None:
            raise OptionError(
                "cache=FrameCache(...) of the loader: is memory of this machine, which other hosts do not "
                "have; leave it out"
            )
        self._local = loader
        given = checked_options(ray_actor_options)
        if workers is None:
            workers = int(given["num_cpus"]) if given.get("num_cpus") else max(loader.workers, 1)
        each = checked_workers(workers)
        options = {"num_cpus": max(each, 1), **given}
        order = partial(
            Order,
            DecodingHost,
            None if num_actors is None else checked_int(num_actors, "num_actors", 1),
            options,
            checked_number(start_s, "start_s", 1.0, 1e6),
        )
        slow_s = checked_number(slow_s, "slow_s", 0.01, 1e6)
        bound = None if object_store is None else checked_bytes(object_store, "object_store")
        connect(address)
        self.dataset: Any = getattr(loader, "dataset", None)
        self.rank, self.world = getattr(loader, "rank", 0), getattr(loader, "world", 1)
        self.channels_first = getattr(loader, "channels_first", False)
        super().__init__(
            loader.schedule,
            loader.spec,
            workers=each,
            repeat=loader.repeat,
            damage=loader._damage,  # noqa: SLF001 - the loader is taken over
            make_engine=partial(_new_engine, order(*_look(self.dataset, loader.spec)), bound, slow_s),
            **loader.limits,
        )
        self._progress = loader._progress  # noqa: SLF001 - as above
        loader.close()

    @property
    def hosts(self) -> list[str]:
        """The hosts that can be asked for batches: their names and states, in words."""
        return [] if self._closed else self._engine.states

    def plan_table(self, epoch: int, rank: int | None = None) -> Mapping[str, NDArray[Any]]:
        """Return the clips of an epoch in served order: see `ClipLoader.plan_table`."""
        table: Callable[..., Mapping[str, NDArray[Any]]] = self._local.plan_table  # type: ignore[attr-defined]
        return table(epoch, rank)


def _look(dataset: Any, spec: ClipSpec) -> tuple[list[Place], list[str]]:  # noqa: ANN401 - a Dataset
    """Return some frames of each stream, and what they hold here."""
    index = dataset.index
    places = [
        (stream.name, index.keys.item(row), index.starts.item(row) + frame)
        for row, frame in spread_frames(index, max(_COMPARED // len(spec.streams), 1), dataset.mixed)
        for stream in spec.streams
    ]
    return places, [content_of(spec.storage, place) for place in places]


def _new_engine(
    order: Order,
    bound: int | None,
    slow_s: float,
    spec: ClipSpec,
    *,
    workers: int,
    memory: int,
    timeout: float | None,
    most_deaths: int,
    **_: object,
) -> RayEngine:
    """Start hosts, and return the engine that asks them; the last parameters are those of `new_engine`."""
    nbytes, least = spec.layout.nbytes, _LEAST_SLOTS * spec.layout.nbytes
    if bound is None:
        bound = max(store_bytes() // _SHARE, least)
    if bound < least:
        raise OptionError(
            f"object_store={bound}: must be at least {least} bytes, the room of {_LEAST_SLOTS} batches of "
            f'{nbytes} bytes; give object_store="{-(-least // 2**20)}MiB" or more, or a smaller batch_size'
        )
    each = ahead_of(workers, spec.layout.tickets)
    engine = {
        "workers": workers,
        "memory": memory,
        "cache": 0,
        "most_frames": 0,
        "timeout": timeout,
        "most_deaths": most_deaths,
    }
    hosts = Hosts(order, spec, engine, concurrency=2 * each + 2)
    return RayEngine(spec, hosts, each=each, slots=bound // nbytes, slow_s=slow_s)
